//! Files of the host that a test names.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::file::{absolute, regular};
use super::report::{Report, quote};
use super::value::Value;

const CURE: &str = "name a file that exists and that you may read; a relative path begins beside the test file";

/// The path that `text` is for a test file in `directory`.
pub(super) fn beside(directory: &Path, text: &str, cure: &str, report: &mut Report<'_>) -> Option<PathBuf> {
    let path = directory.join(text);
    if text.is_empty() {
        report.problem("the path is empty", cure);
        return None;
    }
    if text.starts_with('~') && !path.exists() {
        report.problem(
            format!("{}: `~` means no home directory here", quote(text)),
            "write the path in full; a relative path begins beside the test file",
        );
        return None;
    }
    Some(path)
}

/// Reads the path of a file that has something in it.
pub(super) fn file(value: &Value, expected: &str, directory: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    let path = beside(directory, report.string(value, expected)?, CURE, report)?;
    match regular(&path).and_then(|()| File::open(&path)?.metadata()) {
        Err(error) => report.path(&path, &error, CURE),
        Ok(found) if found.len() == 0 => {
            report.problem(format!("{} is empty", quote(&path.to_string_lossy())), "copy or download it anew");
        }
        Ok(_) => {}
    }
    Some(absolute(path))
}

/// Reads the path of a program.
pub(super) fn program(value: &Value, expected: &str, directory: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    let path = beside(directory, report.string(value, expected)?, CURE, report)?;
    if let Err(error) = regular(&path).and_then(|()| fs::metadata(&path)) {
        report.path(&path, &error, CURE);
    } else if access(&path, Access::EXEC_OK).is_err() {
        let shown = path.to_string_lossy();
        report.problem(format!("{} may not be executed", quote(&shown)), format!("run `chmod +x {shown}`"));
    }
    Some(absolute(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    type Reader = fn(&Value, &str, &Path, &mut Report<'_>) -> Option<PathBuf>;

    fn said(read: Reader, directory: &Path, text: &str) -> (Option<PathBuf>, String) {
        let mut problems = Vec::new();
        let mut report = Report::new(Path::new("t"), &mut problems);
        let path = read(&Value::String(text.to_owned()), "a path", directory, &mut report);
        (path, super::super::list(&problems))
    }

    fn files() -> tempfile::TempDir {
        let files = tempfile::tempdir().unwrap();
        for (name, content, mode) in
            [("kernel", "x", 0o644), ("empty", "", 0o755), ("start", "x", 0o755), ("~", "x", 0o755)]
        {
            fs::write(files.path().join(name), content).unwrap();
            fs::set_permissions(files.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(files.path().join("dir")).unwrap();
        symlink("kernel", files.path().join("link")).unwrap();
        symlink("/dev/null", files.path().join("null")).unwrap();
        files
    }

    #[test]
    fn files_and_programs_begin_beside_the_test_file() {
        let files = files();
        let at = |name: &str| Some(files.path().join(name));
        let full = files.path().join("kernel");
        for (read, text, path) in [
            (file as Reader, "kernel", at("kernel")),
            (file, "link", at("link")),
            (file, full.to_str().unwrap(), at("kernel")),
            (file, "~", at("~")),
            (program, "start", at("start")),
            (program, "./start", at("./start").map(|path| path.components().collect())),
        ] {
            assert_eq!(said(read, files.path(), text), (path, String::new()), "{text}");
        }
    }

    #[test]
    fn other_paths_are_told() {
        let files = files();
        for (read, text, expected) in [
            (file as Reader, "", "t: the path is empty; name a file that exists and that you may read"),
            (file, "missing", "missing` does not exist; name a file that exists and that you may read"),
            (file, "dir", "dir` cannot be read: it is a directory; name a file"),
            (file, "null", "null` cannot be read: it is no regular file; name a file"),
            (file, "empty", "empty` is empty; copy or download it anew"),
            (file, "kernel/x", "cannot be read: Not a directory"),
            (file, "a\0b", "a\\u{0}b` cannot be read: "),
            (file, "~/kernel", "t: `~/kernel`: `~` means no home directory here; write the path in full"),
            (program, "", "t: the path is empty; "),
            (program, "missing", "missing` does not exist; "),
            (program, "dir", "dir` cannot be read: it is a directory; "),
            (program, "kernel", "kernel` may not be executed; run `chmod +x /"),
        ] {
            let said = said(read, files.path(), text).1;
            assert!(said.contains(expected) && !said.contains('\n'), "{text}: {said}");
        }
    }
}
