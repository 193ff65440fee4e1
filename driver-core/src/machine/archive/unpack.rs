//! Unpacking what a guest sent, which may be out for harm.
//!
//! Nothing is ever written outside of the one directory that is handed in: names are taken apart and walked by descriptor, no symbolic link is
//! followed, and what could do harm later (links that lead out, devices, setuid bits) is left out and reported.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, linkat, mkdirat, openat, statat, symlinkat, unlinkat};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType, PaxExtensions};

/// The longest name that an archive may have for a file: a few times what Linux allows.
const LONGEST_NAME: u64 = 64 * 1024;

/// Where an archive goes.
#[derive(Clone, Debug)]
pub(in super::super) struct Place {
    /// An existing directory that may be written to, trusted up to here.
    pub(in super::super) root: PathBuf,
    /// Below it, what the archive becomes: nothing but names.
    pub(in super::super) path: PathBuf,
    /// Whether the archive holds a directory, its names being relative to it, or a single file of any name.
    pub(in super::super) directory: bool,
}

/// Unpacks a tar stream; returns what was left out. What is there already is merged with or replaced.
///
/// Ends before the end of the stream if that goes on after the archive.
pub(in super::super) fn unpack(from: impl Read, place: &Place) -> io::Result<Vec<String>> {
    let mut target = Target::open(place)?;
    let mut archive = Archive::new(from);
    let mut name = Longer::default();
    // Raw entries: the library reads long names into memory however long they are.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        if !name.take_in(&mut entry)? {
            let (path, link) = std::mem::take(&mut name).names(&entry);
            target.add(&mut entry, &path, link.as_deref())?;
        }
    }
    if !place.directory && !target.done {
        return Err(io::Error::other("the machine sent no file"));
    }
    target.finish()
}

