//! The Python package `test_driver`, carried inside the program.

use std::io;
use std::path::Path;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../python/test_driver/", $path)))),*]
    };
}

/// Each file's path in the package and its text.
const FILES: &[(&str, &str)] = files![
    "__init__.py",
    "assertions.py",
    "bootstrap.py",
    "check.py",
    "client.py",
    "debug.py",
    "driver.py",
    "duration.py",
    "efi.py",
    "errors.py",
    "link.py",
    "logger.py",
    "machine/__init__.py",
    "machine/console.py",
    "machine/impossible.py",
    "machine/interact.py",
    "machine/looking.py",
    "machine/ocr.py",
    "machine/process.py",
    "machine/qmp.py",
    "machine/state.py",
    "machine/vm.py",
    "machine/x11.py",
    "machine/xwd.py",
    "polling_condition.py",
    "prelude.py",
    "py.typed",
    "remote_pdb.py",
    "repl.py",
    "report.py",
    "retry.py",
    "runner.py",
    "script.py",
    "ssh.py",
    "stats.py",
    "symbols.py",
    "vlan.py",
    "words.py",
];

/// Writes the package into a directory, for `sys.path` to name.
pub(super) fn unpack(directory: &Path) -> io::Result<()> {
    let package = directory.join("test_driver");
    std::fs::create_dir_all(package.join("machine"))?;
    FILES.iter().try_for_each(|(path, text)| std::fs::write(package.join(path), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(directory: &Path, below: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                modules(&entry.path(), &format!("{name}/"), found);
            } else if entry.path().extension().is_some_and(|extension| extension == "py" || extension == "typed") {
                found.push(name);
            }
        }
    }

    #[test]
    fn no_module_is_left_out() {
        let mut there = Vec::new();
        modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("python/test_driver"), "", &mut there);
        there.sort();
        assert_eq!(FILES.iter().map(|(path, _)| *path).collect::<Vec<_>>(), there);
    }
}
