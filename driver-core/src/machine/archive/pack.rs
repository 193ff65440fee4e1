//! Packing what is on the host.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// Writes a file or a directory with all that is below it as a tar stream, its first name being `name`.
///
/// Modes and times are kept, the owner is root. Symbolic links are followed, as upstream does, but one that leads nowhere or back to a
/// directory that it lies in stays a link. Sockets, pipes and devices are an error.
pub(in super::super) fn pack(source: &Path, name: &Path, to: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(to);
    add(&mut builder, source, name, &mut Vec::new()).map_err(|error| told(source, error))?;
    builder.into_inner()?.flush()
}

/// `above` has the real paths of the directories that `source` lies in.
fn add(builder: &mut Builder<impl Write>, source: &Path, name: &Path, above: &mut Vec<PathBuf>) -> io::Result<()> {
    let link = fs::symlink_metadata(source)?;
    let real = match fs::canonicalize(source) {
        Ok(real) if !above.contains(&real) => real,
        _ if link.is_symlink() => {
            let mut header = header(&link, EntryType::Symlink, 0);
            return builder.append_link(&mut header, name, fs::read_link(source)?);
        }
        Ok(_) => return Err(io::Error::other("it contains itself")),
        Err(error) => return Err(error),
    };
    let metadata = fs::metadata(source)?;
    if metadata.is_file() {
        let file = File::open(source)?;
        // A file that shrinks while it is read is filled up, one that grows is cut, as tar does: the length is already told.
        let length = metadata.len();
        let mut header = header(&metadata, EntryType::Regular, length);
        return builder.append_data(&mut header, name, file.chain(io::repeat(0)).take(length));
    }
    if !metadata.is_dir() {
        return Err(io::Error::other("it is neither a file nor a directory"));
    }
    builder.append_data(&mut header(&metadata, EntryType::Directory, 0), name, io::empty())?;
    let mut children = fs::read_dir(source)?.collect::<Result<Vec<_>, _>>()?;
    children.sort_by_key(fs::DirEntry::file_name);
    above.push(real);
    for child in children {
        let (path, name) = (child.path(), name.join(child.file_name()));
        add(builder, &path, &name, above).map_err(|error| told(&path, error))?;
    }
    above.pop();
    Ok(())
}

fn header(metadata: &Metadata, kind: EntryType, length: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or_default());
    header.set_size(length);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Adds the path to an error, the innermost one only.
fn told(path: &Path, error: io::Error) -> io::Error {
    // The reader's end of the pipe tells more than its writer knows.
    let is_told = matches!(error.get_ref(), Some(inner) if inner.is::<Told>());
    if is_told || error.kind() == io::ErrorKind::BrokenPipe {
        return error;
    }
    io::Error::new(error.kind(), Told { path: path.into(), error })
}

#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
struct Told {
    path: PathBuf,
    error: io::Error,
}
