//! One boot: disk, network, namespaces, and a bash as pid 1.
//!
//! A shim is forked into the run's namespaces, so that it ends with the run. It makes the machine's own ones, forks the machine's pid 1 and waits
//! for it. When pid 1 ends, the kernel ends all that is in its pid namespace first (`pid_namespaces(7)`).

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::guest_files::{self, Change};
use driver_core::mount::{Detached, mount, restrict_recursive};
use driver_core::process::Child;
use driver_core::run::{cgroup, within};
use netbridge::{Namespace, Port};
use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::{Pid, PidfdFlags, Signal};

/// What pid 1 powers off by, and reboots by.
pub(crate) const POWER_OFF: Signal = Signal::TERM;
pub(crate) const REBOOT: Signal = Signal::USR1;

/// Its status when it asks to be booted again.
pub(crate) const REBOOTS: i32 = 133;

/// bash reaps whatever processes it is left with.
const INIT: &str =
    "trap 'echo powering off; exit 0' TERM; trap 'echo rebooting; exit 133' USR1; echo \"$HOSTNAME is up\"
while :; do sleep infinity & wait; done";

/// One boot of a machine.
pub(crate) struct Boot {
    pub(crate) shim: Child,
    pub(crate) inside: Arc<Inside>,
    pub(crate) console: OwnedFd,
}

/// What is needed to get in.
pub(crate) struct Inside {
    /// A pidfd of pid 1.
    pub(crate) init: OwnedFd,
    pub(crate) ports: Vec<Port>,
    /// Where a process enters the machine's cgroups.
    pub(crate) cgroups: Vec<File>,
}

/// Boots a machine as far as its pid 1.
pub(crate) async fn start(request: &StartRequest, descriptors: &Descriptors) -> io::Result<Boot> {
    let network = Namespace::new().await.map_err(io::Error::other)?;
    let ports = descriptors.plug(request, &network).await?;
    let cgroups = cgroup::make(&request.cgroups, &request.machine.name, 0);
    let open = |cgroup: PathBuf| OpenOptions::new().write(true).open(cgroup.join("cgroup.procs"));
    let cgroups = cgroups.into_iter().map(open).collect::<io::Result<Vec<_>>>()?;
    let (console, output) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (told, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let machine = Machine {
        name: request.machine.name.clone(),
        root: request.state.join("root"),
        network: network.as_fd().try_clone_to_owned()?,
        cgroups: cgroups.iter().map(File::try_clone).collect::<io::Result<_>>()?,
        output,
        report,
    };
    let request = request.clone();
    let shim = within(&descriptors.init, move || {
        make_disk(&request)?;
        let keep: Vec<_> = machine.descriptors().collect();
        // SAFETY: `run` allocates and makes system calls, and so does what it forks, until that executes bash.
        unsafe { Child::fork(&keep, || machine.run()) }
    });
    let shim = shim.await?;
    // Ends with a byte once pid 1 is there, and without one if there will be none.
    driver_core::process::wait_readable(told.as_fd()).await?;
    let Some(init) = child_of(shim.pid()) else {
        drop(shim);
        let mut said = String::new();
        File::from(console).read_to_string(&mut said)?;
        return Err(io::Error::other(said.trim().to_owned()));
    };
    Ok(Boot { shim, inside: Arc::new(Inside { init, ports, cgroups }), console })
}

/// A pidfd of a process's only child.
fn child_of(pid: i32) -> Option<OwnedFd> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let child = Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)?;
    rustix::process::pidfd_open(child, PidfdFlags::empty()).ok()
}

/// Mounts an overlay above the host's root, unless an earlier boot has. It lasts as long as the run's mount namespace.
fn make_disk(request: &StartRequest) -> io::Result<()> {
    let path = |name: &str| request.state.join(name);
    if path("complete").exists() {
        return Ok(());
    }
    for name in ["lower", "upper", "work", "root"] {
        fs::create_dir_all(path(name))?;
    }
    let lower = Detached::copy(Path::new("/"))?;
    lower.restrict(libc::MOUNT_ATTR_RDONLY)?;
    lower.attach(&path("lower"))?;
    let shown = |name: &str| path(name).display().to_string();
    let layers = format!("lowerdir={},upperdir={},workdir={}", shown("lower"), shown("upper"), shown("work"));
    mount(Path::new("overlay"), &path("root"), Some("overlay"), MsFlags::empty(), Some(&layers))?;
    // Of the files that make a root a machine's own, those that matter without systemd.
    for change in guest_files::changes(request, "", |_| Ok(Vec::new()))? {
        match change {
            Change::Write { path: file, content, .. } if ["/etc/hosts", "/etc/hostname"].contains(&&*file) => {
                fs::write(path("root").join(file.trim_start_matches('/')), content)?;
            }
            _ => {}
        }
    }
    fs::write(path("complete"), "")
}

