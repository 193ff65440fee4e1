//! Why there is no kernel for a guest.

use std::io;
use std::path::{Path, PathBuf};

/// Why a kernel cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A file that cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that does not say which kernel it is.
    #[error("{} is no Linux kernel that says its release", .0.display())]
    NotAKernel(PathBuf),
    /// A kernel whose modules are nowhere.
    #[error("the modules of the kernel {} ({release}) are in none of {}", image.display(), list(looked))]
    NoModules {
        /// The kernel's image.
        image: PathBuf,
        /// What it calls itself.
        release: String,
        /// Where they would be.
        looked: Vec<PathBuf>,
    },
    /// A module that the kernel has neither built in nor beside it.
    #[error("the kernel {release} has no module `{module}`, neither built in nor in {}", directory.display())]
    NoModule {
        /// The kernel's release.
        release: String,
        /// The module's name.
        module: String,
        /// Its directory of modules.
        directory: PathBuf,
    },
    /// There is no cache to keep a kernel in.
    #[error("no directory for a kernel: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
    /// A program that fetches or unpacks a kernel failed or is missing.
    #[error("{program} {what}: {said}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What it was to do, to be read after its name.
        what: String,
        /// Its last words, or why it did not start.
        said: String,
        /// What to do.
        cure: &'static str,
    },
}

impl KernelError {
    /// What the user can do.
    pub fn cure(&self) -> String {
        const NAME: &str = "name a kernel of your distribution by the key `kernel`";
        match self {
            Self::Unreadable { .. } => format!("make it readable for you, or {NAME}"),
            Self::NotAKernel(_) => format!("{NAME}: a bzImage or vmlinuz file"),
            Self::NoModules { .. } => format!("put them there (with a `modules.dep`, which depmod makes), or {NAME}"),
            Self::NoModule { module, .. } => {
                format!("use a kernel that has `{module}`, such as Debian's linux-image-cloud-amd64: {NAME}")
            }
            Self::NoCache => format!("set HOME, or {NAME}"),
            Self::Program { cure, .. } => format!("{cure}, or {NAME}"),
        }
    }

    pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable { path, source }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
