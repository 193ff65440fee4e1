//! A guest's kernel: its image, and the modules that belong to it.
//!
//! It is the one that the test names, else the host's newest, else the newest in the machine's own root, else Debian's, downloaded into the
//! user's cache and never installed.

mod cache;
mod error;
mod header;
mod modules;
mod version;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use error::KernelError;
pub use modules::Modules;
pub(crate) use modules::{content, name as module_name};
use version::version;

/// A kernel image with its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The image, as QEMU's `-kernel` takes it.
    pub image: PathBuf,
    /// What `uname -r` says in the guest.
    pub release: String,
    /// The directory with `modules.dep`: what the guest knows as `/lib/modules/RELEASE`. Without one, all that a guest needs must be built in.
    pub modules: Option<PathBuf>,
    /// The directory in which absolute links among the modules begin: `/`, but for a Nix store that is elsewhere.
    pub root: PathBuf,
}

impl Kernel {
    /// The kernel in a file. Its modules lie beside it or in one of the usual places below `lib/modules`.
    pub fn at(image: &Path) -> Result<Self, KernelError> {
        let release = header::release(image)?;
        let places = places(image, &release);
        let modules = places.iter().find(|place| place.join("modules.dep").is_file());
        let modules = modules.map(|modules| modules.canonicalize().map_err(KernelError::unreadable(modules)));
        Ok(Self { image: image.to_owned(), release, modules: modules.transpose()?, root: "/".into() })
    }

    /// The kernel in a file, with its modules in a directory like `lib/modules`. Absolute links among these begin in `root`.
    pub(crate) fn with_modules(image: &Path, modules: &Path, root: &Path) -> Result<Self, KernelError> {
        let release = header::release(image)?;
        let modules = modules.join(&release);
        let list = modules.join("modules.dep");
        fs::metadata(&list).map_err(KernelError::unreadable(&list))?;
        Ok(Self { image: image.to_owned(), release, modules: Some(modules), root: root.to_owned() })
    }

    /// A warning for a kernel without modules: it boots only if nothing that the guest needs is one.
    pub fn doubt(&self) -> Option<KernelError> {
        let looked = places(&self.image, &self.release);
        let doubt = || KernelError::NoModules { image: self.image.clone(), release: self.release.clone(), looked };
        self.modules.is_none().then(doubt)
    }

    /// The host's newest kernel that has its modules with it.
    pub fn of_host() -> Option<Self> {
        Self::newest_below(Path::new("/"))
    }

    /// The newest kernel in a directory with a system's files, if it has its modules with it.
    pub fn of_root(root: &Path) -> Option<Self> {
        Self::newest_below(root)
    }

    /// The newest of the kernels that were taken into the user's cache.
    pub fn cached() -> Option<Self> {
        Self::newest_in(&cache::directory()?)
    }

    /// Takes Debian's kernel for virtual machines into the user's cache, unless the cache has one already. Blocks; needs `apt-get`, `dpkg-deb` and
    /// `depmod`, and a Debian mirror. Any number of processes may do so at once.
    pub fn download() -> Result<Self, KernelError> {
        cache::fill(Self::newest_in)
    }

    /// The package that [`Kernel::download`] takes.
    pub fn package() -> String {
        cache::package()
    }

    /// Why [`Kernel::download`] cannot succeed here, as far as it can be told without asking a mirror.
    pub fn cannot_download() -> Option<KernelError> {
        cache::lacking()
    }

    /// The newest kernel of a cache, whose directories are each a package.
    fn newest_in(cache: &Path) -> Option<Self> {
        let packages = entries(cache).unwrap_or_default();
        let kernels = packages.iter().filter_map(|package| Self::newest_below(package));
        kernels.max_by(|one, other| version(&one.release).cmp(&version(&other.release)))
    }

