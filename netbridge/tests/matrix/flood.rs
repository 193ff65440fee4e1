//! A machine that sends as fast as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::echo::Echo;
use crate::endpoint::Endpoint;
use crate::harness::PATIENCE;

/// How many echoes have to come back during the flood.
const ECHOES: usize = 5;

/// The least time of a flood.
const TIME: Duration = Duration::from_millis(200);

/// When an echo counts as lost, as some may be.
const LOST: Duration = Duration::from_millis(200);

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
    while (answered < ECHOES || began.elapsed() < TIME) && began.elapsed() < PATIENCE {
        asked += 1;
        answered += usize::from(echo.comes_back(64, LOST).unwrap_or(false));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    end.store(true, Ordering::Relaxed);
    let (sent, time) = (flood.await.unwrap(), began.elapsed());
    assert!(answered >= ECHOES, "of {asked} echoes, {answered} came back while {sent} frames were sent in {time:?}");
    assert!(sent > 1000, "{sent} frames in {time:?} are no flood");
    format!(
        "{answered} of {asked} echoes beside {} frames a second",
        sent * 1000 / u64::try_from(time.as_millis()).unwrap()
    )
}
