//! How captures end.

use super::*;

#[test]
fn frames_are_in_the_file_before_the_end() {
    if !has("tshark") {
        return;
    }
    let (_directory, path) = directory();
    fs::write(&path, "what was there before".repeat(1000)).unwrap();
    let (_capture, sink) = begin(&path, NO_LIMIT).unwrap();
    assert!(numbers(&path).is_empty());
    for number in 0..2 {
        sink.frame(&"web".into(), None, at(1, 0), &frame(number, 60), 60);
        eventually("the frame is written", || count(&path) == Some(number as usize + 1));
        assert_eq!(numbers(&path), (0..=number).collect::<Vec<_>>());
    }
}

#[test]
fn all_that_came_before_finish_is_in_the_file() {
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, NO_LIMIT).unwrap();
    let senders: Vec<_> = ["a", "b", "c"].map(|name| (name, sink.clone())).into();
    let send = |(name, sink): (&'static str, Sink)| {
        thread::spawn(move || {
            for number in 0..1000 {
                sink.frame(&name.into(), None, at(1, 0), &frame(number, 200), 200);
            }
        })
    };
    let threads: Vec<_> = senders.into_iter().map(send).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(block_on(capture.finish()).unwrap(), CaptureSummary { frames: 3000, dropped: 0 });
    assert!(sink.is_closed());
    let written = fs::read(&path).unwrap();
    // Later ones are not, and nobody is told of them.
    sink.frame(&"a".into(), None, at(1, 0), &frame(0, 60), 60);
    sink.comment("too late");
    assert_eq!(count(&path), Some(3000));
    assert_eq!(fs::read(&path).unwrap(), written);
}

#[test]
fn a_capture_that_is_dropped_ends_as_well() {
    let (_directory, path) = directory();
    let (capture, sink) = begin(&path, NO_LIMIT).unwrap();
    for number in 0..1000 {
        sink.frame(&"web".into(), None, at(1, 0), &frame(number, 200), 200);
    }
    drop(capture);
    assert!(sink.is_closed());
    let is_last = |blocks: Vec<_>| matches!(blocks.last(), Some(Block::InterfaceStatistics(_)));
    eventually("the capture has ended", || try_blocks(&path).is_some_and(is_last));
    assert_eq!(count(&path), Some(1000));
}

/// The process that is killed is this test once more.
#[test]
fn a_killed_process_leaves_files_that_read() {
    const FILE: &str = "NETBRIDGE_TEST_CAPTURE_AND_WAIT";
    const NAME: &str = "capture::tests::life::a_killed_process_leaves_files_that_read";
    if let Some(path) = std::env::var_os(FILE) {
        capture_for_ever(Path::new(&path));
    }
    if !has("tshark") {
        return;
    }
    for _ in 0..5 {
        let (_directory, path) = directory();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", NAME, "--nocapture"]).env(FILE, &path).stdout(Stdio::null());
        let mut child = child.spawn().unwrap();
        let older = path.with_extension("pcapng.older");
        eventually("the capture has moved on", || older.exists());
        let told = || u32::from_be_bytes(fs::read(path.with_extension("told")).unwrap().try_into().unwrap());
        let at_least = told();
        eventually("the capture goes on", || told() > at_least + 200);
        child.kill().unwrap();
        child.wait().unwrap();

        let mut left = numbers(&older);
        // It may just have been moving on.
        if path.exists() {
            left.extend(numbers(&path));
        }
        assert!(left.windows(2).all(|pair| pair[1] == pair[0] + 1), "{left:?}");
        assert!(left.last().is_some_and(|&last| last >= at_least), "{at_least} was sent, left are {left:?}");
    }
}

/// Captures a frame each millisecond and tells its number.
fn capture_for_ever(path: &Path) -> ! {
    let (_capture, sink) = begin(path, CaptureOptions { limit: Some(1 << 18) }).unwrap();
    for number in 0.. {
        sink.frame(&"web".into(), None, SystemTime::now(), &frame(number, 1000), 1000);
        thread::sleep(Duration::from_millis(1));
        let next = path.with_extension("next");
        fs::write(&next, number.to_be_bytes()).unwrap();
        fs::rename(&next, path.with_extension("told")).unwrap();
    }
    unreachable!("somebody kills it");
}
