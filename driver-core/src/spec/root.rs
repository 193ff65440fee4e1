//! Where a machine's files come from.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use super::Root;
use super::file::{absolute, regular};
use super::report::{Report, list, quote};
use super::value::Value;

/// Where an init can be: what systemd-nspawn tries, and where NixOS has it.
const INITS: [&str; 4] = ["sbin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd", "init"];

const TAR_ENDINGS: [&str; 7] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"];

const CURE: &str = "give \"host\", a directory or a tar file; a relative path begins beside the test file";

/// Reads the key `root`.
pub(super) fn read(value: &Value, directory: &Path, report: &mut Report<'_>) -> Root {
    let text = match report.string(value, "`\"host\"`, a directory or a tar file") {
        None | Some("host") => return Root::Host,
        Some("") => {
            report.problem("the path is empty", CURE);
            return Root::Host;
        }
        Some(text) => text,
    };
    let path = directory.join(text);
    match fs::metadata(&path) {
        Err(error) => {
            report.path(&path, &error, CURE);
            Root::Host
        }
        Ok(found) if found.is_dir() => {
            check_directory(&path, report);
            Root::Directory(absolute(path))
        }
        Ok(_) => {
            check_tar(&path, report);
            Root::Tar(absolute(path))
        }
    }
}

fn check_directory(path: &Path, report: &mut Report<'_>) {
    match File::open(path).and_then(|root| Ok(has_init(root.as_fd())?)) {
        Ok(true) => {}
        Ok(false) => report.problem(
            format!("{} has no init", quote(&path.to_string_lossy())),
            format!("give a root with systemd: one of {} must be a program", list(&INITS)),
        ),
        Err(error) => report.path(path, &error, "run as a user who may read it"),
    }
}

fn check_tar(path: &Path, report: &mut Report<'_>) {
    if !TAR_ENDINGS.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
        let shown = quote(&path.to_string_lossy());
        report.problem(
            format!("{shown} is neither a directory nor, by its name, a tar file ({})", list(&TAR_ENDINGS)),
            CURE,
        );
    } else if let Err(error) = regular(path).and_then(|()| File::open(path)) {
        report.path(path, &error, CURE);
    }
}

fn has_init(root: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    for init in INITS {
        match open_within(root, init) {
            Ok(file) => {
                let mode = fstat(file)?.st_mode;
                if FileType::from_raw_mode(mode).is_file() && mode & 0o111 != 0 {
                    return Ok(true);
                }
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Opens what a process in `root` would find at `path`: symbolic links, also absolute ones, are followed but never out of `root`.
fn open_within(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = || openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    // openat2(2): EAGAIN means that something was renamed or mounted somewhere while the kernel followed a `..`.
    let mut tries = 0..100;
    loop {
        match open() {
            Err(Errno::AGAIN) if tries.next().is_some() => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A directory with programs, other files and links as a root could have them.
    fn tree(programs: &[&str], files: &[&str], links: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, mode) in programs.iter().map(|path| (path, 0o755)).chain(files.iter().map(|path| (path, 0o644))) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for (link, target) in links {
            let link = root.path().join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target, link).unwrap();
        }
        root
    }

    #[test]
    fn an_init_is_found_where_the_guest_would_find_it() {
        let found = |programs: &[&str], files: &[&str], links: &[(&str, &str)]| {
            let root = tree(programs, files, links);
            has_init(File::open(root.path()).unwrap().as_fd()).unwrap()
        };
        for init in INITS {
            assert!(found(&[init], &[], &[]), "{init}");
        }
        let absolute = [("sbin/init", "/lib/systemd/systemd"), ("lib", "usr/lib")];
        assert!(found(&["usr/lib/systemd/systemd"], &[], &absolute));
        assert!(found(&["nix/store/x/init"], &[], &[("sbin/init", "../nix/store/x/init")]));

        assert!(!found(&[], &[], &[]));
        assert!(!found(&["sbin/init/x"], &[], &[]), "a directory");
        assert!(!found(&[], &["sbin/init"], &[]), "not executable");
        assert!(!found(&[], &[], &[("init", "init")]), "a loop");
        assert!(!found(&[], &[], &[("sbin", "/nowhere")]), "dangling");
    }

    #[test]
    fn links_out_of_the_root_are_not_followed() {
        let outside = tree(&["init"], &[], &[]);
        let inside = tree(&[], &[], &[("init", outside.path().join("init").to_str().unwrap())]);
        assert!(fs::metadata(inside.path().join("init")).is_ok());
        assert!(!has_init(File::open(inside.path()).unwrap().as_fd()).unwrap());
    }

    #[test]
    fn roots_are_told_apart_by_what_is_there() {
        let files =
            tree(&["good/sbin/init"], &["bad/x", "a.tar", "b.tar.zst", "disk.qcow2"], &[("c.tar", "/dev/null")]);
        let at = |name: &str| files.path().join(name);
        for (text, root, problem) in [
            ("host", Root::Host, ""),
            ("good", Root::Directory(at("good")), ""),
            (at("good").to_str().unwrap(), Root::Directory(at("good")), ""),
            ("a.tar", Root::Tar(at("a.tar")), ""),
            ("b.tar.zst", Root::Tar(at("b.tar.zst")), ""),
            ("", Root::Host, "the path is empty"),
            ("missing", Root::Host, "missing` does not exist"),
            ("bad", Root::Directory(at("bad")), "bad` has no init"),
            (
                "disk.qcow2",
                Root::Tar(at("disk.qcow2")),
                "disk.qcow2` is neither a directory nor, by its name, a tar file",
            ),
            ("c.tar", Root::Tar(at("c.tar")), "c.tar` cannot be read: it is no regular file"),
        ] {
            let mut problems = Vec::new();
            let mut report = Report::new(Path::new("t"), &mut problems);
            assert_eq!(read(&Value::String(text.to_owned()), files.path(), &mut report), root);
            let said = super::super::list(&problems);
            assert!(said.contains(problem) && said.is_empty() == problem.is_empty(), "{text}: {said}");
        }
    }
}
