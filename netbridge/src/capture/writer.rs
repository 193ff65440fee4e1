//! The thread that writes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::file::Files;
use super::queue::{Comment, Entry, Frame, Queue};
use super::section::{COMMENT, OVERHEAD, Section};

/// Bytes of blocks that are written at once. SIGKILL cuts a longer write short between two pages, and with it a block.
const CHUNK: usize = 4096;

/// The most comments that wait for a frame. Later ones replace the oldest.
const COMMENTS: usize = 1000;

/// How old a comment may be without saying so.
const RECENT: Duration = Duration::from_secs(1);

/// How the writing ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Frames written.
    pub(super) frames: u64,
    /// What was tried when it went wrong, and what the system answered.
    pub(super) error: Option<(&'static str, io::Error)>,
}

pub(super) struct Writer {
    files: Files,
    section: Section,
    /// Comments that no frame has followed yet.
    comments: VecDeque<Comment>,
    /// Frames by their interface, with those that are in the section's blocks only.
    frames: HashMap<Arc<str>, u64>,
    written: u64,
}

impl Writer {
    /// Makes the file a valid one from the start.
    pub(super) fn new(files: Files) -> io::Result<Self> {
        let section = Section::new([])?;
        let mut writer = Self { files, section, comments: VecDeque::new(), frames: HashMap::new(), written: 0 };
        writer.write()?;
        Ok(writer)
    }

    /// Writes until the queue is closed and empty, or nothing can be written any more.
    pub(super) fn run(mut self, queue: &Queue) -> Outcome {
        let result = self.take_all(queue).and_then(|()| self.end(queue)).map_err(|errno| ("write", errno));
        if result.is_err() {
            queue.fail();
        }
        let result = result.and_then(|()| self.files.join().map_err(|errno| ("join it with its older half", errno)));
        Outcome { frames: self.written, error: result.err() }
    }

    fn take_all(&mut self, queue: &Queue) -> io::Result<()> {
        let mut entries = Vec::new();
        while queue.take(&mut entries) {
            for entry in entries.drain(..) {
                match entry {
                    Entry::Frame(frame) => self.frame(&frame, queue)?,
                    Entry::Comment(comment) => self.comment(comment),
                }
            }
            self.write()?;
        }
        Ok(())
    }

    fn comment(&mut self, comment: Comment) {
        if self.comments.len() == COMMENTS {
            self.comments.pop_front();
        }
        self.comments.push_back(comment);
    }

    fn frame(&mut self, frame: &Frame, queue: &Queue) -> io::Result<()> {
        let text: usize = self.comments.iter().map(|comment| comment.text.len() + COMMENT).sum();
        let length = OVERHEAD + frame.interface.len() + frame.data.len() + text + self.section.statistics_length();
        let blocks = self.section.blocks().len();
        if !self.files.has_room(blocks + length) && !self.section.is_empty() {
            self.statistics(queue)?;
            self.write()?;
            self.files.move_on()?;
            self.section = Section::new([])?;
        }
        let comments = self.comments.drain(..).map(|comment| dated(comment, frame.at));
        self.section.frame(frame, comments)?;
        *self.frames.entry(frame.interface.clone()).or_default() += 1;
        if self.section.blocks().len() >= CHUNK { self.write() } else { Ok(()) }
    }

    /// Ends the section with the counts of its interfaces.
    fn statistics(&mut self, queue: &Queue) -> io::Result<()> {
        let dropped = queue.dropped();
        let mut interfaces = self.section.interfaces();
        interfaces.sort();
        for interface in &interfaces {
            let missing = dropped.get(interface).copied().unwrap_or_default();
            let frames = self.frames.get(interface).copied().unwrap_or_default();
            self.section.statistics(interface, frames + missing, missing)?;
        }
        Ok(())
    }

    fn end(&mut self, queue: &Queue) -> io::Result<()> {
        self.statistics(queue)?;
        self.write()?;
        // What no frame followed becomes the comment of a section of its own: other blocks belong to interfaces, of which there may be
        // none, and their comments are not shown.
        if !self.comments.is_empty() {
            self.section = Section::new(self.comments.drain(..).map(|comment| comment.text))?;
            self.write()?;
        }
        Ok(())
    }

    /// Brings the section's blocks into the file.
    fn write(&mut self) -> io::Result<()> {
        let blocks = self.section.blocks();
        self.files.append(blocks)?;
        blocks.clear();
        self.written = self.frames.values().sum();
        Ok(())
    }
}

/// A comment's text, with its age where the next frame was long in coming.
fn dated(comment: Comment, frame: SystemTime) -> String {
    match frame.duration_since(comment.at) {
        Ok(age) if age > RECENT => format!("{} ({:.1} s before this frame)", comment.text, age.as_secs_f64()),
        _ => comment.text,
    }
}
