//! What a capture does where there is no room: in its queue, in its file, on the disk.

use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption::{IsbIfDrop, IsbIfRecv};

use super::*;

const LIMIT: u64 = 1 << 16;

fn limited() -> CaptureOptions {
    CaptureOptions { limit: Some(LIMIT) }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("pcapng.older")
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[test]
fn the_newest_frames_stay_within_the_limit() {
    if !has("tshark") {
        return;
    }
    let (_directory, path) = directory();
    fs::write(older(&path), "of a capture that was killed").unwrap();
    let (capture, sink) = begin(&path, limited()).unwrap();
    assert!(!older(&path).exists());
    let names: [Arc<str>; 2] = ["web".into(), "client".into()];
    for number in 0..1000 {
        if number == 990 {
            sink.comment("web: down");
        }
        let name = &names[usize::from(number % 3 == 0)];
        sink.frame(name, Some(Direction::In), at(number.into(), 0), &frame(number, 700), 700);
        // Lets the writer look between frames, too.
        if number % 100 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
        assert!(size(&path) + size(&older(&path)) <= LIMIT, "after {number}");
    }
    let summary = block_on(capture.finish()).unwrap();
    assert_eq!(summary, CaptureSummary { frames: 1000, dropped: 0 });
    assert!(!older(&path).exists());

    let size = size(&path);
    assert!((LIMIT / 2..=LIMIT).contains(&size), "{size} bytes");
    let left = numbers(&path);
    assert!(left.len() > 40, "only {} frames are left", left.len());
    assert_eq!(left, (1000 - u32::try_from(left.len()).unwrap()..1000).collect::<Vec<_>>());
    let rows = tshark(&path, &["frame.interface_name", "frame.comment"]);
    for (row, number) in rows.iter().zip(left) {
        let comment = if number == 990 { "web: down" } else { "" };
        assert_eq!(*row, [&*names[usize::from(number % 3 == 0)], comment], "frame {number}");
    }
}

#[test]
fn the_counts_of_many_interfaces_are_within_the_limit() {
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, limited()).unwrap();
    for number in 0..2000 {
        sink.frame(&format!("machine{}", number % 100).into(), None, at(1, 0), &frame(number, 64), 64);
    }
    let all = |path: &Path| Some((count(path)?, size(path)));
    eventually("all is written", || all(&path).is_some_and(|(frames, _)| frames > 0) && all(&older(&path)).is_some());
    let (frames, size) = all(&older(&path)).unwrap();
    assert!(frames > 100 && size <= LIMIT / 2, "{frames} frames in {size} bytes");
    block_on(capture.finish()).unwrap();
}

#[test]
fn a_frame_that_fills_a_half_is_kept() {
    if !has("tshark") {
        return;
    }
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, limited()).unwrap();
    for number in 0..5 {
        sink.frame(&"web".into(), None, at(1, 0), &frame(number, 65_000), 65_000);
    }
    block_on(capture.finish()).unwrap();
    assert_eq!(numbers(&path), [3, 4]);
    assert!(size(&path) <= LIMIT + 66_000, "{} bytes", size(&path));
}

#[test]
fn what_cannot_be_begun_says_why() {
    let (directory, path) = directory();
    let error = |path: &Path, options| begin(path, options).unwrap_err().to_string();

    let nowhere = directory.path().join("captures/lan.pcapng");
    let message = error(&nowhere, NO_LIMIT);
    let cure = format!("there is no directory {}; make it first", nowhere.parent().unwrap().display());
    assert_eq!(message, format!("capture {}: create the file: {cure}", nowhere.display()));

    let message = error(&path, CaptureOptions { limit: Some(LIMIT - 1) });
    assert!(message.ends_with("a limit of 65535 bytes is too low; give it at least 65536"), "{message}");
    assert!(!path.exists());

    assert!(error(directory.path(), NO_LIMIT).contains("Is a directory"));
    assert!(error(Path::new("/dev/null"), limited()).contains("not a regular file"));
    assert!(error(Path::new("/dev/full"), NO_LIMIT).contains("write: No space left on device"));
    nix::sys::stat::mknod(&path, nix::sys::stat::SFlag::S_IFIFO, nix::sys::stat::Mode::S_IRWXU, 0).unwrap();
    assert!(error(&path, NO_LIMIT).contains("create the file"));
}

