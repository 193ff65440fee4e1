//! Lines of the console by which a guest tells that it will not take commands any more.

/// What such a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The kernel stopped; the text is its reason.
    Panic(String),
    /// The root that the driver's own initramfs was to boot could not be set up. The guest powers off.
    NoRoot(String),
    /// The guest runs, but waits for a person; the text says how.
    Stuck(&'static str),
}

/// What the kernel begins the line of its panic with (kernel, `kernel/panic.c`).
const PANIC: &str = "Kernel panic - not syncing: ";

/// What the driver's initramfs begins the line of its failure with.
const INITRAMFS: &str = "tandem-init: ";

/// Where a line can have the text that goes with it.
#[derive(Clone, Copy)]
enum Place {
    Start,
    Anywhere,
}

/// Lines of systems that wait for a person. A pair must be in one line.
const STUCK: &[(Place, &str, &str, &str)] = &[
    (Place::Start, "Out of memory: Killed process 1 ", "", "the kernel's OOM killer ended its pid 1"),
    // systemd, src/sulogin-shell and units/emergency.service.
    (Place::Start, "You are in emergency mode", "", "it is in emergency mode"),
    (Place::Start, "Cannot open access to console, the root account is locked", "", "it is in emergency mode"),
    (Place::Start, "systemd[1]: Reached target ", "Emergency Mode", "it is in emergency mode"),
    (Place::Start, "[  OK  ] Reached target ", "Emergency Mode", "it is in emergency mode"),
    // systemd, src/core/crash-handler.c and main.c.
    (Place::Start, "systemd[1]: Freezing execution", "", "its systemd crashed"),
    (Place::Start, "[!!!!!!] ", ", freezing", "its systemd gave up"),
    // Initramfs of dracut, of initramfs-tools and of NixOS.
    (Place::Start, "Entering emergency mode. Exit the shell to continue", "", "its initramfs is in emergency mode"),
    (Place::Anywhere, "ALERT!", "Dropping to a shell!", "its initramfs found no root and waits for a person"),
    (
        Place::Start,
        "An error occurred in stage 1 of the boot process",
        "",
        "its initramfs failed and waits for a person",
    ),
];

impl Sign {
    /// What a line tells, if it is such a line.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let text = without_time(line);
        if let Some(reason) = text.strip_prefix(PANIC) {
            return Some(Self::Panic(reason.trim().to_owned()));
        }
        if let Some(failure) = text.strip_prefix(INITRAMFS) {
            return Some(Self::NoRoot(failure.trim().to_owned()));
        }
        let fits = |place: Place, first: &str| match place {
            Place::Start => text.starts_with(first),
            Place::Anywhere => text.contains(first),
        };
        let stuck = STUCK.iter().find(|(place, first, then, _)| fits(*place, first) && text.contains(then));
        stuck.map(|(_, _, _, words)| Self::Stuck(words))
    }

    /// The guest's state in words, to be read after the machine's name.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Panic(reason) if reason.is_empty() => "its kernel panicked".to_owned(),
            Self::Panic(reason) => format!("its kernel panicked: {reason}"),
            Self::NoRoot(failure) => format!("its root could not be set up: {failure}"),
            Self::Stuck(words) => (*words).to_owned(),
        }
    }
}

/// A line without what the kernel puts in front: a time, and with some kernels the caller (`[    1.234567][    T1] `).
fn without_time(line: &str) -> &str {
    let mut rest = line;
    while let Some((inside, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        let inside = inside.trim_start();
        let number = inside.trim_start_matches(['T', 'C']);
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            break;
        }
        rest = after;
    }
    rest.trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadly_lines_are_known() {
        for (line, told) in [
            (
                "[    5.123456] Kernel panic - not syncing: sysrq triggered crash",
                "its kernel panicked: sysrq triggered crash",
            ),
            (
                "[   12.000001][    T1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009",
                "its kernel panicked: Attempted to kill init! exitcode=0x00000009",
            ),
            (
                "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
                "its kernel panicked: VFS: Unable to mount root fs on unknown-block(0,0)",
            ),
            (
                "tandem-init: cannot mount the share root: Invalid argument",
                "its root could not be set up: cannot mount the share root: Invalid argument",
            ),
            ("You are in emergency mode. After logging in, type \"journalctl -xb\" to view", "it is in emergency mode"),
            ("[  OK  ] Reached target emergency.target - Emergency Mode.", "it is in emergency mode"),
            ("[   33.1] systemd[1]: Freezing execution.", "its systemd crashed"),
            ("[!!!!!!] Failed to mount API filesystems, freezing.", "its systemd gave up"),
            (
                "[   99.8] Out of memory: Killed process 1 (systemd) total-vm:1kB",
                "the kernel's OOM killer ended its pid 1",
            ),
            (
                "ALERT!  UUID=0 does not exist.  Dropping to a shell!",
                "its initramfs found no root and waits for a person",
            ),
        ] {
            assert_eq!(Sign::read(line).map(|sign| sign.told()).as_deref(), Some(told), "{line}");
        }
    }

    #[test]
    fn talk_about_them_is_not_deadly() {
        for line in [
            "",
            "[    0.000000] Command line: panic=-1",
            "grep: Kernel panic - not syncing: x",
            "[    5.1] app[7]: Kernel panic - not syncing: x",
            "[    5.1] ---[ end Kernel panic - not syncing: x ]---",
            "[    5.1] Out of memory: Killed process 12 (java)",
            "[    5.1] Out of memory: Killed process 1234 (java)",
            "[note] Kernel panic - not syncing: x",
            "[ TIME ] Timed out waiting for device",
            "[  OK  ] Reached target basic.target - Basic System.",
        ] {
            assert_eq!(Sign::read(line), None, "{line}");
        }
    }
}
