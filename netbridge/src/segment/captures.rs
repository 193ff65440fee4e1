//! Captures of a segment or of one of its links.

use std::path::Path;
use std::sync::Arc;

use super::Inner;
use super::inner::State;
use crate::capture::{self, Recording, Sink};
use crate::{CaptureOptions, CaptureSummary, Error};

/// A capture that goes on. Dropping it ends it in the background; what was captured is in the file at any time.
#[derive(Debug)]
pub struct Capture {
    segment: Arc<Inner>,
    number: u64,
    /// Taken when it ends.
    recording: Option<Recording>,
}

/// A capture as the segment knows it.
#[derive(Debug)]
pub(super) struct Open {
    number: u64,
    pub(super) link: Option<Arc<str>>,
    sink: Sink,
}

impl Capture {
    /// Ends the capture once all frames that passed before this call are in the file.
    ///
    /// An error tells that not all could be written; what could is in the file.
    pub async fn finish(mut self) -> Result<CaptureSummary, Error> {
        self.segment.end_capture(self.number).await?;
        match self.recording.take() {
            Some(recording) => recording.finish().await,
            None => Ok(CaptureSummary::default()),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let Some(recording) = self.recording.take() else { return };
        let (segment, number) = (self.segment.clone(), self.number);
        self.segment.runtime().clone().spawn(async move {
            if let Err(error) = segment.end_capture(number).await {
                tracing::warn!(segment = %segment.name, %error, "could not end a capture");
            }
            drop(recording);
        });
    }
}

impl State {
    /// Writes what changes into the captures that it concerns.
    pub(super) fn comment(&self, link: Option<&str>, text: &str) {
        for open in &self.captures {
            let concerned = match (&open.link, link) {
                (Some(captured), Some(link)) => **captured == *link,
                _ => true,
            };
            if concerned {
                open.sink.comment(text);
            }
        }
    }
}

impl Inner {
    pub(crate) async fn capture(
        self: &Arc<Self>,
        link: Option<&Arc<str>>,
        path: &Path,
        options: CaptureOptions,
    ) -> Result<Capture, Error> {
        let (recording, sink) = capture::begin(path, options)?;
        let number = self.number();
        let (inner, link) = (self.clone(), link.cloned());
        let capture = Capture { segment: self.clone(), number, recording: Some(recording) };
        let begun = self.whole(async move {
            let mut state = inner.state.lock().await;
            let (name, to) = (link.clone(), sink.clone());
            let switch = inner.ensure_switch(&mut state).await?;
            let told = switch.call(move |engine| engine.capture(number, name, to)).await;
            told.map_err(inner.broken("capture frames"))?;
            state.captures.push(Open { number, link: link.clone(), sink });
            inner.settle_captured(&mut state, link.as_ref()).await
        });
        begun.await?;
        Ok(capture)
    }

    async fn end_capture(self: &Arc<Self>, number: u64) -> Result<(), Error> {
        let inner = self.clone();
        let ended = self.whole(async move {
            let mut state = inner.state.lock().await;
            let Some(index) = state.captures.iter().position(|open| open.number == number) else { return Ok(()) };
            let open = state.captures.remove(index);
            if let Some(switch) = &state.switch {
                let told = switch.call(move |engine| engine.end_capture(number)).await;
                told.map_err(inner.broken("end a capture"))?;
            }
            inner.settle_captured(&mut state, open.link.as_ref()).await
        });
        ended.await
    }

    /// Settles the links that a capture concerns.
    async fn settle_captured(&self, state: &mut State, link: Option<&Arc<str>>) -> Result<(), Error> {
        let links = link.map_or_else(|| state.links.keys().cloned().collect::<Vec<_>>(), |link| vec![link.clone()]);
        for link in links {
            self.settle(state, &link).await?;
        }
        Ok(())
    }
}
