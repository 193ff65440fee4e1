//! Changes to the files of the root, which is `/` by now.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use crate::plan::Change;
use crate::{Failure, at};

/// Makes one change.
pub(crate) fn apply(change: &Change<'_>) -> Result<(), Failure> {
    match change {
        Change::Write { path, mode, content } => write(Path::new(path), *mode, content).map_err(at("write", path)),
        Change::Link { path, target } => link(Path::new(path), target).map_err(at("write", path)),
        Change::Mode { path, mode } => set_mode(Path::new(path), *mode).map_err(at("change", path)),
        Change::Remove { path } => remove(Path::new(path)).map_err(at("remove", path)),
        Change::EmptyRootPassword => empty_root_password(Path::new("/etc")).map_err(at("change", "root's password")),
    }
}

fn write(path: &Path, mode: u32, content: &str) -> io::Result<()> {
    make_way(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content.as_bytes())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn link(path: &Path, target: &str) -> io::Result<()> {
    make_way(path)?;
    symlink(target, path)
}

/// Makes the directory of a file and takes away what is in the file's place.
fn make_way(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    remove(path)
}

/// Removes a file, a link or a directory; a missing one is no error.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

/// Lets root in without a password (shadow(5), passwd(5)).
fn empty_root_password(etc: &Path) -> io::Result<()> {
    for file in ["shadow", "passwd"].map(|name| etc.join(name)) {
        match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(text) => {
                let shadowed = file.ends_with("passwd") && text.lines().any(|line| line.starts_with("root:x:"));
                if !shadowed {
                    fs::write(&file, without_root_password(&text))?;
                }
            }
        }
    }
    Ok(())
}

fn without_root_password(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("root:").and_then(|rest| rest.split_once(':')) {
        Some((_password, rest)) => format!("root::{rest}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("tandem-init-{name}-{}", std::process::id()));
        remove(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        directory
    }

    #[test]
    fn changes_replace_what_is_there() {
        let root = directory("changes");
        let path = |name: &str| root.join(name);
        let text = |name: &str| path(name).to_str().unwrap().to_owned();
        fs::write(path("kept"), "kept").unwrap();
        symlink("kept", path("a")).unwrap();
        apply(&Change::Write { path: &text("a"), mode: 0o600, content: "new" }).unwrap();
        assert_eq!(fs::read_to_string(path("a")).unwrap(), "new");
        assert_eq!(fs::read_to_string(path("kept")).unwrap(), "kept");
        assert_eq!(fs::metadata(path("a")).unwrap().permissions().mode() & 0o777, 0o600);

        apply(&Change::Write { path: &text("d/e/f"), mode: 0o644, content: "" }).unwrap();
        apply(&Change::Link { path: &text("d/e"), target: "/dev/null" }).unwrap();
        assert_eq!(fs::read_link(path("d/e")).unwrap(), Path::new("/dev/null"));
        apply(&Change::Mode { path: &text("a"), mode: 0o444 }).unwrap();
        assert_eq!(fs::metadata(path("a")).unwrap().permissions().mode() & 0o777, 0o444);
        apply(&Change::Mode { path: &text("missing"), mode: 0o444 }).unwrap();
        apply(&Change::Remove { path: &text("d") }).unwrap();
        apply(&Change::Remove { path: &text("d/e/f") }).unwrap();
        assert!(!path("d").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_roots_password_goes() {
        let etc = directory("password");
        fs::write(etc.join("passwd"), "root:x:0:0::/root:/bin/bash\n").unwrap();
        fs::write(etc.join("shadow"), "root:$y$abc:19000:0:99999:7:::\ndaemon:*:19000::::::\nrooted:!:1::::::\n")
            .unwrap();
        empty_root_password(&etc).unwrap();
        assert_eq!(fs::read_to_string(etc.join("passwd")).unwrap(), "root:x:0:0::/root:/bin/bash\n");
        let shadow = fs::read_to_string(etc.join("shadow")).unwrap();
        assert_eq!(shadow, "root::19000:0:99999:7:::\ndaemon:*:19000::::::\nrooted:!:1::::::\n");
        fs::remove_dir_all(etc).unwrap();
    }
}
