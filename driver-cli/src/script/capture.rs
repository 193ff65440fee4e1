//! The captures that a script has begun and not ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use driver_core::Error;
use driver_core::lan::Capture;

/// The captures of a test that go on. Clones share them.
///
/// They outlive the script, however it ends, so that whoever runs it can [finish](Self::finish) them.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    begun: u64,
    captures: BTreeMap<u64, Capture>,
}

impl Captures {
    /// Ends all captures and returns what went wrong.
    pub async fn finish(&self) -> Vec<Error> {
        let captures = std::mem::take(&mut self.open().captures);
        let mut failures = Vec::new();
        for capture in captures.into_values() {
            failures.extend(capture.finish().await.err());
        }
        failures
    }

    /// Takes a capture in and gives it a number.
    pub(super) fn add(&self, capture: Capture) -> u64 {
        let mut open = self.open();
        open.begun += 1;
        let number = open.begun;
        open.captures.insert(number, capture);
        number
    }

    /// Hands the capture with this number out.
    pub(super) fn take(&self, number: u64) -> Option<Capture> {
        self.open().captures.remove(&number)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
