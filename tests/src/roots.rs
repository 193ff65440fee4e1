//! File systems for machines.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

/// What a machine's root has, beyond what every Debian has.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,bash,coreutils,iproute2";

/// A small Debian with systemd, as a directory and as a tar file. It lies in the user's cache and stays there.
#[derive(Clone, Debug)]
pub struct SmallRoot {
    /// The directory.
    pub directory: PathBuf,
    /// The tar file.
    pub tar: PathBuf,
}

impl SmallRoot {
    /// Takes the root from the cache, or builds it, which needs a Debian mirror and some twenty seconds.
    pub fn build() -> io::Result<Self> {
        Self::with(PACKAGES)
    }

    /// The same with these packages, separated by commas.
    pub fn with(packages: &str) -> io::Result<Self> {
        let directory = debian("bookworm", packages)?;
        let tar = directory.with_extension("tar");
        let _lock = lock()?;
        if !tar.exists() {
            let packing = cache()?.join("packing.tar");
            run(Command::new("tar").arg("-C").arg(&directory).arg("-cf").arg(&packing).arg("."))?;
            fs::rename(&packing, &tar)?;
        }
        Ok(Self { directory, tar })
    }
}

/// A directory with a small Debian of this suite and these packages, separated by commas: from the cache, or built, which needs a mirror.
pub fn debian(suite: &str, packages: &str) -> io::Result<PathBuf> {
    let arguments = arguments(suite, packages);
    let _lock = lock()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let directory = cache()?.join(format!("debian-{:016x}", hash(&words)));
    if !directory.exists() {
        let building = cache()?.join("building");
        install(&arguments, &building)?;
        fs::rename(&building, &directory)?;
    }
    Ok(directory)
}

/// The arguments of mmdebstrap, of which all but the directory say what becomes of it.
pub(crate) fn arguments(suite: &str, packages: &str) -> [String; 4] {
    ["--variant=minbase".into(), "--mode=root".into(), format!("--include={packages}"), suite.into()]
}

/// Installs a Debian into a directory, instead of what is there.
pub(crate) fn install(arguments: &[String], directory: &Path) -> io::Result<()> {
    remove(directory)?;
    // What is mounted while it is built is seen by nobody else.
    let mut mmdebstrap = Command::new("unshare");
    run(mmdebstrap.args(["--mount", "--fork", "mmdebstrap"]).args(arguments).arg(directory))
}

/// Waits until nobody else builds in the cache.
pub(crate) fn lock() -> io::Result<File> {
    let lock = File::create(cache()?.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// Makes a root in `directory` that has bash with what it needs to run, and an init that is this bash script.
pub fn with_init(directory: &Path, script: &str) -> io::Result<()> {
    for name in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc"] {
        fs::create_dir_all(directory.join(name))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), directory.join(name))?;
    }
    fs::write(directory.join("usr/lib/os-release"), "ID=tiny\n")?;
    // By this name systemd-nspawn tells which cgroup hierarchies the root can cope with.
    fs::create_dir(directory.join("usr/lib/systemd"))?;
    fs::write(directory.join("usr/lib/systemd/libsystemd-shared-252.so"), "")?;
    add_program(directory, "bash")?;
    let init = directory.join("usr/sbin/init");
    fs::write(&init, format!("#!/bin/bash\n{script}\n"))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))
}

/// Adds a program of the host's `/bin` to a root, with the libraries that it needs.
pub fn add_program(directory: &Path, name: &str) -> io::Result<()> {
    let program = fs::canonicalize(Path::new("/bin").join(name))?;
    let libraries = Command::new("ldd").arg(&program).output()?;
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    fs::copy(&program, directory.join("usr/bin").join(name))?;
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new) {
        let target = directory.join(library.strip_prefix("/").unwrap_or(library));
        fs::create_dir_all(target.parent().unwrap_or(directory))?;
        fs::copy(library, target)?;
    }
    Ok(())
}

/// Where roots, and what else takes long to build, stay for the next test: in the user's cache.
pub fn cache() -> io::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let cache = cache.unwrap_or_else(std::env::temp_dir).join("tandem-tests");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// Removes a directory that may not be there.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    Err(io::Error::other(format!("{}: {}", command.get_program().display(), last.join(" | "))))
}

/// FNV-1a: the same for the same words in every version of this program.
pub(crate) fn hash(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