/// Names that were too long for the header of the entry that they belong to.
#[derive(Default)]
struct Longer {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Longer {
    /// Whether the entry was such a name.
    fn take_in(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<bool> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.path = Some(text(entry)?),
            EntryType::GNULongLink => self.link = Some(text(entry)?),
            EntryType::XGlobalHeader => {}
            EntryType::XHeader => {
                for record in PaxExtensions::new(&text(entry)?) {
                    let record = record?;
                    match record.key_bytes() {
                        b"path" => self.path = Some(record.value_bytes().to_vec()),
                        b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                        b"size" => {
                            return Err(io::Error::other(
                                "the guest's tar sends files of this size in pax format only",
                            ));
                        }
                        _ => {}
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn names(self, entry: &Entry<'_, impl Read>) -> (PathBuf, Option<PathBuf>) {
        let path = self.path.unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let link = self.link.or_else(|| entry.header().link_name_bytes().map(std::borrow::Cow::into_owned));
        let as_path = |bytes| PathBuf::from(OsString::from_vec(bytes));
        (as_path(path), link.map(as_path))
    }
}

fn text(entry: &mut Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    entry.take(LONGEST_NAME + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_NAME {
        return Err(io::Error::other("a name in the archive has no end"));
    }
    // GNU ends names with a NUL; pax records end with a newline.
    while text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

/// What an archive becomes.
struct Target {
    /// The directory above the place.
    parent: OwnedFd,
    name: OsString,
    /// The archive holds a directory.
    directory: bool,
    /// The single file was written.
    done: bool,
    /// Modes of directories, set last: files still have to be made in them.
    modes: Vec<(Vec<OsString>, Mode)>,
    left_out: LeftOut,
}

impl Target {
    fn open(place: &Place) -> io::Result<Self> {
        let mut above = names(&place.path)?;
        let name = above.pop().ok_or_else(|| io::Error::other("the target has no name"))?;
        let root = File::open(&place.root)?;
        let parent = walk(root.into(), &above, Obstacle::Keep)?;
        let left_out = LeftOut::default();
        Ok(Self { parent, name, directory: place.directory, done: false, modes: Vec::new(), left_out })
    }

    fn add(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path, link: Option<&Path>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if !self.directory {
            if self.done || !is_file(kind) {
                return Err(io::Error::other("it is neither a file nor a directory"));
            }
            self.done = true;
            return write(&self.parent, &self.name, entry);
        }
        let mut names = names(path)?;
        let shown = path.display();
        match kind {
            EntryType::Directory => {
                self.directory(&names)?;
                self.modes.push((names, Mode::from_bits_truncate(entry.header().mode()? & 0o777 | 0o700)));
            }
            _ if names.is_empty() => return Err(io::Error::other("the archive has a name that is empty")),
            kind if is_file(kind) => {
                let (parent, name) = self.parent_of(&mut names)?;
                write(&parent, &name, entry)?;
            }
            EntryType::Symlink => {
                let link = link.unwrap_or(Path::new(""));
                if !stays_inside(names.len() - 1, link) {
                    self.left_out.add(format!("{shown}, a symbolic link to {}", link.display()));
                    return Ok(());
                }
                let (parent, name) = self.parent_of(&mut names)?;
                clear(&parent, &name)?;
                symlinkat(link, &parent, &*name)?;
            }
            EntryType::Link => {
                let mut target = self::names(link.unwrap_or(Path::new("")))?;
                if target == names || target.is_empty() {
                    return Ok(());
                }
                let (from, target) = self.parent_of(&mut target)?;
                let (parent, name) = self.parent_of(&mut names)?;
                // A symbolic link must not get to another depth, where it could lead out.
                let stat = statat(&from, &*target, AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                    clear(&parent, &name)?;
                    linkat(&from, &*target, &parent, &*name, AtFlags::empty())?;
                } else {
                    self.left_out.add(format!("{shown}, a hard link to something else than a file"));
                }
            }
            EntryType::Char | EntryType::Block => self.left_out.add(format!("{shown}, a device")),
            EntryType::Fifo => self.left_out.add(format!("{shown}, a pipe")),
            kind => self.left_out.add(format!("{shown}, of kind {:?}", char::from(kind.as_byte()))),
        }
        Ok(())
    }

    /// A directory of the archive, made with all above it where it is missing.
    fn directory(&self, names: &[OsString]) -> io::Result<OwnedFd> {
        let top = walk(self.parent.try_clone()?, std::slice::from_ref(&self.name), Obstacle::Replace)?;
        walk(top, names, Obstacle::Replace)
    }

    fn parent_of(&self, names: &mut Vec<OsString>) -> io::Result<(OwnedFd, OsString)> {
        let name = names.pop().ok_or_else(|| io::Error::other("the archive has a name that is empty"))?;
        Ok((self.directory(names)?, name))
    }

    fn finish(self) -> io::Result<Vec<String>> {
        for (names, mode) in &self.modes {
            fchmod(self.directory(names)?, *mode)?;
        }
        Ok(self.left_out.list())
    }
}

/// What is done about something in the way of a directory that is not one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Keep,
    Replace,
}

/// Goes down from a directory, making what is missing.
fn walk(mut directory: OwnedFd, names: &[OsString], obstacle: Obstacle) -> io::Result<OwnedFd> {
    for name in names {
        let name = &**name;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        directory = match openat(&directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                mkdirat(&directory, name, Mode::from_bits_truncate(0o755))?;
                openat(&directory, name, flags, Mode::empty())?
            }
            Err(Errno::NOTDIR | Errno::LOOP) if obstacle == Obstacle::Replace => {
                unlinkat(&directory, name, AtFlags::empty())?;
                mkdirat(&directory, name, Mode::from_bits_truncate(0o755))?;
                openat(&directory, name, flags, Mode::empty())?
            }
            opened => opened.map_err(|error| {
                let error = io::Error::from(error);
                io::Error::new(error.kind(), format!("{}: {error}", name.display()))
            })?,
        };
    }
    Ok(directory)
}

/// Writes an entry's data to a new file, which takes the place of an old one.
fn write(parent: &OwnedFd, name: &OsStr, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
    clear(parent, name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?);
    let (size, mode) = (entry.header().entry_size()?, entry.header().mode()?);
    if io::copy(entry, &mut file)? < size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within a file"));
    }
    // No setuid bit: a guest must not leave programs that run as the user who ran the test.
    Ok(fchmod(&file, Mode::from_bits_truncate(mode & 0o777))?)
}

/// Removes what has this name, unless it is a directory.
fn clear(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The names that a relative path is made of; one that leads out is an error.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    let names = path.components().filter(|part| *part != Component::CurDir).map(|part| match part {
        Component::Normal(name) if !name.as_bytes().contains(&0) => Ok(name.to_owned()),
        _ => Err(io::Error::other(format!("the name {} leads out of the directory", path.display()))),
    });
    names.collect()
}

/// Whether a symbolic link in a directory this deep below the archive's own leads to something inside, whatever other such links there are:
/// after the first name, which may be a link, it must not go up again.
fn stays_inside(depth: usize, link: &Path) -> bool {
    let mut parts = link.components().filter(|part| *part != Component::CurDir).peekable();
    let mut up = 0;
    while parts.next_if_eq(&Component::ParentDir).is_some() {
        up += 1;
    }
    up <= depth && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn is_file(kind: EntryType) -> bool {
    matches!(kind, EntryType::Regular | EntryType::Continuous)
}

/// What was left out: the first few, and how many more.
#[derive(Default)]
struct LeftOut {
    first: Vec<String>,
    more: u64,
}

impl LeftOut {
    fn add(&mut self, what: String) {
        if self.first.len() < 20 { self.first.push(what) } else { self.more += 1 }
    }

    fn list(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("{} more", self.more));
        }
        self.first
    }
}