    fn newest_below(root: &Path) -> Option<Self> {
        let images = entries(&root.join("boot")).unwrap_or_default().into_iter();
        let images = images.filter(|path| name(path).starts_with("vmlinuz-"));
        // Where a distribution keeps the image among its modules, /boot may not be readable or not be there.
        let modules = entries(&root.join("lib/modules")).unwrap_or_default().into_iter();
        let kernels = images.chain(modules.map(|directory| directory.join("vmlinuz")));
        let kernels = kernels.filter_map(|image| Self::at(&image).ok().filter(|kernel| kernel.modules.is_some()));
        kernels.max_by(|one, other| version(&one.release).cmp(&version(&other.release)))
    }
}

/// Where the modules of an image may be.
fn places(image: &Path, release: &str) -> Vec<PathBuf> {
    let directory = image.parent().unwrap_or(Path::new(""));
    let above = directory.join("..");
    vec![
        directory.to_owned(),
        directory.join("modules").join(release),
        directory.join("lib/modules").join(release),
        above.join("lib/modules").join(release),
        above.join("usr/lib/modules").join(release),
        Path::new("/lib/modules").join(release),
    ]
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these kernels in it, each an image and its directory of modules.
    fn root(kernels: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (image, modules) in kernels {
            let image = root.path().join(image);
            fs::create_dir_all(image.parent().unwrap()).unwrap();
            let release = modules.rsplit('/').next().unwrap();
            fs::write(image, header::tests::image(&format!("{release} (someone@somewhere) #1"))).unwrap();
            fs::create_dir_all(root.path().join(modules)).unwrap();
            fs::write(root.path().join(modules).join("modules.dep"), "").unwrap();
        }
        root
    }

    #[test]
    fn modules_are_found_where_distributions_have_them() {
        for (image, modules) in [
            ("boot/vmlinuz-6.1.0-9-amd64", "lib/modules/6.1.0-9-amd64"),
            ("boot/vmlinuz-6.1.0-9-amd64", "usr/lib/modules/6.1.0-9-amd64"),
            ("lib/modules/6.1.0-9-amd64/vmlinuz", "lib/modules/6.1.0-9-amd64"),
            ("bzImage", "lib/modules/6.1.0-9-amd64"),
            ("bzImage", "modules/6.1.0-9-amd64"),
        ] {
            let root = root(&[(image, modules)]);
            let kernel = Kernel::at(&root.path().join(image)).unwrap();
            assert_eq!(kernel.release, "6.1.0-9-amd64");
            assert_eq!(kernel.modules, Some(root.path().join(modules).canonicalize().unwrap()));
            assert!(kernel.doubt().is_none());
        }
    }

    #[test]
    fn a_kernel_without_modules_is_told_with_where_they_would_be() {
        let root = root(&[]);
        let image = root.path().join("bzImage");
        fs::write(&image, header::tests::image("6.1.0 (x@y)")).unwrap();
        let error = Kernel::at(&image).unwrap().doubt().unwrap();
        assert!(error.to_string().contains("lib/modules/6.1.0"), "{error}");
        assert!(error.cure().contains("kernel"), "{}", error.cure());
    }

    #[test]
    fn the_newest_kernel_with_modules_is_taken() {
        let root = root(&[
            ("boot/vmlinuz-6.1.0-9-amd64", "lib/modules/6.1.0-9-amd64"),
            ("boot/vmlinuz-6.1.0-10-amd64", "lib/modules/6.1.0-10-amd64"),
            ("lib/modules/5.10.0-1/vmlinuz", "lib/modules/5.10.0-1"),
        ]);
        fs::write(root.path().join("boot/vmlinuz-6.2"), header::tests::image("6.2 (no modules)")).unwrap();
        fs::write(root.path().join("boot/vmlinuz-9"), "no kernel").unwrap();
        assert_eq!(Kernel::newest_below(root.path()).unwrap().release, "6.1.0-10-amd64");
        assert_eq!(Kernel::newest_below(&root.path().join("boot")), None);

        let cache = tempfile::tempdir().unwrap();
        assert_eq!(Kernel::newest_in(cache.path()), None);
        fs::rename(root.path(), cache.path().join("package")).unwrap();
        assert_eq!(Kernel::newest_in(cache.path()).unwrap().release, "6.1.0-10-amd64");
    }
}
