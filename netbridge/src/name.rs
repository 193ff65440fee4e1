//! Names of interfaces, checked before the kernel sees them.

use std::fmt;

use crate::Error;

/// The kernel's `IFNAMSIZ`, which counts a NUL at the end.
const SIZE: usize = 16;

/// The name of a network interface: one that the kernel takes as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Checks `name`: 1 to 15 printable ASCII characters without `/`, `:` and `%`, and none of `.`, `..`, `all` and `default`.
    ///
    /// The kernel alone would take a `%` and fill in a number, and other characters than ASCII, some of which it holds for white space.
    /// `all` and `default` mean something else below `/proc/sys/net`.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        match fault(&name) {
            Some(fault) => Err(Error::Name { name, fault }),
            None => Ok(Self(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a port.
///
/// Its first part is the name of the kernel's interface that is the port, unique in the segment's namespace; ports that are sockets
/// have it in messages only. Its second part is the name of the [`Link`](crate::Link) that the port is joined by: faults, captures and
/// statistics go by it, and later ports of that name take them over. An interface's name alone is also the link's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortName {
    pub(crate) interface: InterfaceName,
    pub(crate) link: String,
}

impl PortName {
    /// The name of a port that is `interface` in the kernel and is joined by the link `link`.
    pub fn new(interface: InterfaceName, link: impl Into<String>) -> Self {
        Self { interface, link: link.into() }
    }
}

impl From<InterfaceName> for PortName {
    fn from(interface: InterfaceName) -> Self {
        let link = interface.as_str().to_owned();
        Self { interface, link }
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() >= SIZE {
        Some("is longer than 15 characters")
    } else if matches!(name, "." | ".." | "all" | "default") {
        Some("has a meaning of its own")
    } else if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("has white space or a character that is not printable ASCII")
    } else if name.contains(['/', ':', '%']) {
        Some("contains `/`, `:` or `%`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_kernel_takes() {
        for name in ["e", "eth1", "veth-server.1", "exactly15bytes_", "...", "a@b"] {
            assert_eq!(InterfaceName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        for (name, why) in [
            ("", "empty"),
            ("exactly16bytes__", "longer"),
            (".", "meaning"),
            ("..", "meaning"),
            ("all", "meaning"),
            ("default", "meaning"),
            ("a b", "white space"),
            ("a\tb", "white space"),
            ("a\0b", "printable"),
            ("brücke", "printable"),
            ("a/b", "contains"),
            ("a:1", "contains"),
            ("eth%d", "contains"),
        ] {
            let error = InterfaceName::new(name).unwrap_err().to_string();
            assert!(error.contains(why), "{name:?} gave: {error}");
        }
    }
}
