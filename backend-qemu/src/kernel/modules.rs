//! Which modules to load, and in which order.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use driver_core::spec::resolve_within;

use super::{Kernel, KernelError};

/// The modules of a kernel, as depmod(8) has listed them.
#[derive(Clone, Debug)]
pub struct Modules {
    release: String,
    /// None where all that anybody asks for is taken for built in.
    directory: Option<PathBuf>,
    /// Where absolute links begin.
    root: PathBuf,
    /// By name, what `modules.dep` says: the file, and the files that it needs, the innermost last.
    loadable: HashMap<String, (PathBuf, Vec<PathBuf>)>,
    built_in: HashSet<String>,
}

impl Modules {
    /// Reads the lists of a kernel's modules.
    pub fn of(kernel: &Kernel) -> Result<Self, KernelError> {
        let Some(directory) = &kernel.modules else { return Ok(Self::parse(kernel, "", "")) };
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).map_err(KernelError::unreadable(&path))
        };
        // Only a kernel without any built-in module lacks this list.
        let built_in = read("modules.builtin").unwrap_or_default();
        Ok(Self::parse(kernel, &read("modules.dep")?, &built_in))
    }

    fn parse(kernel: &Kernel, dependencies: &str, built_in: &str) -> Self {
        let loadable = dependencies.lines().filter_map(|line| {
            let (file, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().map(PathBuf::from).collect();
            Some((name(Path::new(file)), (PathBuf::from(file), needs)))
        });
        Self {
            release: kernel.release.clone(),
            directory: kernel.modules.clone(),
            root: kernel.root.clone(),
            loadable: loadable.collect(),
            built_in: built_in.lines().map(|file| name(Path::new(file))).collect(),
        }
    }

    /// The files to load for these modules, each after what it needs. Built-in modules need none.
    pub fn files(&self, wanted: &[&str]) -> Result<Vec<PathBuf>, KernelError> {
        let mut files: Vec<PathBuf> = Vec::new();
        let Some(directory) = &self.directory else { return Ok(files) };
        for module in wanted {
            let name = name(Path::new(module));
            match self.loadable.get(&name) {
                Some((file, needs)) => {
                    for file in needs.iter().rev().chain([file]) {
                        let file = self.follow(directory.join(file));
                        if !files.contains(&file) {
                            files.push(file);
                        }
                    }
                }
                None if self.built_in.contains(&name) => {}
                None => {
                    let (release, directory) = (self.release.clone(), directory.clone());
                    return Err(KernelError::NoModule { release, module: (*module).to_owned(), directory });
                }
            }
        }
        Ok(files)
    }

    /// The file that a path leads to. One that leads nowhere stays, for whoever opens it to tell.
    fn follow(&self, path: PathBuf) -> PathBuf {
        if self.root == Path::new("/") {
            return path;
        }
        let inside = path.strip_prefix(&self.root).unwrap_or(&path);
        resolve_within(&self.root, inside).unwrap_or(path)
    }

    /// Whether the kernel has a module, built in or not.
    pub fn has(&self, module: &str) -> bool {
        let name = name(Path::new(module));
        self.loadable.contains_key(&name) || self.built_in.contains(&name)
    }
}

/// The name of a module by its file's: without directory and endings, `_` for `-` as the kernel has it.
pub(crate) fn name(file: &Path) -> String {
    let name = super::name(file);
    name.split_once(".ko").map_or(name, |(name, _)| name).replace('-', "_")
}

/// A module as the kernel takes it. Compressed ones are unpacked here, because not every kernel can.
pub(crate) fn content(file: &Path) -> Result<Vec<u8>, KernelError> {
    let program = match file.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(file).map_err(KernelError::unreadable(file)),
    };
    let failed = |said: String| KernelError::Program {
        program,
        what: format!("could not unpack {}", file.display()),
        said,
        cure: "install it (Debian's packages xz-utils, zstd and gzip)",
    };
    let input = fs::File::open(file).map_err(KernelError::unreadable(file))?;
    let mut command = Command::new(program);
    let output = command.args(["-d", "-c"]).stdin(input).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(output.stdout);
    }
    let mut said = String::new();
    let _ = output.stderr.as_slice().read_to_string(&mut said);
    Err(failed(said.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "\
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio_pci_modern_dev.ko:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio_pci_modern_dev.ko kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
";

    fn modules() -> Modules {
        let kernel = Kernel { image: "/k".into(), release: "6.1".into(), modules: Some("/m".into()), root: "/".into() };
        Modules::parse(&kernel, DEPENDENCIES, "kernel/fs/ext4/ext4.ko\nkernel/drivers/tty/hvc/hvc-console.ko\n")
    }

    fn names(files: &[PathBuf]) -> Vec<String> {
        files.iter().map(|file| name(file)).collect()
    }

    #[test]
    fn modules_come_after_what_they_need_and_once() {
        let files = modules().files(&["virtio_pci", "ext4", "virtio_rng", "virtio-rng", "hvc_console"]).unwrap();
        assert_eq!(names(&files), ["virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci", "virtio_rng"]);
        assert_eq!(files[3], Path::new("/m/kernel/drivers/virtio/virtio_pci.ko.xz"));
    }

    #[test]
    fn a_missing_module_is_named_with_its_kernel_and_the_cure() {
        let error = modules().files(&["virtio_pci", "9p"]).unwrap_err();
        assert_eq!(error.to_string(), "the kernel 6.1 has no module `9p`, neither built in nor in /m");
        assert!(error.cure().contains("use a kernel that has `9p`"));
        assert!(modules().has("ext4") && modules().has("virtio-rng") && !modules().has("9p"));
    }

    #[test]
    fn a_kernel_without_modules_is_taken_to_have_all() {
        let kernel = Kernel { image: "/k".into(), release: "6.1".into(), modules: None, root: "/".into() };
        assert_eq!(Modules::of(&kernel).unwrap().files(&["virtio_pci", "9p"]).unwrap(), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn compressed_modules_are_unpacked() {
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("a.ko");
        fs::write(&plain, b"\x7fELF and more").unwrap();
        assert_eq!(content(&plain).unwrap(), b"\x7fELF and more");
        let packed = directory.path().join("a.ko.gz");
        let gzip = Command::new("gzip").arg("-c").arg(&plain).output().unwrap();
        fs::write(&packed, gzip.stdout).unwrap();
        assert_eq!(content(&packed).unwrap(), b"\x7fELF and more");
        fs::write(&packed, "no gzip").unwrap();
        let error = content(&packed).unwrap_err().to_string();
        assert!(error.starts_with("gzip could not unpack /"), "{error}");
    }
}
