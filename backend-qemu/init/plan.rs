//! What the driver wants done: `/plan` in the initramfs, words that each end with a NUL. `backend-qemu`'s `initramfs/plan.rs` writes it.

/// Everything to do, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan<'a> {
    pub(crate) steps: Vec<Step<'a>>,
}

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Load a module.
    Module { file: &'a str },
    /// Give the interface with this MAC address a name and addresses with their prefixes.
    Interface { mac: &'a str, name: &'a str, addresses: Vec<&'a str> },
    /// Wait until something exists.
    Wait { path: &'a str },
    /// Mount a share read-only as the root, and above it what the machine writes: a device, or memory if that is `-`.
    Overlay { tag: &'a str, upper: &'a str },
    /// Mount a device as the root, whatever is on it: an ext4 file system of the machine's own.
    Empty { device: &'a str },
    /// Mount a device as the root, unless there is one already. It must have one of these programs.
    Disk { device: &'a str, kind: &'a str, inits: Vec<&'a str> },
    /// Go into the root.
    Enter,
    /// Mount a share read-only in the root, where it has the directory.
    Share { tag: &'a str, target: &'a str },
    /// The same from a disk with an ext4 file system.
    Volume { device: &'a str, target: &'a str },
    /// Mount an empty file system in memory in the root, where it has the directory. The mode is octal.
    Scratch { target: &'a str, mode: &'a str },
    /// Leave out all changes to files if this file has this content: an earlier boot has made them.
    Unless { path: &'a str, content: &'a str },
    /// Change a file.
    File(Change<'a>),
    /// Become the first of these programs that is there.
    Execute { inits: Vec<&'a str> },
}

/// A change to a file of the root's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// Replace it. The mode is octal.
    Write { path: &'a str, mode: u32, content: &'a str },
    /// Replace it by a symbolic link.
    Link { path: &'a str, target: &'a str },
    /// Change its permissions, if it is there. The mode is octal.
    Mode { path: &'a str, mode: u32 },
    /// Remove it, or a directory with all that is in it.
    Remove { path: &'a str },
    /// Let root in without a password.
    EmptyRootPassword,
}

impl<'a> Plan<'a> {
    /// Reads the plan; none if it is not one.
    pub(crate) fn parse(plan: &'a [u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(plan).ok()?.strip_suffix('\0')?.split('\0');
        let mut steps = Vec::new();
        while let Some(verb) = words.next() {
            steps.push(step(verb, &mut words)?);
        }
        Some(Self { steps })
    }
}

fn step<'a>(verb: &str, words: &mut impl Iterator<Item = &'a str>) -> Option<Step<'a>> {
    let mut word = || words.next();
    Some(match verb {
        "module" => Step::Module { file: word()? },
        "interface" => Step::Interface { mac: word()?, name: word()?, addresses: list(word()?) },
        "wait" => Step::Wait { path: word()? },
        "overlay" => Step::Overlay { tag: word()?, upper: word()? },
        "empty" => Step::Empty { device: word()? },
        "disk" => Step::Disk { device: word()?, kind: word()?, inits: list(word()?) },
        "enter" => Step::Enter,
        "share" => Step::Share { tag: word()?, target: word()? },
        "volume" => Step::Volume { device: word()?, target: word()? },
        "scratch" => Step::Scratch { target: word()?, mode: word()? },
        "unless" => Step::Unless { path: word()?, content: word()? },
        "write" => {
            let (path, mode) = (word()?, u32::from_str_radix(word()?, 8).ok()?);
            Step::File(Change::Write { path, mode, content: word()? })
        }
        "link" => Step::File(Change::Link { path: word()?, target: word()? }),
        "mode" => Step::File(Change::Mode { path: word()?, mode: u32::from_str_radix(word()?, 8).ok()? }),
        "remove" => Step::File(Change::Remove { path: word()? }),
        "empty-root-password" => Step::File(Change::EmptyRootPassword),
        "execute" => Step::Execute { inits: list(word()?) },
        _ => return None,
    })
}

fn list(words: &str) -> Vec<&str> {
    words.split(' ').filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plan_is_refused() {
        for plan in
            [&b""[..], b"module\0", b"enter", b"dance\0", b"enter\0overlay\0root\0", b"write\0/a\x009\0x\0", b"\xff\0"]
        {
            assert_eq!(Plan::parse(plan), None, "{plan:?}");
        }
    }

    #[test]
    fn empty_words_count() {
        let plan = Plan::parse(b"write\0/etc/fstab\x00644\0\0interface\0m\0eth1\0\0").unwrap();
        assert_eq!(
            plan.steps,
            [
                Step::File(Change::Write { path: "/etc/fstab", mode: 0o644, content: "" }),
                Step::Interface { mac: "m", name: "eth1", addresses: Vec::new() },
            ]
        );
    }
}
