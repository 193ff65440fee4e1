//! Captures: frames written to pcapng files.
//!
//! Whoever moves frames has a [`Sink`] and never waits: what it hands over is copied into a queue of bounded size. A thread of the
//! capture's own takes it from there into the file, in whole blocks and without keeping any back, so that the file can be read at any
//! time, also after the process was killed.

mod file;
mod queue;
mod section;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use crate::Error;
use file::Files;
use queue::Queue;
use writer::{Outcome, Writer};

pub(crate) use queue::Sink;

/// How a capture is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureOptions {
    /// The most bytes that the file may have, at least 65536; the oldest frames go first. No limit if there is none.
    ///
    /// While the capture goes on, the older half of the frames is in a file beside it, whose name has `.older` at the end. A process that
    /// is killed leaves both.
    pub limit: Option<u64>,
}

/// A file that frames are written to. Dropping it closes the file in the background; what was written is in it at any time.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
    queue: Arc<Queue>,
    outcome: oneshot::Receiver<Outcome>,
}

/// What a capture has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureSummary {
    /// Frames written, with those that had to go since because of the limit.
    pub frames: u64,
    /// Frames that came faster than they could be written.
    pub dropped: u64,
}

/// Begins a capture to a new file, which replaces one that is there. Frames come through the sink and its clones.
pub(crate) fn begin(path: &Path, options: CaptureOptions) -> Result<(Recording, Sink), Error> {
    let failed = |operation, errno| Error::Capture { path: path.to_owned(), operation, errno };
    let files = Files::create(path, options).map_err(|errno| failed("create the file", errno))?;
    let writer = Writer::new(files).map_err(|errno| failed("write", errno))?;

    let queue = Arc::new(Queue::default());
    let (sender, outcome) = oneshot::channel();
    let thread = thread::Builder::new().name("capture".to_owned());
    let taken = queue.clone();
    let spawned = thread.spawn(move || {
        // Nobody may wait for it any more.
        let _ = sender.send(writer.run(&taken));
    });
    spawned.map_err(|errno| failed("start a thread", errno))?;
    Ok((Recording { path: path.to_owned(), queue: queue.clone(), outcome }, Sink::new(queue)))
}

impl Recording {
    /// Ends the capture once all frames that passed before this call are in the file.
    ///
    /// Tells also what went wrong before: where the file could not be written to, it ends with the last frame that it has room for, and
    /// the traffic went on.
    pub(crate) async fn finish(mut self) -> Result<CaptureSummary, Error> {
        let seen = self.queue.close();
        let failed = |operation, errno| Error::Capture { path: self.path.clone(), operation, errno };
        let outcome = (&mut self.outcome).await.map_err(|_| failed("write", io::Error::other("its thread is gone")))?;

        let frames = outcome.frames;
        let dropped = seen.saturating_sub(frames);
        let Some((operation, errno)) = outcome.error else { return Ok(CaptureSummary { frames, dropped }) };
        let cure = match errno.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there, or limit its size",
            io::ErrorKind::NotFound => "; leave it where it is until the capture has ended",
            _ => "",
        };
        let text = format!("{errno}; {frames} frames were written, {dropped} were not{cure}");
        Err(failed(operation, io::Error::new(errno.kind(), text)))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.queue.close();
    }
}
