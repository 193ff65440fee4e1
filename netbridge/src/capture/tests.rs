//! Captures as others read them: tshark, capinfos and the reader of a library.

mod content;
mod life;
mod limits;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pcap_file::pcapng::{Block, PcapNgReader};
use tempfile::TempDir;

use super::*;
use crate::Direction;

/// What comes later than this will never come.
const PATIENCE: Duration = Duration::from_secs(60);

const NO_LIMIT: CaptureOptions = CaptureOptions { limit: None };

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lan.pcapng");
    (directory, file)
}

fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

/// A frame of a type that nobody dissects. It has the number in it.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![0; length.max(18)];
    frame[..12].copy_from_slice(b"\x52\x54\0\x12\x01\x02\x52\x54\0\x12\x01\x01");
    frame[12..14].copy_from_slice(&0x88b5_u16.to_be_bytes());
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    frame
}

/// Whether a program is there. Says so if it is not, and fails where nothing may be skipped.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "{program} is missing");
    if !there {
        eprintln!("skipped: {program} is missing");
    }
    there
}

/// What a program of Wireshark's prints of a file, once it has not complained about it.
fn output(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(path).output().unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    let complaints: Vec<_> = complaints.lines().filter(|line| !line.starts_with("Running as user \"root\"")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{program}: {complaints:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The frames of a file, each as the values of `fields`.
fn tshark(path: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut arguments = vec!["-n", "-T", "fields", "-E", "separator=|", "-E", "aggregator=;"];
    arguments.extend(fields.iter().flat_map(|field| ["-e", field]));
    arguments.push("-r");
    let table = output("tshark", &arguments, path);
    table.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

/// The numbers of the frames of a file.
fn numbers(path: &Path) -> Vec<u32> {
    let numbers = tshark(path, &["data.data"]);
    numbers.iter().map(|row| u32::from_str_radix(&row[0][..8], 16).unwrap()).collect()
}

/// The blocks of a file, which has to end with a whole one.
fn blocks(path: &Path) -> Vec<Block<'static>> {
    try_blocks(path).unwrap()
}

/// The blocks of a file that may just be written.
fn try_blocks(path: &Path) -> Option<Vec<Block<'static>>> {
    let bytes = fs::read(path).ok()?;
    let mut reader = PcapNgReader::new(&*bytes).ok()?;
    let mut blocks = vec![Block::SectionHeader(reader.section().clone())];
    while let Some(block) = reader.next_block() {
        blocks.push(block.ok()?.into_owned());
    }
    Some(blocks)
}

/// How many frames a file has that may just be written.
fn count(path: &Path) -> Option<usize> {
    Some(try_blocks(path)?.into_iter().filter_map(Block::into_enhanced_packet).count())
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "still not true: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn wireshark_sees_names_directions_times_lengths_and_comments() {
    if !has("tshark") || !has("capinfos") {
        return;
    }
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, NO_LIMIT).unwrap();
    let [web, client]: [Arc<str>; 2] = ["web".into(), "cliënt".into()];
    sink.frame(&web, Some(Direction::Out), at(1_700_000_000, 123_456_789), &frame(1, 60), 60);
    sink.comment("web: out: loss 10 %");
    sink.comment("web: down");
    sink.frame(&client, Some(Direction::In), at(1_700_000_001, 1), &frame(2, 61), 9000);
    sink.frame(&web, None, at(1_700_000_001, 2), &frame(3, 1514), 1514);
    let summary = block_on(capture.finish()).unwrap();
    assert_eq!(summary, CaptureSummary { frames: 3, dropped: 0 });

    let fields = [
        "frame.number",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.time_epoch",
        "frame.cap_len",
        "frame.len",
        "frame.comment",
    ];
    let rows = [
        ["1", "web", "0x00000002", "1700000000.123456789", "60", "60", ""],
        ["2", "cliënt", "0x00000001", "1700000001.000000001", "61", "9000", "web: out: loss 10 %;web: down"],
        ["3", "web", "", "1700000001.000000002", "1514", "1514", ""],
    ];
    assert_eq!(tshark(&path, &fields), rows);
    let about = output("capinfos", &[], &path);
    for part in ["pcapng", "Ethernet", "netbridge 0.1.0", "Linux ", "Name = web", "Number of stat entries = 1"] {
        assert!(about.contains(part), "{part} is not in {about}");
    }
}

#[test]
fn a_comment_that_no_frame_follows_is_in_the_file() {
    if !has("capinfos") || !has("tshark") {
        return;
    }
    let (_directory, path) = directory();
    for frames in [0, 1] {
        let (capture, sink) = begin(&path, NO_LIMIT).unwrap();
        for number in 0..frames {
            sink.frame(&"web".into(), None, at(1, 0), &frame(number, 60), 60);
        }
        sink.comment("web: down");
        block_on(capture.finish()).unwrap();
        let about = output("capinfos", &[], &path);
        assert!(about.contains("web: down"), "{about}");
        assert_eq!(tshark(&path, &["frame.number"]).len(), frames as usize);
    }
}

#[test]
fn an_old_comment_tells_its_age() {
    if !has("tshark") {
        return;
    }
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, NO_LIMIT).unwrap();
    sink.comment("web: down");
    let soon = SystemTime::now() + Duration::from_secs(1000);
    sink.frame(&"web".into(), None, soon, &frame(0, 60), 60);
    block_on(capture.finish()).unwrap();
    let comment = &tshark(&path, &["frame.comment"])[0][0];
    assert!(comment.starts_with("web: down (1000.") && comment.ends_with(" s before this frame)"), "{comment}");
}

/// Wireshark shows statistics only where it is told to look at the file rather than at the frames.
#[test]
fn statistics_have_the_time_of_the_end() {
    if !has("tshark") {
        return;
    }
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, NO_LIMIT).unwrap();
    sink.frame(&"web".into(), None, at(1, 0), &frame(0, 60), 60);
    let nanoseconds = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let before = nanoseconds();
    block_on(capture.finish()).unwrap();
    let arguments = ["-X", "read_format:MIME Files Format", "-T", "fields", "-E", "occurrence=l"];
    let fields = ["-e", "pcapng.timestamp_high", "-e", "pcapng.timestamp_low", "-r"];
    let halves = output("tshark", &[&arguments[..], &fields].concat(), &path);
    let halves: Vec<u128> = halves.split_whitespace().map(|half| half.parse().unwrap()).collect();
    let time = (halves[0] << 32) + halves[1];
    assert!((before..=nanoseconds()).contains(&time), "{before} and then {time}");
}