/// What shim and pid 1 need.
struct Machine {
    name: String,
    root: PathBuf,
    network: OwnedFd,
    cgroups: Vec<File>,
    output: OwnedFd,
    report: OwnedFd,
}

impl Machine {
    fn descriptors(&self) -> impl Iterator<Item = i32> {
        let single = [&self.network, &self.output, &self.report].map(AsRawFd::as_raw_fd);
        single.into_iter().chain(self.cgroups.iter().map(AsRawFd::as_raw_fd))
    }

    /// The shim. Its status is that of pid 1.
    fn run(&self) -> i32 {
        self.make_namespaces().and_then(|()| self.fork()).unwrap_or_else(|error| self.fail(&error))
    }

    /// Says on the console what went wrong.
    fn fail(&self, error: &io::Error) -> i32 {
        let _ = rustix::io::write(&self.output, format!("sandbox: {error}\n").as_bytes());
        1
    }

    fn make_namespaces(&self) -> io::Result<()> {
        // SAFETY: a plain system call. A session of its own keeps a terminal's Ctrl-C away.
        unsafe { libc::setsid() };
        for mut cgroup in &self.cgroups {
            cgroup.write_all(b"0")?;
        }
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        let new = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
        unshare(new | CloneFlags::CLONE_NEWPID)?;
        nix::unistd::sethostname(&self.name)?;
        mount(Path::new("none"), Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
    }

    fn fork(&self) -> io::Result<i32> {
        let keep: Vec<_> = self.descriptors().collect();
        // SAFETY: `become_init` allocates and makes system calls until it executes bash.
        let forked = unsafe {
            Child::fork(&keep, || match self.become_init() {
                Ok(never) => match never {},
                Err(error) => self.fail(&error),
            })
        };
        rustix::io::write(&self.report, b"x")?;
        forked?.wait_blocking()
    }

    fn become_init(&self) -> io::Result<Infallible> {
        // SAFETY: a plain system call. The shim has one thread and keeps its ids, so this holds until it ends.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        self.mount_all()?;
        std::env::set_current_dir(&self.root)?;
        // Both at the same place: the old root is then on top of the new one (pivot_root(2)).
        nix::unistd::pivot_root(".", ".")?;
        nix::mount::umount2(".", MntFlags::MNT_DETACH)?;
        std::env::set_current_dir("/")?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(&self.output)?;
        rustix::stdio::dup2_stderr(&self.output)?;
        let words = |words: &[&str]| words.iter().map(|word| CString::new(*word)).collect::<Result<Vec<_>, _>>();
        let (argv, env) = (words(&["init", "--norc", "-c", INIT])?, words(&["PATH=/usr/bin:/bin"])?);
        for fd in self.descriptors() {
            // SAFETY: nothing uses these descriptors any more.
            unsafe { libc::close(fd) };
        }
        match nix::unistd::execve(c"/bin/bash", &argv, &env)? {}
    }

    /// Mounts what shows this machine's own processes, interfaces and devices.
    fn mount_all(&self) -> io::Result<()> {
        let at = |name: &str| self.root.join(name);
        let fresh = |kind: &str, name: &str, data: Option<&str>| {
            mount(Path::new(kind), &at(name), Some(kind), MsFlags::MS_NOSUID, data)
        };
        fresh("proc", "proc", None)?;
        fresh("sysfs", "sys", None)?;
        fresh("tmpfs", "run", Some("mode=0755"))?;
        fresh("tmpfs", "dev", Some("mode=0755"))?;
        // The settings of the kernel are the host's.
        for name in ["proc/sys", "sys"] {
            mount(&at(name), &at(name), None, MsFlags::MS_BIND, None)?;
            restrict_recursive(&at(name), libc::MOUNT_ATTR_RDONLY)?;
        }
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            let (node, target) = (Path::new("/dev").join(name), at("dev").join(name));
            File::create(&target)?;
            mount(&node, &target, None, MsFlags::MS_BIND, None)?;
        }
        for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            symlink(target, at("dev").join(name))?;
        }
        // Where pid 1 writes.
        symlink("/proc/1/fd/1", at("dev/console"))
    }
}
