//! The load: whole frames as fast as they go, and frames that come back.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::endpoint::{Endpoint, PacketSocket, Result};

/// The type of frames for experiments (IEEE 802, local).
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

/// Both addresses and the type.
const HEADER: usize = 14;

/// What comes later than this was lost.
const LOST: Duration = Duration::from_secs(1);

/// How many frames may be lost before a LAN counts as broken.
const LOSSES: usize = 10;

/// A frame of `size` bytes in all, from one machine to another.
fn frame(from: &Endpoint, to: &Endpoint, size: usize) -> Vec<u8> {
    let mut frame = [&to.mac()[..], &from.mac(), &EXPERIMENT].concat();
    frame.resize(size, 0);
    frame
}

/// How many thousand frames of `size` bytes in all arrive in a second at the second machines of all pairs together, while one thread sends
/// from the first ones in turns, as fast as it can.
pub(super) async fn frames(pairs: &[(Endpoint, Endpoint)], size: usize, time: Duration) -> Result<f64> {
    let mut senders = Vec::new();
    for (from, to) in pairs {
        // So that a switch knows where it is.
        to.packet_socket().await?.send(&frame(to, from, 64))?;
        senders.push((from.packet_socket().await?, frame(from, to, size)));
    }
    tokio::time::sleep(Duration::from_millis(20)).await;

    let before = arrived(pairs).await?;
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
    let count = arrived(pairs).await? - before;
    settle(pairs).await?;
    Ok(f64::from(u32::try_from(count)?) / 1e3 / took.as_secs_f64())
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

/// How many frames the second machines have received so far.
async fn arrived(pairs: &[(Endpoint, Endpoint)]) -> Result<u64> {
    let mut sum = 0;
    for (_, to) in pairs {
        let table = to.namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev")).await??;
        let counts = table.lines().find_map(|line| line.trim().strip_prefix("eth1:")).ok_or("no eth1")?;
        let packets = counts.split_whitespace().nth(1).ok_or("no packets")?;
        sum += packets.parse::<u64>()?;
    }
    Ok(sum)
}

/// How many microseconds a frame of `size` bytes in all takes there and back, so many times.
pub(super) async fn round_trips(from: &Endpoint, to: &Endpoint, size: usize, count: usize) -> Result<Vec<f64>> {
    let (here, there) = (from.packet_socket().await?, to.packet_socket().await?);
    let (own, other) = (from.mac(), to.mac());
    let end = Arc::new(AtomicBool::new(false));
    let ended = end.clone();
    let echo = tokio::task::spawn_blocking(move || echo(&there, other, &ended));
    let frame = frame(from, to, size);
    let asking = tokio::task::spawn_blocking(move || ask(&here, own, &frame, count));
    let times = asking.await?;
    end.store(true, Ordering::Relaxed);
    echo.await??;
    times
}

/// Sends back what comes.
fn echo(socket: &PacketSocket, own: [u8; 6], ended: &AtomicBool) -> Result {
    let _pinned = Pinned::new()?;
    socket.set_patience(Duration::from_millis(50))?;
    let mut buffer = [0; 2048];
    while !ended.load(Ordering::Relaxed) {
        let Ok(length) = socket.receive_into(&mut buffer) else { continue };
        if is_experiment(&buffer[..length], own) {
            let (target, source) = buffer[..HEADER].split_at_mut(6);
            target.swap_with_slice(&mut source[..6]);
            socket.send(&buffer[..length])?;
        }
    }
    Ok(())
}

fn ask(socket: &PacketSocket, own: [u8; 6], frame: &[u8], count: usize) -> Result<Vec<f64>> {
    let _pinned = Pinned::new()?;
    socket.set_patience(LOST)?;
    let mut times = Vec::new();
    let (mut buffer, mut losses) = ([0; 2048], 0);
    while times.len() < count {
        let began = Instant::now();
        socket.send(frame)?;
        loop {
            match socket.receive_into(&mut buffer) {
                Ok(length) if is_experiment(&buffer[..length], own) => {
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

fn is_experiment(frame: &[u8], to: [u8; 6]) -> bool {
    frame.get(..6) == Some(&to) && frame.get(12..HEADER) == Some(&EXPERIMENT)
}

/// A thread on the first processor that it may run on. Else a round trip takes ten times as long whenever the kernel puts the two sides
/// apart: that is what waking a processor takes.
struct Pinned(CpuSet);

impl Pinned {
    fn new() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true)).ok_or("no processor")?;
        let mut only = CpuSet::new();
        only.set(first)?;
        sched_setaffinity(Pid::from_raw(0), &only)?;
        Ok(Self(allowed))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
