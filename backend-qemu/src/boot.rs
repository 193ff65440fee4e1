//! One boot of a VM: from its files to a QEMU that runs.

use std::fmt::Write;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::event::Recorder;
use driver_core::run::within;
use netbridge::Port;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use crate::accel::{self, Accel};
use crate::argv::{self, Base, Channels, Disk, Interface, Machine};
use crate::disks::{self, Files, Shown};
use crate::lan::{self, Cable};
use crate::process::{self, User};
pub(crate) use crate::tools::Tools;
use crate::tools::{self, ROOT_TAG};
use crate::toplevel;

/// What the kernel is told of every VM. With `panic=-1` it reboots at once when it panics.
const CMDLINE: &str = "panic=-1 net.ifnames=0 systemd.show_status=1";

/// A QEMU that runs. Dropping it ends the VM.
#[derive(Debug)]
pub(crate) struct Boot {
    /// QEMU, or the program that becomes it.
    pub(crate) qemu: Child,
    /// What QEMU needs while it runs.
    pub(crate) helpers: Vec<Child>,
    /// The driver's ends of these do not block.
    pub(crate) qmp: UnixStream,
    pub(crate) serial: UnixStream,
    pub(crate) shell: UnixStream,
    /// The guest's journal as JSON, where the driver has a say in what the guest runs.
    pub(crate) journal: Option<UnixStream>,
    /// The LANs' side of its interfaces.
    pub(crate) ports: Vec<Port>,
    /// The name by which QEMU knows what the interface with this index is plugged into.
    pub(crate) netdev: fn(usize) -> String,
}

/// Boots a VM until QEMU runs.
pub(crate) async fn start(
    tools: &Tools,
    request: &StartRequest,
    descriptors: &Descriptors,
    recorder: &Recorder,
) -> io::Result<Boot> {
    let (ports, cables) = lan::plug(request, descriptors, recorder).await?;
    let (qmp, its_qmp) = process::channel()?;
    let (serial, its_serial) = process::channel()?;
    let (shell, its_shell) = process::channel()?;
    let (launch, its_launch) = process::channel()?;
    // What an initrd of the test's boots has no unit of ours that would write to it.
    let journal = request.machine.initrd.is_none().then(process::channel).transpose()?;
    let (journal, its_journal) = journal.unzip();
    let job = {
        let (tools, request) = (tools.clone(), request.clone());
        let channels =
            Ends { qmp: its_qmp, serial: its_serial, shell: its_shell, launch: its_launch, journal: its_journal };
        move || spawn(&tools, &request, channels, cables)
    };
    let begin = {
        let request = request.clone();
        move || disks::begin(&request)
    };
    within(&descriptors.init, begin).await?;
    let (mut qemu, helpers) = within(&descriptors.init, job).await?;
    let running = timeout(request.boot_timeout, running(&mut qemu, launch)).await;
    match running.unwrap_or_else(|_| Err(io::Error::other("QEMU did not run within `boot-timeout`"))) {
        Ok(()) => Ok(Boot { qemu, helpers, qmp, serial, shell, journal, ports, netdev: argv::netdev }),
        Err(error) => {
            let _ = qemu.kill().await;
            Err(explained(&error, request, descriptors).await)
        }
    }
}

/// The socket of the virtiofsd that shows a share, in the state directory.
fn socket(tag: &str) -> String {
    format!("{tag}.socket")
}

/// What that virtiofsd has to say.
fn log(tag: &str) -> String {
    format!("{tag}.log")
}

/// QEMU's ends of its channels.
struct Ends {
    qmp: OwnedFd,
    serial: OwnedFd,
    shell: OwnedFd,
    launch: OwnedFd,
    journal: Option<OwnedFd>,
}

