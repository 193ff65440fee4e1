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
