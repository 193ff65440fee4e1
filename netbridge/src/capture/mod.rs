//! Captures: frames written to pcapng files.

use crate::Error;

/// How a capture is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureOptions {
    /// The most bytes that the file may have; the oldest frames go first. No limit if there is none.
    pub limit: Option<u64>,
}

/// A capture that goes on. Dropping it ends it in the background; what was captured is in the file at any time.
#[derive(Debug)]
pub struct Capture {}

/// What a capture has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureSummary {
    /// Frames written.
    pub frames: u64,
    /// Frames that came faster than they could be written.
    pub dropped: u64,
}

impl Capture {
    /// Ends the capture once all frames that passed before this call are in the file.
    pub async fn finish(self) -> Result<CaptureSummary, Error> {
        Ok(CaptureSummary::default())
    }
}
