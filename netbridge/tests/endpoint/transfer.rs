//! Much data over one connection, each byte of which is looked at.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{Endpoint, PATIENCE, Result};

const MEGABYTE: usize = 1 << 20;

/// Sends so many megabytes (of 2^20 bytes) to an address of a machine, and says how long that took.
pub(crate) async fn transfer(from: &Endpoint, to: &Endpoint, address: IpAddr, megabytes: u32) -> Result<Duration> {
    let listener = to.namespace.run(move || TcpListener::bind((address, 0))).await??;
    let target = listener.local_addr()?;
    let sender = from.namespace.run(move || TcpStream::connect_timeout(&target, PATIENCE)).await?;
    let sender = sender.map_err(|error| format!("connect to {target}: {error}"))?;
    sender.set_write_timeout(Some(PATIENCE))?;
    let (receiver, _) = listener.accept()?;
    receiver.set_read_timeout(Some(PATIENCE))?;

    let began = Instant::now();
    let receiving = tokio::task::spawn_blocking(move || receive(receiver, megabytes));
    let sending = tokio::task::spawn_blocking(move || send(sender, megabytes));
    let results = (receiving.await?, sending.await?);
    results.0.and(results.1).map_err(|error| format!("{megabytes} MB to {target}: {error}"))?;
    Ok(began.elapsed())
}

fn send(mut stream: TcpStream, megabytes: u32) -> io::Result<()> {
    let mut block = block();
    (0..megabytes).try_for_each(|number| {
        stamp(&mut block, number);
        stream.write_all(&block)
    })
}

fn receive(mut stream: TcpStream, megabytes: u32) -> io::Result<()> {
    let (mut expected, mut received) = (block(), vec![0; MEGABYTE]);
    for number in 0..megabytes {
        stamp(&mut expected, number);
        let read = stream.read_exact(&mut received);
        read.map_err(|error| io::Error::other(format!("megabyte {number} does not come: {error}")))?;
        if received != expected {
            return Err(io::Error::other(format!("megabyte {number} was changed on its way")));
        }
    }
    match stream.read(&mut received)? {
        0 => Ok(()),
        _ => Err(io::Error::other("more came than was sent")),
    }
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
