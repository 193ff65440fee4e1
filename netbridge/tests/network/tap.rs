//! Taps: ports that are a descriptor.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use netbridge::Segment;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::harness::{PATIENCE, eth1, eventually, interfaces, lan, name, namespace, taps};

/// Length of `struct virtio_net_hdr` (`linux/virtio_net.h`), which stands before each frame.
const HEADER: usize = 10;

const OWN_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x01, 0x09];

/// Asks who has 192.168.1.NODE, as 192.168.1.9 (RFC 826).
fn arp_request(node: u8) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame.extend([0xff; 6]);
    frame.extend(OWN_MAC);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame.extend(OWN_MAC);
    frame.extend([192, 168, 1, 9]);
    frame.extend([0; 6]);
    frame.extend([192, 168, 1, node]);
    frame
}

/// The MAC address of an answer to that, if the frame is one.
fn arp_reply(frame: &[u8], node: u8) -> Option<[u8; 6]> {
    let frame = frame.get(HEADER..)?;
    let is_reply =
        frame.get(12..22)? == [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2] && frame.get(28..32)? == [192, 168, 1, node];
    is_reply.then(|| frame[22..28].try_into().unwrap())
}

network_test!(a_tap_reaches_a_namespace_and_is_cut_with_its_cable, || async {
    if !taps() {
        return;
    }
    let lan = lan().await;
    let guest = namespace().await;
    let _port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();
    let (port, tap) = lan.tap(name("tap9")).await.unwrap();
    let mut tap = File::from(tap);

    assert_eq!(ask(&mut tap, 1), eth1(1).mac);
    port.set_up(false).await.unwrap();
    assert_eq!(tap.write(&arp_request(1)).unwrap_err().raw_os_error(), Some(Errno::EIO as i32));
    port.set_up(true).await.unwrap();
    assert_eq!(ask(&mut tap, 1), eth1(1).mac);
});

network_test!(a_tap_goes_with_its_descriptor, || async {
    if !taps() {
        return;
    }
    let (lan, taken) = (lan().await, name("tap9"));
    let (_port, tap) = lan.tap(taken.clone()).await.unwrap();
    let error = lan.tap(taken).await.unwrap_err().to_string();
    assert!(error.starts_with("create tap tap9: ") && error.contains("already in use"), "{error}");
    drop(tap);
    eventually("the tap is gone", async || !there(&lan).await).await;
});

network_test!(a_detached_tap_is_gone, || async {
    if !taps() {
        return;
    }
    let lan = lan().await;
    let (port, _tap) = lan.tap(name("tap9")).await.unwrap();
    assert!(there(&lan).await);
    port.detach().await.unwrap();
    assert!(!there(&lan).await);
});

async fn there(lan: &Segment) -> bool {
    interfaces(lan.namespace().unwrap()).await.contains(&"tap9".to_owned())
}

/// Asks for the MAC address of a node until it answers.
fn ask(tap: &mut File, node: u8) -> Option<[u8; 6]> {
    let start = std::time::Instant::now();
    let mut frame = [0; 2048];
    while start.elapsed() < PATIENCE {
        tap.write_all(&arp_request(node)).unwrap();
        let mut ready = [PollFd::new(tap.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::from(100_u8)).unwrap();
        while let Ok(length) = tap.read(&mut frame) {
            if let Some(mac) = arp_reply(&frame[..length], node) {
                return Some(mac);
            }
        }
    }
    None
}