#[test]
fn frames_that_find_no_room_are_counted() {
    let (_directory, path) = directory();
    let queue = Arc::new(Queue::default());
    let sink = Sink::new(queue.clone());
    // Nobody takes any: the queue has room for 8 MiB.
    for number in 0..9000 {
        let name = if number % 2 == 0 { "even" } else { "odd" };
        sink.frame(&name.into(), None, at(1, 0), &frame(number, 1024), 1024);
    }
    assert!(!sink.is_closed());
    assert_eq!(queue.close(), 9000);
    assert!(sink.is_closed());
    sink.frame(&"even".into(), None, at(1, 0), &frame(9000, 60), 60);
    assert_eq!(queue.close(), 9000);

    let outcome = Writer::new(Files::create(&path, NO_LIMIT).unwrap()).unwrap().run(&queue);
    assert!(outcome.error.is_none());
    assert_eq!(outcome.frames, 8192);
    let statistics = blocks(&path).into_iter().filter_map(Block::into_interface_statistics);
    let counts: Vec<_> = statistics.map(|block| block.options).collect();
    assert_eq!(counts, vec![vec![IsbIfRecv(4500), IsbIfDrop(404)]; 2]);
}

#[test]
fn small_frames_are_bounded_by_their_number() {
    let queue = Arc::new(Queue::default());
    let sink = Sink::new(queue.clone());
    for number in 0..70_000 {
        sink.frame(&"web".into(), None, at(1, 0), &frame(number, 18), 18);
    }
    assert_eq!(queue.dropped().values().sum::<u64>(), 70_000 - 65_536);
}

/// Runs with a disk of 256 KiB, in a mount namespace of its own.
#[test]
fn a_full_disk_is_told_at_the_end_and_stalls_nobody() {
    const DISK: &str = "NETBRIDGE_TEST_SMALL_DISK";
    if let Some(disk) = std::env::var_os(DISK) {
        return fill(Path::new(&disk));
    }
    if !has("unshare") || !has("tshark") {
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let nested = |options: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(options).args(["sh", "-euc", script]).arg(std::env::current_exe().unwrap());
        command.arg("capture::tests::limits::a_full_disk_is_told_at_the_end_and_stalls_nobody").env(DISK, disk.path());
        command.output().unwrap()
    };
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let mount = format!("mount -t tmpfs -o size=256k none '{}'", disk.path().display());
    let Some(way) = ways.iter().find(|way| nested(way, &mount).status.success()) else {
        assert!(std::env::var_os("CI").is_none(), "no tmpfs can be mounted");
        eprintln!("skipped: no tmpfs can be mounted");
        return;
    };
    let output = nested(way, &format!("{mount}; exec \"$0\" --exact \"$1\" --nocapture"));
    let report = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && report.contains("1 passed"), "{report}{errors}");
}

fn fill(disk: &Path) {
    let path = disk.join("lan.pcapng");
    let (capture, sink) = begin(&path, NO_LIMIT).unwrap();
    for number in 0..20_000 {
        sink.frame(&"web".into(), None, at(1, 0), &frame(number, 1000), 1000);
    }
    // From the failure on, frames are only counted: these would have room in the queue.
    let dropped = || capture.queue.dropped().values().sum::<u64>();
    let before = dropped();
    eventually("nothing is taken any more", || {
        sink.frame(&"web".into(), None, at(1, 0), &frame(20_000, 1000), 1000);
        thread::sleep(Duration::from_millis(20));
        dropped() > before
    });
    let sent = capture.queue.close();
    let message = block_on(capture.finish()).unwrap_err().to_string();
    let left = numbers(&path);
    assert!((200..262).contains(&left.len()), "{} frames", left.len());
    let counts =
        format!("; {} frames were written, {} were not; make room there", left.len(), sent - left.len() as u64);
    assert!(message.contains("write: No space left on device (os error 28)") && message.contains(&counts), "{message}");
    assert_eq!(left, (0..u32::try_from(left.len()).unwrap()).collect::<Vec<_>>());
    assert!(sink.is_closed());
    fs::remove_file(&path).unwrap();

    // There is room for both halves, but not for what joins them.
    let (capture, sink) = begin(&path, CaptureOptions { limit: Some(200 << 10) }).unwrap();
    for number in 0..190 {
        sink.frame(&"web".into(), None, at(1, 0), &frame(number, 1000), 1000);
    }
    let message = block_on(capture.finish()).unwrap_err().to_string();
    assert!(message.contains(": join it with its older half: No space left on device"), "{message}");
    assert!(message.contains("; 190 frames were written, 0 were not; make room there"), "{message}");
    assert_eq!([numbers(&older(&path)), numbers(&path)].concat(), (0..190).collect::<Vec<_>>());
}

#[test]
fn halves_that_cannot_be_joined_stay_apart() {
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, limited()).unwrap();
    for number in 0..60 {
        sink.frame(&"web".into(), None, at(1, 0), &frame(number, 1000), 1000);
    }
    let halves = || Some(count(&older(&path))? + count(&path)?);
    // The last of the frames is in the newer half, which is not full.
    eventually("all is written", || halves() == Some(60));
    fs::remove_file(&path).unwrap();
    let message = block_on(capture.finish()).unwrap_err().to_string();
    assert!(message.contains(": join it with its older half: No such file or directory"), "{message}");
    assert!(message.contains("leave it where it is"), "{message}");
    assert!(count(&older(&path)).is_some_and(|frames| frames > 20));
}
