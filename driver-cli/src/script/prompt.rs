//! A prompt instead of a run of the script.

use std::path::PathBuf;
use std::sync::Arc;

use super::timer::Timer;

/// What there is to say about a prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The file of the lines that were typed before, which those of now are added to.
    pub history: PathBuf,
    /// The clock that `run_tests()` starts.
    pub timer: Arc<Timer>,
}

impl Prompt {
    /// A prompt with this history, and a clock that stands.
    pub fn new(history: impl Into<PathBuf>) -> Self {
        Self { history: history.into(), timer: Arc::default() }
    }
}
