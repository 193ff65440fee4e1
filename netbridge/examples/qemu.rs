//! A QEMU VM on a LAN, with no privilege and no device node: its network card asks for an address, and a capture shows it.
//!
//! The VM has no disk. What runs in it is the firmware of its network card, as on any machine that boots from the network. Usage:
//! `cargo run --example qemu [FILE.pcapng]`. It needs `qemu-system-x86_64` and the card's firmware (Debian: qemu-system-x86, ipxe-qemu).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netbridge::{CaptureOptions, InterfaceName, Segment};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use pcap_file::pcapng::{Block, PcapNgReader};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A start by emulation takes seconds, on a busy machine more of them.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("lan.pcapng"), PathBuf::from);
    let lan = Segment::switch(None, InterfaceName::new("lan")?);
    let capture = lan.capture(&path, CaptureOptions::default()).await?;

    let (_port, socket) = lan.dgram(InterfaceName::new("vm")?).await?;
    // QEMU inherits it.
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let netdev = format!("dgram,id=lan,local.type=fd,local.str={}", socket.as_raw_fd());
    let mut vm = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-boot", "n"])
        .args(["-netdev", &netdev, "-device", "virtio-net-pci,netdev=lan,mac=52:54:00:12:01:01"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start qemu-system-x86_64: {error}; install QEMU (Debian: qemu-system-x86)"))?;
    drop(socket);

    // One of the first two is for an address of IPv4, the other of IPv6.
    let waited = Instant::now();
    while lan.link("vm").stats().await?.out.frames < 2 && waited.elapsed() < PATIENCE && vm.try_wait()?.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = vm.try_wait()?.is_some();
    vm.kill()?;
    let said = vm.wait_with_output()?.stderr;
    let summary = capture.finish().await?;
    if summary.frames == 0 && ended {
        let said = String::from_utf8_lossy(&said);
        return Err(
            format!("QEMU ended: {}; is its network card's firmware there (Debian: ipxe-qemu)?", said.trim()).into()
        );
    } else if summary.frames == 0 {
        return Err(format!("the VM did not say anything within {} s", PATIENCE.as_secs()).into());
    }

    let mut out = io::stdout();
    writeln!(out, "{} frames are in {}:", summary.frames, path.display())?;
    let mut reader = PcapNgReader::new(File::open(&path)?)?;
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block? {
            writeln!(out, "{}", describe(&packet.data))?;
        }
    }
    Ok(())
}

/// Who sends what to whom.
fn describe(frame: &[u8]) -> String {
    let mac = |at: usize| frame[at..at + 6].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    let what = match (&frame[12..14], frame.get(23), frame.get(34..38)) {
        // UDP from port 68 to port 67.
        ([0x08, 0x00], Some(17), Some([0, 68, 0, 67])) => "asks for an address (DHCP)".to_owned(),
        ([0x86, 0xdd], ..) => "IPv6".to_owned(),
        (kind, ..) => format!("type {:02x}{:02x}", kind[0], kind[1]),
    };
    format!("{} to {}: {what}, {} bytes", mac(6), mac(0), frame.len())
}
