//! The load: whole frames as fast as they go, and frames that come back.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::endpoint::{Endpoint, PacketSocket, Result};
use super::tasks::{OnOneProcessor, Spent};

/// The type of packets of IPv4, and the header of one to an address that nobody has (192.0.2.1, RFC 5737): its receiver counts it and throws
/// it away. Bridges may throw away what is none.
const TYPE: [u8; 2] = [0x08, 0x00];
const PACKET: [u8; 20] = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 253, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1];

/// Both addresses and the type.
const HEADER: usize = 14;

/// What comes later than this was lost.
const LOST: Duration = Duration::from_secs(1);

/// How many frames may be lost before a LAN counts as broken.
const LOSSES: usize = 10;

/// A frame of `size` bytes in all, from one machine to another.
fn frame(from: &Endpoint, to: &Endpoint, size: usize) -> Vec<u8> {
    let mut packet = PACKET;
    packet[2..4].copy_from_slice(&u16::try_from(size - HEADER).unwrap_or(u16::MAX).to_be_bytes());
    let sum: u32 = packet.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    // Twice, because the first can carry again (RFC 1071).
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes()[2..]);
    let mut frame = [&to.mac()[..], &from.mac(), &TYPE, &packet].concat();
    frame.resize(size, 0);
    frame
}

/// What came of sending frames.
pub(super) struct Flow {
    /// How many thousand frames arrived in a second where they were meant to.
    pub(super) rate: f64,
    /// How many microseconds of processor time each took on its way, those of the kernel on behalf of others not counted.
    pub(super) cost: f64,
}

/// Sends frames of `size` bytes in all, as fast as one thread can, from the first machines of all pairs in turns to the second ones.
pub(super) async fn frames(pairs: &[(Endpoint, Endpoint)], size: usize, time: Duration) -> Result<Flow> {
    let mut senders = Vec::new();
    for (from, to) in pairs {
        // So that a switch knows where it is.
        to.packet_socket().await?.send(&frame(to, from, 64))?;
        senders.push((from.packet_socket().await?, frame(from, to, size)));
    }
    tokio::time::sleep(Duration::from_millis(20)).await;

    let (before, spent_before) = (arrived(pairs).await?, Spent::now()?);
    let sending = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        while began.elapsed() < time {
            // Asking for the time takes some, too.
            for _ in 0..16 {
                senders.iter().try_for_each(|(socket, frame)| socket.send(frame))?;
            }
        }
        Result::Ok(began.elapsed())
    });
    let took = sending.await??;
    let (count, spent) = (arrived(pairs).await? - before, Spent::now()?.since(&spent_before));
    settle(pairs).await?;
    let count = f64::from(u32::try_from(count)?);
    Ok(Flow { rate: count / 1e3 / took.as_secs_f64(), cost: spent.as_secs_f64() * 1e6 / count })
}

/// Waits until nothing more arrives of what was sent.
async fn settle(pairs: &[(Endpoint, Endpoint)]) -> Result {
    let mut last = arrived(pairs).await?;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = arrived(pairs).await?;
        // Something of IPv6's own may always come.
        if now - last < 10 {
            return Ok(());
        }
        last = now;
    }
}

/// How many frames the second machines have received so far, those for others not counted.
async fn arrived(pairs: &[(Endpoint, Endpoint)]) -> Result<u64> {
    let mut sum = 0;
    for (_, to) in pairs {
        let table = to.namespace.run(|| fs::read_to_string("/proc/thread-self/net/snmp")).await??;
        let mut lines = table.lines().filter_map(|line| line.strip_prefix("Ip:")).map(str::split_whitespace);
        let (names, numbers) = lines.next().zip(lines.next()).ok_or("no counts of packets")?;
        let (_, count) = names.zip(numbers).find(|(name, _)| *name == "InReceives").ok_or("no count of packets")?;
        sum += count.parse::<u64>()?;
    }
    Ok(sum)
}

/// How many microseconds a frame of `size` bytes in all takes there and back, so many times.
pub(super) async fn round_trips(from: &Endpoint, to: &Endpoint, size: usize, count: usize) -> Result<Vec<f64>> {
    let (here, there) = (from.packet_socket().await?, to.packet_socket().await?);
    let (own, other) = (from.mac(), to.mac());
    let on_one = OnOneProcessor::new()?;
    let end = Arc::new(AtomicBool::new(false));
    let ended = end.clone();
    let echo = tokio::task::spawn_blocking(move || echo(&there, other, &ended));
    let frame = frame(from, to, size);
    let asking = tokio::task::spawn_blocking(move || ask(&here, own, &frame, count));
    let times = asking.await?;
    end.store(true, Ordering::Relaxed);
    echo.await??;
    drop(on_one);
    times
}

/// Sends back what comes.
fn echo(socket: &PacketSocket, own: [u8; 6], ended: &AtomicBool) -> Result {
    socket.set_patience(Duration::from_millis(50))?;
    let mut buffer = [0; 2048];
    while !ended.load(Ordering::Relaxed) {
        let Ok(length) = socket.receive_into(&mut buffer) else { continue };
        if is_ours(&buffer[..length], own) {
            let (target, source) = buffer[..HEADER].split_at_mut(6);
            target.swap_with_slice(&mut source[..6]);
            socket.send(&buffer[..length])?;
        }
    }
    Ok(())
}

fn ask(socket: &PacketSocket, own: [u8; 6], frame: &[u8], count: usize) -> Result<Vec<f64>> {
    socket.set_patience(LOST)?;
    let mut times = Vec::new();
    let (mut buffer, mut losses) = ([0; 2048], 0);
    while times.len() < count {
        let began = Instant::now();
        socket.send(frame)?;
        loop {
            match socket.receive_into(&mut buffer) {
                Ok(length) if is_ours(&buffer[..length], own) => {
                    times.push(began.elapsed().as_secs_f64() * 1e6);
                    break;
                }
                Ok(_) => {}
                Err(_) if losses < LOSSES => {
                    losses += 1;
                    break;
                }
                Err(error) => return Err(format!("no frame comes back: {error}").into()),
            }
        }
    }
    Ok(times)
}

fn is_ours(frame: &[u8], to: [u8; 6]) -> bool {
    frame.get(..6) == Some(&to) && frame.get(12..HEADER) == Some(&TYPE)
}
