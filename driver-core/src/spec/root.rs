//! Where a machine's files come from.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use super::file::{absolute, regular};
use super::report::{Report, list, quote};
use super::value::Value;
use super::{Image, Root, image, path, raw, toplevel};

/// Where an init can be: what systemd-nspawn tries, and where NixOS has it.
const INITS: [&str; 4] = ["sbin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd", "init"];

const TAR_ENDINGS: [&str; 7] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"];

const EXPECTED: &str = "`\"host\"`, a directory, a tar file or a disk image";

const CURE: &str =
    "give \"host\", a directory, a tar file or a disk image; a relative path begins beside the test file";

/// Reads the key `root`. None where it cannot be known what was meant.
pub(super) fn read(value: &Value, directory: &Path, report: &mut Report<'_>) -> Option<Root> {
    let text = report.string(value, EXPECTED)?;
    if text == "host" {
        return Some(Root::Host);
    }
    let path = path::beside(directory, text, CURE, report)?;
    match fs::metadata(&path) {
        Err(error) => {
            report.path(&path, &error, CURE);
            None
        }
        Ok(found) if found.is_dir() && toplevel::is_one(&path) => toplevel::read(&path, report).map(Root::Toplevel),
        Ok(found) if found.is_dir() => {
            check_directory(&path, report);
            Some(Root::Directory(absolute(path)))
        }
        Ok(_) if TAR_ENDINGS.iter().any(|ending| path.to_string_lossy().ends_with(ending)) => {
            if let Err(error) = regular(&path).and_then(|()| File::open(&path)) {
                report.path(&path, &error, CURE);
            }
            Some(Root::Tar(absolute(path)))
        }
        Ok(_) => read_image(&path, report).map(Root::Image),
    }
}

fn read_image(path: &Path, report: &mut Report<'_>) -> Option<Image> {
    let wrong = format!(
        "is neither a directory nor, by its name, a tar file ({}) nor, by its content, a disk image (qcow2, or raw with {})",
        list(&TAR_ENDINGS),
        raw::KNOWN
    );
    image::read(path, (&wrong, CURE), report)
}

fn check_directory(path: &Path, report: &mut Report<'_>) {
    match File::open(path).and_then(|root| Ok(has_init(root.as_fd())?)) {
        Ok(true) => {}
        Ok(false) => report.problem(
            format!(
                "{} is no system: none of {} is a program in it, as in a distribution's root, and it has no `init` beside `nixos-version`, \
                 as a NixOS system has",
                quote(&path.to_string_lossy()),
                list(&INITS)
            ),
            "give a root with systemd, or what a NixOS configuration builds as `system.build.toplevel`",
        ),
        Err(error) => report.path(path, &error, "run as a user who may read it"),
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

    use super::super::qcow2::tests::sample;
    use super::super::raw::tests::partitioned;
    use super::super::{ImageFormat, Toplevel};
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
        let files = tree(
            &["good/sbin/init", "nix/store/x/init"],
            &["nix/store/x/nixos-version", "bad/x", "a.tar", "b.tar.zst", "text"],
            &[("c.tar", "/dev/null"), ("null", "/dev/null"), ("link", "disk")],
        );
        let at = |name: &str| files.path().join(name);
        fs::write(at("disk"), sample()).unwrap();
        fs::write(at("disk.img"), partitioned()).unwrap();
        fs::write(at("disk.tar"), partitioned()).unwrap();
        fs::write(at("cut.qcow2"), &sample()[..1024]).unwrap();
        let image = |name: &str, format| Some(Root::Image(Image { path: at(name), format }));
        for (text, root, problem) in [
            ("host", Some(Root::Host), ""),
            ("good", Some(Root::Directory(at("good"))), ""),
            (at("good").to_str().unwrap(), Some(Root::Directory(at("good"))), ""),
            ("nix/store/x", Some(Root::Toplevel(Toplevel { store: at("nix/store"), path: "x".into() })), ""),
            ("a.tar", Some(Root::Tar(at("a.tar"))), ""),
            ("b.tar.zst", Some(Root::Tar(at("b.tar.zst"))), ""),
            ("disk.tar", Some(Root::Tar(at("disk.tar"))), ""),
            ("disk", image("disk", ImageFormat::Qcow2), ""),
            ("link", image("link", ImageFormat::Qcow2), ""),
            ("disk.img", image("disk.img", ImageFormat::Raw), ""),
            ("", None, "the path is empty"),
            ("~/disk", None, "`~/disk`: `~` means no home directory here"),
            ("missing", None, "missing` does not exist; give \"host\", a directory, a tar file or a disk image"),
            ("bad", Some(Root::Directory(at("bad"))), "bad` is no system: none of `sbin/init`, "),
            ("cut.qcow2", None, "cut.qcow2` is a truncated qcow2 image"),
            ("text", None, "text` is empty; copy or download it anew"),
            ("null", None, "null` cannot be read: it is no regular file"),
            ("c.tar", Some(Root::Tar(at("c.tar"))), "c.tar` cannot be read: it is no regular file"),
        ] {
            let mut problems = Vec::new();
            let mut report = Report::new(Path::new("t"), &mut problems);
            assert_eq!(read(&Value::String(text.to_owned()), files.path(), &mut report), root, "{text}");
            let said = super::super::list(&problems);
            assert!(said.contains(problem) && said.is_empty() == problem.is_empty(), "{text}: {said}");
        }
    }

    #[test]
    fn what_could_be_meant_is_named() {
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("text"), "not a disk").unwrap();
        let mut problems = Vec::new();
        let mut report = Report::new(Path::new("t"), &mut problems);
        assert_eq!(read(&Value::String("text".to_owned()), files.path(), &mut report), None);
        let shown = files.path().join("text");
        let expected = "is neither a directory nor, by its name, a tar file (`.tar`, `.tar.gz`, `.tgz`, `.tar.xz`, `.txz`, `.tar.zst`, `.tzst`) \
            nor, by its content, a disk image (qcow2, or raw with a partition table or an ext, XFS, Btrfs, EROFS, SquashFS, ISO 9660 or FAT file system); \
            give \"host\", a directory, a tar file or a disk image; a relative path begins beside the test file";
        assert_eq!(super::super::list(&problems), format!("t: `{}` {expected}", shown.display()));
    }
}
