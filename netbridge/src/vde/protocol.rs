//! What client and switch tell each other before the first frame.
//!
//! Two requests are in use, both structures of C in the host's byte order, without padding:
//!
//! | version | fields |
//! | --- | --- |
//! | 3 | magic, version, type (32 bits each), `struct sockaddr_un`, description |
//! | 1 | magic, type (32 bits each), a MAC address that means nothing, `struct sockaddr_un`, description |
//!
//! The description has no length and no end: it is what comes along. The answer is a `struct sockaddr_un`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest request that means anything.
pub(crate) const LONGEST: usize = 256;

/// `struct sockaddr_un`: the family, and a path that ends with a zero.
pub(crate) const ADDRESS: usize = 2 + PATH;
const PATH: usize = 108;

const MAGIC: u32 = 0xfeed_face;
/// `AF_UNIX`.
const FAMILY: u16 = 1;
const MAC: usize = 6;

/// A client that wants to plug in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its datagram socket, an absolute path as it sees it.
    pub(crate) socket: PathBuf,
    /// What it says of itself: program, user, process. Fit to be shown.
    pub(crate) description: String,
}

/// Why something is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the request is not complete")]
    Incomplete,
    #[error("this is not the protocol of VDE, or its version 0")]
    Magic,
    #[error("version {0} of the protocol is not known")]
    Version(u32),
    #[error("requests of type {0} are not known")]
    Type(u32),
    #[error("the client's socket {0}")]
    Address(&'static str),
}

impl Request {
    /// Reads a request; [`Malformed::Incomplete`] says that more bytes could make it one.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        if word(&mut rest)? != MAGIC {
            return Err(Malformed::Magic);
        }
        let kind = match word(&mut rest)? {
            3 => word(&mut rest)?,
            // The type, where the first version has no number.
            kind @ (0 | 1) => {
                take::<MAC>(&mut rest)?;
                kind
            }
            version => return Err(Malformed::Version(version)),
        };
        // Any port or port 0, which is for managers. The other bits are the number of a wanted port. Here ports have none.
        if kind & 0xff > 1 {
            return Err(Malformed::Type(kind & 0xff));
        }
        let socket = path(take(&mut rest)?)?;
        Ok(Self { socket, description: description(rest) })
    }
}

/// The answer that `socket` is where the client's frames go; nothing if its path is too long for that.
pub(crate) fn reply(socket: &Path) -> Option<[u8; ADDRESS]> {
    let path = socket.as_os_str().as_bytes();
    let mut address = [0; ADDRESS];
    let (family, rest) = address.split_at_mut(2);
    family.copy_from_slice(&FAMILY.to_ne_bytes());
    // The zero that ends it has to fit too.
    rest[..PATH - 1].get_mut(..path.len())?.copy_from_slice(path);
    Some(address)
}

fn take<const LENGTH: usize>(rest: &mut &[u8]) -> Result<[u8; LENGTH], Malformed> {
    let (taken, after) = rest.split_first_chunk().ok_or(Malformed::Incomplete)?;
    *rest = after;
    Ok(*taken)
}

fn word(rest: &mut &[u8]) -> Result<u32, Malformed> {
    take(rest).map(u32::from_ne_bytes)
}

/// The path in a `struct sockaddr_un`.
fn path(address: [u8; ADDRESS]) -> Result<PathBuf, Malformed> {
    let (family, path) = address.split_at(2);
    if family != FAMILY.to_ne_bytes() {
        return Err(Malformed::Address("is not in the file system"));
    }
    let path = until_zero(path);
    match path {
        [b'/', ..] if path.len() < PATH => Ok(OsStr::from_bytes(path).into()),
        [b'/', ..] => Err(Malformed::Address("has a path that does not end")),
        [] => Err(Malformed::Address("has no name, or an abstract one")),
        _ => Err(Malformed::Address("has a relative path")),
    }
}

