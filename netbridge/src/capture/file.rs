//! The file of a capture, and the one beside it where its size is limited.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::CaptureOptions;

/// Room for a few frames of any size in either half.
const SMALLEST_LIMIT: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    file: File,
    length: u64,
    halves: Option<Halves>,
}

/// How a size is kept: what is older than the newest half is in a file of its own, and is replaced as a whole.
#[derive(Debug)]
struct Halves {
    /// Bytes that each may have.
    size: u64,
    older: PathBuf,
    /// Whether there is an older half.
    both: bool,
}

impl Files {
    pub(super) fn create(path: &Path, options: CaptureOptions) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        if let Some(limit) = options.limit.filter(|&limit| limit < SMALLEST_LIMIT) {
            return Err(invalid(format!("a limit of {limit} bytes is too low; give it at least {SMALLEST_LIMIT}")));
        }
        // The working directory may change later.
        let path = std::path::absolute(path)?;
        let file = open(&path)?;
        let halves = options.limit.map(|limit| Halves { size: limit / 2, older: older(&path), both: false });
        if let Some(halves) = &halves {
            // It will be renamed, which no device shall be.
            if !file.metadata()?.is_file() {
                return Err(invalid("it is not a regular file, so its size cannot be limited".to_owned()));
            }
            // Of a capture that was killed.
            match fs::remove_file(&halves.older) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(Self { path, file, length: 0, halves })
    }

    /// Whether so many bytes can be appended before it is time to [move on](Self::move_on).
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.halves.as_ref().is_none_or(|halves| self.length + bytes as u64 <= halves.size)
    }

    /// Appends whole blocks: all or none of them.
    pub(super) fn append(&mut self, blocks: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(blocks) {
            // A block cut short would spoil the file. What is no regular file cannot be mended.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += blocks.len() as u64;
        Ok(())
    }

    /// Makes what is there the older half and begins a new one.
    pub(super) fn move_on(&mut self) -> io::Result<()> {
        let Some(halves) = &mut self.halves else { return Ok(()) };
        fs::rename(&self.path, &halves.older)?;
        halves.both = true;
        self.file = open(&self.path)?;
        self.length = 0;
        Ok(())
    }

    /// Makes one file of both halves.
    pub(super) fn join(self) -> io::Result<()> {
        let Some(halves) = self.halves.filter(|halves| halves.both) else { return Ok(()) };
        let mut older = OpenOptions::new().append(true).open(&halves.older)?;
        let length = older.metadata()?.len();
        if let Err(error) = io::copy(&mut File::open(&self.path)?, &mut older) {
            older.set_len(length)?;
            return Err(error);
        }
        fs::rename(&halves.older, &self.path)
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK the opening of a FIFO that nobody reads would not return.
    let opened = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK).open(path);
    opened.map_err(|error| match path.parent() {
        Some(directory) if error.kind() == io::ErrorKind::NotFound && !directory.exists() => {
            io::Error::new(error.kind(), format!("there is no directory {}; make it first", directory.display()))
        }
        _ => error,
    })
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".older");
    name.into()
}
