//! What Linux makes of the same frames: a tap whose owner asks for no offloads gets them complete.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;

use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::write;

use super::completed;
use super::sample::{SOURCE_MAC, Sample, TCP, UDP};
use crate::frame::Offload;
use crate::{InterfaceName, Namespace, Segment};

/// Milliseconds after which what is not there will never come.
const PATIENCE: u16 = 20_000;

#[test]
fn the_kernel_does_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Err(error) = runtime.block_on(Namespace::new()) else { return runtime.block_on(compare()) };

    // Once more, with the privileges of a user namespace.
    let nested = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]);
        command
    };
    if !nested().arg("true").status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "skipped: {error}, and `unshare --user` is refused too");
        eprintln!("the_kernel_does_the_same skipped: {error}, and `unshare --user` is refused too");
        return;
    }
    let (_, name) = concat!(module_path!(), "::the_kernel_does_the_same").split_once("::").unwrap();
    let output = nested().arg(std::env::current_exe().unwrap()).args(["--exact", name]).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("1 passed"), "in a user namespace: {report}");
}

async fn compare() {
    let lan = Segment::bridge(Arc::new(Namespace::new().await.unwrap()), InterfaceName::new("lan").unwrap()).await;
    let lan = lan.unwrap();
    let (_port, tap) = lan.tap(InterfaceName::new("tap1").unwrap()).await.unwrap();
    let mut tap = File::from(tap);
    let socket = lan.namespace().unwrap().run(|| packet_socket("tap1")).await.unwrap();

    let mut compared = 0;
    for sample in samples() {
        let (frame, cut) = sample.frame();
        let uncut = Offload { gso_type: 0, gso_size: 0, ..cut };
        // The socket takes none above the MTU that is not to be cut.
        let offloads = if frame.len() <= 1500 { &[cut, uncut][..] } else { &[cut] };
        for &offload in offloads {
            write(&socket, &[&offload.to_bytes()[..], &frame].concat()).unwrap();
            for (number, expected) in completed(&frame, offload).unwrap().into_iter().enumerate() {
                let got = receive(&mut tap, &sample);
                assert!(got == expected, "frame {number} of {sample:?}: {got:02x?}, not {expected:02x?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "only {compared} frames compared");
}

fn samples() -> Vec<Sample> {
    let tags = [vec![], vec![(0x8100, 0x2005)], vec![(0x88a8, 7), (0x8100, 0xefff)]];
    let mut samples = Vec::new();
    for (is_ipv6, is_extended) in [(false, false), (true, false), (true, true)] {
        for (protocol, length, size) in
            [(TCP, 60_001, 1400), (TCP, 1000, 999), (TCP, 1400, 100), (UDP, 20_000, 1000), (UDP, 1001, 8)]
        {
            for tags in &tags {
                samples.push(Sample {
                    tags: tags.clone(),
                    is_ipv6,
                    is_extended,
                    protocol,
                    options: 3,
                    // All of them.
                    flags: 0xff,
                    id: 0xfffe,
                    sequence: u32::MAX - 1500,
                    payload: (0..length).map(|at: u32| at.wrapping_mul(at).to_be_bytes()[2]).collect(),
                    size,
                    needs_checksum: true,
                });
            }
        }
    }
    samples
}

/// The next frame of the sample, the kernel's own traffic apart.
fn receive(tap: &mut File, sample: &Sample) -> Vec<u8> {
    let mut frame = vec![0; 65536];
    loop {
        let mut ready = [PollFd::new(tap.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut ready, PATIENCE), Ok(1), "the kernel dropped {sample:?}");
        let length = tap.read(&mut frame).unwrap();
        let got = &frame[Offload::LENGTH..length];
        if got[6..12] == SOURCE_MAC {
            assert_eq!(frame[0] & 1, 0, "not complete");
            assert_eq!(frame[1], 0, "not cut");
            return got.to_vec();
        }
    }
}

/// A socket whose frames leave by `interface`, each behind an [`Offload`].
fn packet_socket(interface: &str) -> OwnedFd {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
    // SAFETY: all zeros is a valid value of this structure of integers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET.try_into().unwrap();
    address.sll_ifindex = if_nametoindex(interface).unwrap().try_into().unwrap();
    let on: libc::c_int = 1;
    let length = |size: usize| libc::socklen_t::try_from(size).unwrap();
    // SAFETY: the descriptor is open, and the option is an integer, which lives across the call and has the length that is given.
    let set = unsafe {
        let level = libc::SOL_PACKET;
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            libc::PACKET_VNET_HDR,
            (&raw const on).cast(),
            length(size_of_val(&on)),
        )
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is open, and the address is one of its family, lives across the call and has the length that is given.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length(size_of_val(&address))) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
    socket
}