fn description(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(until_zero(bytes));
    text.chars().filter(|character| !character.is_control()).collect()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(path: &[u8]) -> Vec<u8> {
        let mut address = 1_u16.to_ne_bytes().to_vec();
        address.extend(path);
        address.resize(110, 0);
        address
    }

    fn version3(kind: u32, address: &[u8], description: &[u8]) -> Vec<u8> {
        let words = [0xfeed_face, 3, kind].map(u32::to_ne_bytes);
        [words.as_flattened(), address, description].concat()
    }

    fn version1(kind: u32, address: &[u8], description: &[u8]) -> Vec<u8> {
        let words = [0xfeed_face, kind].map(u32::to_ne_bytes);
        [words.as_flattened(), &[0; 6], address, description].concat()
    }

    fn request(description: &str) -> Request {
        Request { socket: "/lan/.01234-00000".into(), description: description.to_owned() }
    }

    #[test]
    fn requests_of_all_kinds() {
        let socket = address(b"/lan/.01234-00000");
        for (bytes, expected) in [
            // As vde_plug sends it.
            (version3(0, &socket, b"vdeplug: user=root pid=5432"), request("vdeplug: user=root pid=5432")),
            (version3(0, &socket, b""), request("")),
            // Port 7, and the managers' port.
            (version3(7 << 8, &socket, b"seven"), request("seven")),
            (version3(1, &socket, b"zero"), request("zero")),
            (version1(0, &socket, b"old"), request("old")),
            (version1(1, &socket, b""), request("")),
            // Descriptions are shown on terminals.
            (version3(0, &socket, b"a\x1b[2Jb\r\n\xffc\0d"), request("a[2Jb\u{fffd}c")),
        ] {
            assert_eq!(Request::parse(&bytes), Ok(expected));
        }
    }

    #[test]
    fn nonsense() {
        let socket = address(b"/lan/.01234-00000");
        for (bytes, expected) in [
            (Vec::new(), Malformed::Incomplete),
            (b"GET / HTTP/1.0".to_vec(), Malformed::Magic),
            (version1(2, &socket, b""), Malformed::Version(2)),
            (version1(4, &socket, b""), Malformed::Version(4)),
            (version3(2, &socket, b""), Malformed::Type(2)),
            (version3(0x7ff, &socket, b""), Malformed::Type(0xff)),
            (version3(0, &[0; 110], b""), Malformed::Address("is not in the file system")),
            (version3(0, &address(b""), b""), Malformed::Address("has no name, or an abstract one")),
            (version3(0, &address(b"\0abstract"), b""), Malformed::Address("has no name, or an abstract one")),
            (version3(0, &address(b"socket"), b""), Malformed::Address("has a relative path")),
            (version3(0, &address(&[b'/'; 108]), b""), Malformed::Address("has a path that does not end")),
        ] {
            assert_eq!(Request::parse(&bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn a_request_is_complete_with_its_address() {
        let socket = address(b"/lan/.01234-00000");
        for whole in [version3(0, &socket, b""), version1(0, &socket, b"")] {
            for length in 0..whole.len() {
                assert_eq!(Request::parse(&whole[..length]), Err(Malformed::Incomplete));
            }
            assert_eq!(Request::parse(&whole), Ok(request("")));
        }
    }

    #[test]
    fn replies_name_the_socket() {
        let socket = reply(Path::new("/lan/7")).unwrap();
        assert_eq!(socket.as_slice(), address(b"/lan/7"));
        assert_eq!(path(socket), Ok("/lan/7".into()));
        assert!(reply(Path::new(&format!("/{}", "x".repeat(106)))).is_some());
        assert!(reply(Path::new(&format!("/{}", "x".repeat(107)))).is_none());
    }

    proptest! {
        #[test]
        fn anything_gets_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn no_prefix_of_a_request_is_nonsense(
            kind in 0_u32..2, port in 0_u32..1 << 24, old: bool,
            name in "/[a-z/.0-9-]{0,106}", description in "[ -~]{0,128}", cut in 0_usize..122,
        ) {
            let socket = address(name.as_bytes());
            let bytes = if old {
                version1(kind, &socket, description.as_bytes())
            } else {
                version3(kind | port << 8, &socket, description.as_bytes())
            };
            prop_assert_eq!(Request::parse(&bytes), Ok(Request { socket: name.into(), description }));
            prop_assert_eq!(Request::parse(&bytes[..cut]), Err(Malformed::Incomplete));
        }
    }
}
