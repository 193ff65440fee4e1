//! Frames with 802.1Q tags.

use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::harness::PATIENCE;

/// Priority and number of a VLAN: an ordinary one, and the one of frames that have a priority only.
const TAGS: [[u8; 2]; 2] = [[0xa0, 42], [0x60, 0]];

/// The type of frames for experiments (IEEE 802, local).
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

/// What fits into a frame besides its header and its tag: little, and all that an MTU of 1500 leaves.
const LENGTHS: [usize; 2] = [50, 1500];

pub(crate) async fn check(from: &Endpoint, to: &Endpoint) {
    let (here, there) = (from.packet_socket().await.unwrap(), to.packet_socket().await.unwrap());
    for (tag, length) in TAGS.into_iter().flat_map(|tag| LENGTHS.map(|length| (tag, length))) {
        let payload: Vec<u8> = (0..253).cycle().take(length).collect();
        let frame = [&to.mac()[..], &from.mac(), &[0x81, 0x00], &tag, &EXPERIMENT, payload.as_slice()].concat();
        here.send(&frame).unwrap();

        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
            let received = there.receive(left);
            let received = received.unwrap_or_else(|error| {
                panic!("tag {tag:02x?} and {length} bytes from {} to {}: {error}", from.node, to.node)
            });
            // Frames of IPv6's own come in between.
            if received.starts_with(&frame[..12]) && received.ends_with(&payload) {
                assert_eq!(received, frame, "a frame was changed on its way");
                break;
            }
        }
    }
}
