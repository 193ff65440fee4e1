//! What QEMU says on its control socket.
#![no_main]

use std::time::Duration;

use backend_qemu::qmp::{Error, Limits, connect};
use tandem_fuzz::{Peer, run};

const LINE: usize = 4096;

// A command ends in time, and each event came in the stream.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(peer) = Peer::new(bytes) else { return };
    run(async {
        let limits = Limits { line: LINE, answer: Duration::from_secs(60), events: 16 };
        let (client, mut events) = match connect(peer, limits).await {
            Ok(connected) => connected,
            Err(error) => return assert!(!error.to_string().is_empty()),
        };
        let _ = client.send("query-status", serde_json::Value::Null).await;
        loop {
            match tokio::time::timeout(Duration::from_secs(60), events.next()).await {
                Ok(Ok(event)) => {
                    let _ = event.kind();
                    let written = serde_json::to_string(&event).expect("it can be written");
                    assert_eq!(
                        serde_json::from_str::<backend_qemu::qmp::Event>(&written).expect("it can be read"),
                        event
                    );
                }
                Ok(Err(Error::Lost(_))) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
    });
});
