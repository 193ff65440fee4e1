mod kernel;
mod properties;
mod sample;
mod vectors;

use super::{Malformed, complete};
use crate::frame::Offload;

/// The frames that `data` becomes.
fn completed(data: &[u8], offload: Offload) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut frames = Vec::new();
    // What was in there before must not matter.
    let mut scratch = vec![0xee; 100];
    complete(data, offload, &mut scratch, |frame| frames.push(frame.to_vec()))?;
    Ok(frames)
}
