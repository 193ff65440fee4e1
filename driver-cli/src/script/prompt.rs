//! A prompt instead of a run of the script.

use std::path::PathBuf;

/// What there is to say about a prompt.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The file of the lines that were typed before, which those of now are added to.
    pub history: PathBuf,
}

impl Prompt {
    /// A prompt with this history.
    pub fn new(history: impl Into<PathBuf>) -> Self {
        Self { history: history.into() }
    }
}
