//! Directories as disk images, for guests whose files cannot be shown to them as they are.
//!
//! In a user namespace files of others belong to nobody (`user_namespaces(7)`): a store path in a Nix sandbox, for one. A guest that sees them by
//! virtiofs can neither change them nor read them through an overlay, which asks not to leave a trace of that (`O_NOATIME`), as only an owner
//! may. And where there are no mounts there is nothing for a virtiofs to show. So the files are copied into an ext4 file system, in which all of
//! them belong to root.

mod owners;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use driver_core::ownerless::is_ownerless;
use driver_core::run::{Privilege, privilege};
use driver_core::spec::{MachineSpec, Problem, Root};

/// What a guest can write beyond the files, in bytes. The image takes only what is written.
const ROOM: u64 = 8 << 30;

const BLOCK: u64 = 4096;

/// Whether the files of this directory cannot be shown to a guest as they are.
pub(crate) fn has_to_be(directory: &Path) -> bool {
    *privilege() != Privilege::Root || is_ownerless(directory)
}

/// What keeps a machine's root from being a guest's here, of those that would have to be packed.
pub(crate) fn check(machine: &MachineSpec) -> Option<Problem> {
    let (what, cure) = match &machine.root {
        Root::Host if has_to_be(Path::new("/")) => (
            "the host's files are not this user's to show",
            "give it a root of its own, a directory or an image, or run it as root",
        ),
        Root::Toplevel(_) if *privilege() != Privilege::Root => (
            "showing it its store needs root",
            "in a Nix build give it a range of user ids (`requiredFeatures.uid-range = true`); elsewhere run it as root",
        ),
        Root::Tar(_) if *privilege() != Privilege::Root => (
            "unpacking it with its owners needs root",
            "unpack it and give the directory, or run it as root, for example with sudo",
        ),
        _ => return None,
    };
    Some(Problem::host(format!("machine `{}`: key `root`", machine.name), what, cure))
}

/// The image of a directory, made in `place` unless it is there already.
pub(crate) fn image(directory: &Path, place: &Path) -> io::Result<PathBuf> {
    let mut name = DefaultHasher::new();
    directory.hash(&mut name);
    let image = place.join(format!("packed-{:016x}.img", name.finish()));
    DirBuilder::new().recursive(true).mode(0o711).create(place)?;
    // Machines that start at once wait for the first.
    let lock = File::create(image.with_extension("lock"))?;
    lock.lock()?;
    if !image.exists() {
        let unfinished = image.with_extension("new");
        make(directory, &unfinished)
            .map_err(|error| io::Error::new(error.kind(), format!("packing {}: {error}", directory.display())))?;
        fs::rename(unfinished, &image)?;
    }
    Ok(image)
}

fn make(directory: &Path, image: &Path) -> io::Result<()> {
    let mut size = Size::default();
    size.add(directory)?;
    File::create(image)?.set_len((size.bytes + size.bytes / 8 + ROOM).next_multiple_of(BLOCK))?;
    let mut command = Command::new("mke2fs");
    // Without checksums of its tables, in which the owners are changed.
    command.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^metadata_csum,^64bit,uninit_bg"]);
    command.args(["-E", "lazy_itable_init=1,nodiscard", "-J", "size=32"]);
    command.args(["-N", &(size.files * 2 + 65536).to_string(), "-d"]).arg(directory).arg(image);
    let made = command.output().map_err(|error| io::Error::new(error.kind(), format!("mke2fs: {error}")))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(io::Error::other(format!("mke2fs: {}", said.trim().replace('\n', " | "))));
    }
    owners::give_to_root(&File::options().read(true).write(true).open(image)?)
}

/// What files take.
#[derive(Default)]
struct Size {
    bytes: u64,
    files: u64,
    /// Files of more than one name, by device and number.
    seen: HashSet<(u64, u64)>,
}

impl Size {
    fn add(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let found = entry.metadata()?;
            self.files += 1;
            if found.is_dir() {
                self.bytes += BLOCK;
                self.add(&entry.path())?;
            } else if found.nlink() == 1 || self.seen.insert((found.dev(), found.ino())) {
                self.bytes += found.len().next_multiple_of(BLOCK);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    /// What debugfs(8) says of a file in an image.
    fn stat(image: &Path, path: &str) -> String {
        let output = Command::new("debugfs").args(["-R", &format!("stat {path}")]).arg(image).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn all_files_are_there_and_are_roots() {
        let place = tempfile::tempdir().unwrap();
        let files = place.path().join("files");
        fs::create_dir_all(files.join("usr/bin")).unwrap();
        fs::write(files.join("usr/bin/tool"), vec![7; 10_000]).unwrap();
        fs::set_permissions(files.join("usr/bin/tool"), fs::Permissions::from_mode(0o555)).unwrap();
        symlink("usr/bin", files.join("bin")).unwrap();
        for number in 0..300 {
            fs::create_dir(files.join(format!("{number}"))).unwrap();
        }
        if rustix::process::geteuid().is_root() {
            for path in ["usr/bin", "usr/bin/tool", "bin", "299"] {
                lchown(files.join(path), Some(65_534), Some(70_000)).unwrap();
            }
        }
        let image = super::image(&files, &place.path().join("images")).unwrap();
        for (path, kind) in [
            ("/", "directory"),
            ("/usr/bin", "directory"),
            ("/usr/bin/tool", "regular"),
            ("/bin", "symlink"),
            ("/299", "directory"),
        ] {
            let said = stat(&image, path);
            assert!(said.contains(kind) && said.contains("User:     0   Group:     0 "), "{path}: {said}");
        }
        assert!(stat(&image, "/usr/bin/tool").contains("Mode:  0555"));
        let check = Command::new("e2fsck").args(["-f", "-n"]).arg(&image).output().unwrap();
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        // The second time it is there.
        let made = fs::metadata(&image).unwrap().modified().unwrap();
        assert_eq!(super::image(&files, &place.path().join("images")).unwrap(), image);
        assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn what_cannot_be_packed_is_told() {
        let place = tempfile::tempdir().unwrap();
        let error = image(&place.path().join("none"), place.path()).unwrap_err();
        assert!(error.to_string().starts_with("packing ") && error.to_string().contains("none"), "{error}");
    }
}
