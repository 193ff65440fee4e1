//! Doors for the fuzzer to what is not public, and what has to hold behind them whatever comes.

use std::io;

use crate::switch::stream::{Decoder, LONGEST, Outbox, Unsent};
use crate::vde::protocol::{ADDRESS, Malformed, Request, reply};

/// A request is complete from one byte on, before which it is no nonsense, and its strings can be used.
pub fn vde_request(bytes: &[u8]) {
    let Ok(request) = Request::parse(bytes) else { return };
    assert!(request.socket.is_absolute());
    assert!(!request.description.chars().any(char::is_control));
    assert!(reply(&request.socket).is_some());
    let complete = (0..=bytes.len()).find(|&length| Request::parse(&bytes[..length]) != Err(Malformed::Incomplete));
    let complete = complete.expect("it is complete at its end");
    assert!(complete == 12 + ADDRESS || complete == 14 + ADDRESS);
    assert_eq!(Request::parse(&bytes[..complete]).expect("it was one").socket, request.socket);
}

/// The frames are the same in reads of any lengths, and written again, in writes of these lengths, they are the same bytes.
pub fn qemu_stream(lengths: &[u16], bytes: &[u8]) {
    let frames = decoded(bytes, &mut lengths.iter().copied().cycle());
    assert_eq!(frames, decoded(bytes, &mut std::iter::empty()));

    let (frames, lost) = frames;
    let mut lengths = lengths.iter().copied();
    let mut written = Vec::new();
    let mut outbox = Outbox::default();
    let mut write = |slices: &[io::IoSlice<'_>]| match lengths.next() {
        Some(0) => Err(io::ErrorKind::WouldBlock.into()),
        length => {
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            let before = written.len();
            written.extend(bytes.take(length.unwrap_or(u16::MAX).into()));
            Ok(written.len() - before)
        }
    };
    let mut rest = &frames[..];
    while !rest.is_empty() || !outbox.is_empty() {
        outbox.flush(&mut write).expect("nothing is broken");
        match outbox.send(rest.iter().map(Vec::as_slice), &mut write) {
            Ok(sent) => rest = &rest[sent..],
            Err(error) => assert!(matches!(error, Unsent::Full), "{error}"),
        }
    }
    let total: usize = frames.iter().map(|frame| 4 + frame.len()).sum();
    assert_eq!(written, bytes[..total]);
    assert!(lost || bytes.len() - total < 4 + LONGEST);
}

/// The frames in `bytes`, which come in reads of the given lengths and then of any, and whether the stream is lost.
fn decoded(mut bytes: &[u8], reads: &mut impl Iterator<Item = u16>) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let space = decoder.space();
        assert!(!space.is_empty());
        let length = reads.next().map_or(usize::MAX, |length| usize::from(length).max(1));
        let length = length.min(space.len()).min(bytes.len());
        space[..length].copy_from_slice(&bytes[..length]);
        decoder.filled(length);
        bytes = &bytes[length..];
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}
