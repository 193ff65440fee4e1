//! What the stores of hosts hold: a distribution for the tests' machines.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::roots::{arguments, cache, hash, install, lock, remove, run};

/// What the distribution has installed: what a machine has, and what runs machines.
const PACKAGES: &str = "systemd,systemd-sysv,systemd-container,dbus,bash,coreutils,iproute2,iputils-ping,netcat-openbsd,curl,util-linux,\
    procps,python3,busybox-static,tar,qemu-utils,qemu-system-common,e2fsprogs,kmod";

/// A Nix store's directory as it was when the distribution was added to it.
#[derive(Clone, Debug)]
pub struct Store {
    /// What becomes `/nix`: `store` and `var`.
    pub(super) directory: PathBuf,
    /// The distribution's path in the store.
    pub distribution: PathBuf,
}

impl Store {
    /// Takes the store from the cache, or prepares it by the Nix of `root`.
    pub(super) fn build(root: &Path) -> io::Result<Self> {
        let (kernel, qemu) = match std::env::consts::ARCH {
            "aarch64" => ("linux-image-cloud-arm64", "qemu-system-arm"),
            _ => ("linux-image-cloud-amd64", "qemu-system-x86"),
        };
        let arguments = arguments("bookworm", &format!("{PACKAGES},{kernel},{qemu}"));
        let script = include_str!("prepare.sh");
        let _lock = lock()?;
        let words: Vec<&str> = arguments.iter().map(String::as_str).chain([script]).collect();
        let directory = cache()?.join(format!("nix-{:016x}", hash(&words)));
        if !directory.exists() {
            let (distribution, building) = (cache()?.join("building"), cache()?.join("building-nix"));
            install(&arguments, &distribution)?;
            remove(&building)?;
            fs::create_dir(&building)?;
            let work = tempfile::tempdir()?;
            let mut nix = Command::new("unshare");
            nix.args(["--pid", "--fork", "--kill-child", "--mount", "--net", "bash", "-c", script]);
            nix.env("ROOT", root).env("WORK", work.path()).env("FILES", &distribution).env("STORE", &building);
            run(&mut nix)?;
            remove(&distribution)?;
            fs::rename(&building, &directory)?;
        }
        let entry = fs::read_dir(directory.join("store"))?.next().ok_or(io::ErrorKind::NotFound)??;
        Ok(Self { distribution: Path::new("/nix/store").join(entry.file_name()), directory })
    }
}
