//! What a guest's root shell answers. The marks have a nonce of zeroes here.
#![no_main]

use std::time::Duration;

use backend_qemu::shell::{Patience, Request, Shell, Sink};
use tandem_fuzz::{Peer, run};

const MOST: usize = 1000;
const TIME: Duration = Duration::from_secs(30);

// Two commands end in time, with no more output than is wanted.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(peer) = Peer::new(bytes) else { return };
    let printed = peer.says().len();
    let took = run(async {
        let Ok(mut shell) = Shell::connect(peer, TIME, Patience::default()).await else { return };
        for input in [None, Some(&b"input"[..])] {
            let mut input = input;
            let input = input.as_mut().map(|input| input as _);
            let request = Request { script: "true", timeout: Some(TIME), input, output: Sink::Capture(MOST) };
            if let Ok(ended) = shell.run(request).await {
                assert!(ended.stdout.len() <= MOST.min(printed));
            }
        }
        let _ = tokio::time::timeout(TIME, shell.watch()).await;
    });
    // A guest that goes on answering may be waited for; this one says only so much.
    let pauses = 600 * (1 + bytes.len() as u64);
    assert!(took < Duration::from_secs(600 + pauses), "{took:?}");
});
