//! Debian's kernel, taken from its package into the user's cache without being installed.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Kernel, KernelError};

/// The package that stands for the newest kernel for virtual machines on this architecture.
pub(super) fn package() -> String {
    match env::consts::ARCH {
        "x86_64" => "linux-image-cloud-amd64".to_owned(),
        "aarch64" => "linux-image-cloud-arm64".to_owned(),
        other => format!("linux-image-{other}"),
    }
}

/// `$XDG_CACHE_HOME/tandem/kernels`, each of whose directories is an unpacked package.
pub(super) fn directory() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(cache.join("tandem/kernels"))
}

/// Downloads and unpacks the package, unless `newest` finds a kernel in the cache.
pub(super) fn fill(newest: fn(&Path) -> Option<Kernel>) -> Result<Kernel, KernelError> {
    let cache = directory().ok_or(KernelError::NoCache)?;
    fs::create_dir_all(&cache).map_err(KernelError::unreadable(&cache))?;
    let lock = lock(&cache).map_err(KernelError::unreadable(&cache))?;
    if let Some(kernel) = newest(&cache) {
        return Ok(kernel);
    }
    // What an earlier attempt left goes with it.
    let building = cache.join("building");
    clear(&building).map_err(KernelError::unreadable(&building))?;
    fs::create_dir(&building).map_err(KernelError::unreadable(&building))?;
    let archive = download(&building)?;
    let root = building.join("root");
    unpack(&archive, &root)?;
    let name = super::name(&archive).trim_end_matches(".deb").to_owned();
    let target = cache.join(name);
    fs::rename(&root, &target).map_err(KernelError::unreadable(&target))?;
    clear(&building).map_err(KernelError::unreadable(&building))?;
    drop(lock);
    newest(&cache).ok_or(KernelError::NotAKernel(target))
}

/// Why no package can be downloaded or unpacked here: a program that is missing.
pub(super) fn lacking() -> Option<KernelError> {
    const PROGRAMS: [(&str, &str); 4] = [
        ("apt-cache", "use Debian or a relative of it"),
        ("apt-get", "use Debian or a relative of it"),
        ("dpkg-deb", "install Debian's package dpkg"),
        ("depmod", "install Debian's package kmod"),
    ];
    if directory().is_none() {
        return Some(KernelError::NoCache);
    }
    let path = search_path();
    let there = |program: &str| env::split_paths(&path).any(|directory| directory.join(program).is_file());
    let (program, cure) = PROGRAMS.into_iter().find(|(program, _)| !there(program))?;
    let (what, said) = ("would bring a kernel".to_owned(), "it is not on the PATH".to_owned());
    Some(KernelError::Program { program, what, said, cure })
}

/// The `PATH` with where administrators' programs are, which not every user has there.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

/// Waits until no other process fills the cache. Unlocked when it is dropped.
fn lock(cache: &Path) -> io::Result<File> {
    let lock = File::create(cache.join("lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn clear(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Downloads the package of the newest kernel into a directory.
fn download(directory: &Path) -> Result<PathBuf, KernelError> {
    const CURE: &str = "let `apt-get update` bring the lists of a Debian mirror";
    let newest = package();
    let mut depends = Command::new("apt-cache");
    depends.args(["depends", "--important", &newest]);
    let said = run(&mut depends, "apt-cache", &format!("knows no {newest}"), CURE)?;
    let package = dependency(&said).ok_or_else(|| KernelError::Program {
        program: "apt-cache",
        what: format!("names no kernel for {newest}"),
        said: said.trim().to_owned(),
        cure: CURE,
    })?;
    let mut get = Command::new("apt-get");
    get.args(["download", "--quiet", package]).current_dir(directory);
    run(&mut get, "apt-get", &format!("could not download {package}"), CURE)?;
    let files = super::entries(directory).map_err(KernelError::unreadable(directory))?;
    let archive = files.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "deb"));
    archive.ok_or_else(|| KernelError::NotAKernel(directory.to_owned()))
}

/// The kernel's own package in what apt-cache(8) says of the one that stands for it.
fn dependency(said: &str) -> Option<&str> {
    let packages = said.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    packages.map(str::trim).find(|package| package.starts_with("linux-image-"))
}

/// Unpacks a kernel's package and lists its modules, as its installation would.
fn unpack(archive: &Path, root: &Path) -> Result<(), KernelError> {
    let mut extract = Command::new("dpkg-deb");
    extract.arg("--extract").arg(archive).arg(root);
    run(&mut extract, "dpkg-deb", &format!("could not unpack {}", archive.display()), "install Debian's package dpkg")?;
    let modules = root.join("lib/modules");
    for directory in super::entries(&modules).map_err(KernelError::unreadable(&modules))? {
        let mut depmod = Command::new("depmod");
        depmod.env("PATH", search_path());
        depmod.arg("-b").arg(root).arg(super::name(&directory));
        run(&mut depmod, "depmod", "could not list the modules", "install Debian's package kmod")?;
    }
    Ok(())
}

fn run(command: &mut Command, program: &'static str, what: &str, cure: &'static str) -> Result<String, KernelError> {
    let failed = |said| KernelError::Program { program, what: what.to_owned(), said, cure };
    // In a language that `dependency` reads.
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    Err(failed(last.into_iter().rev().collect::<Vec<_>>().join(" | ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_package_is_told_from_others() {
        let said = "linux-image-cloud-amd64\n  Depends: linux-base\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(dependency(said), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(dependency("linux-image-cloud-amd64\n"), None);
    }

    #[test]
    fn a_program_that_fails_or_is_missing_is_told_with_its_cure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one >&2; echo two >&2; exit 3"]);
        let error = run(&mut command, "sh", "could not", "do it").unwrap_err();
        assert_eq!(error.to_string(), "sh could not: one | two");
        let error =
            run(&mut Command::new("no-such-program"), "no-such-program", "could not", "install it").unwrap_err();
        assert!(error.cure().starts_with("install it, or "), "{}", error.cure());
    }
}
