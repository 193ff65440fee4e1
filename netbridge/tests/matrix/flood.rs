//! A machine that sends as fast as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::echo::Echo;
use crate::endpoint::Endpoint;

/// How many echoes have to come back during the flood, and within which time: few, as many may get lost.
const ECHOES: usize = 5;
const ENOUGH: Duration = Duration::from_secs(30);

/// The least time of a flood.
const TIME: Duration = Duration::from_millis(200);

/// The time between two requests.
const PAUSE: Duration = Duration::from_millis(2);

/// Nobody has it, so that frames for it go everywhere.
const NOBODY: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x01, 0xee];

/// One machine floods the LAN while two others go on to reach each other. Says how much that was.
pub(crate) async fn check(flooder: &Endpoint, [one, two]: [&Endpoint; 2]) -> String {
    let socket = flooder.packet_socket().await.unwrap();
    let frame = [&NOBODY[..], &flooder.mac(), &[0x88, 0xb5], &[0; 46]].concat();
    let end = Arc::new(AtomicBool::new(false));
    let ended = end.clone();
    let began = Instant::now();
    let flood = tokio::task::spawn_blocking(move || {
        let mut sent = 0_u64;
        while !ended.load(Ordering::Relaxed) {
            socket.send(&frame).unwrap();
            sent += 1;
        }
        sent
    });

    let mut echo = Echo::new(&one.namespace, two.v4()).await;
    let (mut asked, mut answered) = (0, 0);
    while (answered < ECHOES || began.elapsed() < TIME) && began.elapsed() < ENOUGH {
        asked += 1;
        echo.ask(64).unwrap();
        answered += echo.answers(PAUSE);
    }
    end.store(true, Ordering::Relaxed);
    let (sent, time) = (flood.await.unwrap(), began.elapsed());
    assert!(answered >= ECHOES, "of {asked} echoes, {answered} came back while {sent} frames were sent in {time:?}");
    assert!(sent > 1000, "{sent} frames in {time:?} are no flood");
    let rate = sent / u64::try_from(time.as_millis()).unwrap();
    format!("{answered:3} of {asked:4} echoes beside {rate:4} thousand frames a second")
}
