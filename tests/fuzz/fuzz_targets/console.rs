//! What a machine prints.
#![no_main]

use driver_core::console::{Console, follow};
use driver_core::event::Recorder;
use driver_core::log::harmless;
use tandem_fuzz::{Peer, run};

// Whatever the parts that it comes in, the lines are the same, and a terminal obeys none of them.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(peer) = Peer::new(bytes) else { return };
    let printed = peer.says().to_vec();
    let console = Console::new(Recorder::new(Vec::new()));
    run(async {
        let following = follow(peer, console.clone(), |line| {
            assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{line:?}");
            assert_eq!(harmless(line), line);
        });
        // One that stays silent is left alone.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(100_000), following).await;
    });
    let (lines, unfinished) = console.since_with_unfinished(0);
    let length: usize = lines.iter().map(String::len).sum();
    assert!(length + unfinished.len() <= 10 * printed.len(), "{length} bytes of {}", printed.len());

    let whole = Console::new(Recorder::new(Vec::new()));
    run(follow(&printed[..], whole.clone(), |_| ()));
    let expected = whole.since(0);
    assert!(expected.starts_with(&lines) && expected.len() <= lines.len() + 1);
});
