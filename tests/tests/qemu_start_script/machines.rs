//! Machines with start scripts.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use backend_qemu::initramfs::{self, Contents, Source};
use backend_qemu::kernel::Kernel;
use backend_qemu::volume::{FileSystem, Volume};
use driver_core::spec::MachineSpec;
use tandem_tests::{TestResult, roots};
use tempfile::TempDir;

/// What guest and tests run.
const PROGRAMS: [&str; 15] =
    ["base64", "cat", "dd", "head", "ip", "ln", "ls", "mkdir", "mv", "ping", "rm", "sleep", "stty", "sync", "timeout"];

/// How the guest powers itself off: what systemd has a program for.
const SYSTEMCTL: &str = "#!/bin/bash\nsync\necho o >/proc/sysrq-trigger\n";

/// What a small guest boots from: files of the host's.
pub(crate) struct Guest {
    directory: TempDir,
    kernel: PathBuf,
}

impl Guest {
    /// Makes the files.
    pub(crate) fn make() -> TestResult<Self> {
        let directory = tempfile::Builder::new().prefix("tandem-test-").tempdir()?;
        let root = directory.path().join("root");
        roots::with_init(&root, include_str!("guest.sh"))?;
        PROGRAMS.iter().try_for_each(|program| roots::add_program(&root, program))?;
        symlink("bash", root.join("usr/bin/sh"))?;
        executable(&root.join("usr/bin/systemctl"), SYSTEMCTL)?;
        let kernel = Kernel::of_host().or_else(Kernel::cached).map_or_else(Kernel::download, Ok)?;
        let contents = Contents {
            root: Source::Disk { device: "/dev/vda", volumes: &[Volume { partition: None, kind: FileSystem::Ext4 }] },
            attachments: &[],
            shares: &[],
            scratch: &[],
            modes: &[],
            changes: &[],
            inits: &["/sbin/init"],
        };
        fs::write(directory.path().join("initrd"), initramfs::build(&kernel, &contents)?)?;
        Ok(Self { directory, kernel: kernel.image })
    }

    /// A machine that boots it by upstream's kind of start script. `mark` tells a process that the script leaves beside QEMU.
    pub(crate) fn machine(&self, name: &str, mark: &str) -> TestResult<MachineSpec> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let script = include_str!("start.sh");
        let (first, rest) = script.split_once('\n').ok_or("the script is one line")?;
        let text = format!(
            "{first}\nNAME={name} MARK={mark} SEEN={} ROOT={} INITRD={} KERNEL={}\n{rest}",
            self.directory.path().display(),
            path("root"),
            path("initrd"),
            self.kernel.display()
        );
        machine(self.directory.path(), name, &text)
    }

    /// What the machine's script has seen: its `arguments`, its `environment`, and so on, a line each.
    pub(crate) fn seen(&self, machine: &str, what: &str) -> io::Result<Vec<String>> {
        let text = fs::read_to_string(self.directory.path().join(format!("{machine}.{what}")))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// A machine whose start script has this text. The quote in its path is there to be quoted.
pub(crate) fn machine(directory: &Path, name: &str, script: &str) -> TestResult<MachineSpec> {
    let path = directory.join(format!("run 'n $HOME {name}-vm"));
    executable(&path, script)?;
    let mut machine = MachineSpec::new(name, "vm");
    machine.vlans.clear();
    machine.start_script = Some(path);
    Ok(machine)
}

fn executable(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Whether a process runs that has this word among its arguments.
pub(crate) fn runs(word: &str) -> io::Result<bool> {
    for entry in fs::read_dir("/proc")? {
        let arguments = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        if arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}
