//! Much data over one connection, each byte of which is looked at.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};

use crate::endpoint::{Endpoint, Kind};
use crate::harness::PATIENCE;
use crate::pair::Fabric;

const MEGABYTE: usize = 1 << 20;

/// How many megabytes go each way: what takes about a second, so that all pairs end within a minute.
pub(crate) fn size(_fabric: Fabric, kinds: [Kind; 2]) -> u32 {
    let slow = kinds.iter().any(|kind| !matches!(kind, Kind::Veth | Kind::Tap));
    if slow { 32 } else { 256 }
}

/// Sends so many megabytes to a machine.
pub(crate) async fn check(from: &Endpoint, to: &Endpoint, address: IpAddr, megabytes: u32) {
    let listener = to.namespace.run(move || TcpListener::bind((address, 0))).await.unwrap().unwrap();
    let target = listener.local_addr().unwrap();
    let sender = from.namespace.run(move || TcpStream::connect_timeout(&target, PATIENCE)).await.unwrap();
    let mut sender = sender.unwrap_or_else(|error| panic!("to {target}: {error}"));
    sender.set_write_timeout(Some(PATIENCE)).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();

    let receiving = tokio::task::spawn_blocking(move || {
        let (mut expected, mut received) = (block(), vec![0; MEGABYTE]);
        for number in 0..megabytes {
            stamp(&mut expected, number);
            receiver.read_exact(&mut received).unwrap_or_else(|error| panic!("megabyte {number} to {target}: {error}"));
            assert!(received == expected, "megabyte {number} to {target} was changed on its way");
        }
        assert_eq!(receiver.read(&mut received).unwrap(), 0, "more came than was sent");
    });
    let sending = tokio::task::spawn_blocking(move || {
        let mut block = block();
        for number in 0..megabytes {
            stamp(&mut block, number);
            sender.write_all(&block).unwrap_or_else(|error| panic!("megabyte {number} to {target}: {error}"));
        }
    });
    receiving.await.unwrap();
    sending.await.unwrap();
}

/// A megabyte in which no piece is like another (a linear congruential generator).
fn block() -> Vec<u8> {
    let words = std::iter::successors(Some(1_u64), |word| {
        Some(word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    });
    words.take(MEGABYTE / 8).flat_map(u64::to_be_bytes).collect()
}

/// Makes each megabyte another one.
fn stamp(block: &mut [u8], number: u32) {
    for piece in block.chunks_exact_mut(1 << 10) {
        piece[..4].copy_from_slice(&number.to_be_bytes());
    }
}