/// Starts QEMU, and before it what it needs. Runs inside the run's namespaces.
fn spawn(tools: &Tools, request: &StartRequest, ends: Ends, cables: Vec<Cable>) -> io::Result<(Child, Vec<Child>)> {
    let Files { kernel, initrd, shares, disks, open } = disks::prepare(tools, request)?;
    let mut helpers = Vec::new();
    for Shown { tag, directory } in &shares {
        let program = tools.virtiofsd.as_deref().ok_or_else(|| io::Error::other("there is no virtiofsd"))?;
        let (socket, log) = (request.state.join(socket(tag)), request.state.join(log(tag)));
        helpers.push(process::share(program, directory, &socket, request.first_id, &log)?);
    }
    let machine = &request.machine;
    let interfaces: Vec<Interface> = cables
        .iter()
        .zip(&request.attachments)
        .map(|(cable, attachment)| Interface { netdev: cable.netdev(), mac: attachment.mac })
        .collect();
    let base = |(index, format): (usize, &'static str)| Base { descriptor: open[index].as_raw_fd(), format };
    let disks: Vec<Disk<'_>> = disks
        .iter()
        .map(|disk| Disk { path: &disk.path, format: disk.format, base: disk.base.map(base), serial: &disk.serial })
        .collect();
    let sockets: Vec<_> = shares.iter().map(|share| (share.tag, socket(share.tag))).collect();
    let shares: Vec<_> = sockets.iter().map(|(tag, socket)| (*tag, Path::new(socket))).collect();
    let (before, after) = toplevel::cmdline(&machine.root, &machine.name);
    let cmdline = [&before, CMDLINE, &after, machine.cmdline.as_deref().unwrap_or_default()];
    let cmdline = cmdline.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ");
    let argv = Machine {
        name: &machine.name,
        arch: tools.arch,
        accel: tools.accel,
        cpus: machine.cpus.unwrap_or(tools::CPUS),
        memory: machine.memory.unwrap_or(tools::MEMORY),
        kernel: &kernel,
        initrd: &initrd,
        cmdline: &cmdline,
        allow_reboot: request.allow_reboot,
        shares: &shares,
        disks: &disks,
        interfaces: &interfaces,
        channels: Channels {
            qmp: ends.qmp.as_raw_fd(),
            serial: ends.serial.as_raw_fd(),
            shell: ends.shell.as_raw_fd(),
            launch: ends.launch.as_raw_fd(),
            journal: ends.journal.as_ref().map(AsRawFd::as_raw_fd),
        },
        extra: &machine.qemu_args,
    }
    .argv();
    let mut inherited = vec![ends.qmp, ends.serial, ends.shell, ends.launch];
    inherited.extend(ends.journal);
    inherited.extend(cables.into_iter().map(Cable::into_descriptor));
    inherited.extend(open.into_iter().map(OwnedFd::from));
    let group = if tools.accel == Accel::Kvm { accel::group()? } else { None };
    let user = request.first_id.map(|id| User { id, group });
    Ok((process::qemu(&tools.qemu, &argv, &request.state, &inherited, user)?, helpers))
}

/// Waits until QEMU has made all its devices: until then it answers no command.
async fn running(qemu: &mut Child, launch: UnixStream) -> io::Result<()> {
    let mut launch = BufReader::new(tokio::net::UnixStream::from_std(launch)?);
    let mut line = String::new();
    let answered = async {
        launch.write_all(b"{\"execute\":\"qmp_capabilities\"}\n").await?;
        while launch.read_line(&mut line).await? > 0 && !line.contains("\"return\"") {
            line.clear();
        }
        io::Result::Ok(line.contains("\"return\""))
    };
    // It ends when it cannot go on, which shows as an error here at the earliest.
    if answered.await.unwrap_or(false) {
        return Ok(());
    }
    let status = qemu.wait().await?;
    let mut said = String::new();
    if let Some(mut stderr) = qemu.stderr.take() {
        let _ = stderr.read_to_string(&mut said).await;
    }
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(5)..].join(" | ");
    Err(io::Error::other(format!("QEMU ended with {status} before the machine ran: {last}")))
}

/// What else is to be known about a QEMU that did not start.
async fn explained(error: &io::Error, request: &StartRequest, descriptors: &Descriptors) -> io::Error {
    let mut text = error.to_string();
    let log = request.state.join(log(ROOT_TAG));
    let log = within(&descriptors.init, move || fs::read_to_string(log)).await.unwrap_or_default();
    if let Some(last) = log.lines().last() {
        let _ = write!(text, "; virtiofsd said: {last}");
    }
    if text.contains("dgram") {
        text.push_str("; to join a LAN without a tap needs QEMU 7.2: have /dev/net/tun, or a newer QEMU");
    }
    if !request.machine.qemu_args.is_empty() {
        let arguments = request.machine.qemu_args.join(" ");
        let _ = write!(text, "; among its arguments are those of the key `qemu-args`: {arguments}");
    }
    io::Error::other(text)
}
