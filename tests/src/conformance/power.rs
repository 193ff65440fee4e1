//! What machines of some backends can do and those of others cannot.

/// Something that a backend's machines may be unable to do. All else, all must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// Standard error arrives apart from standard output.
    StderrApart,
    /// Commands run at the same time.
    Overlap,
    /// Files of its own, which last from boot to boot.
    Files,
    /// Commands see what has changed in root's profile since the boot.
    Profile,
    /// A systemd of its own as pid 1.
    Units,
    /// What it writes to `/dev/console` is on the console.
    Console,
    /// Its console takes input.
    Terminal,
    /// It reboots.
    Reboot,
    /// It is on a LAN with others, and knows their names.
    Lan,
    /// Its network plugs can be pulled.
    Cable,
    /// It has a screen.
    Screen,
    /// The text on its screen can be read.
    ScreenText,
    /// It has a keyboard.
    Keyboard,
    /// It has a pointer.
    Pointer,
    /// It has QEMU's human monitor.
    Monitor,
    /// It answers QMP.
    Qmp,
}

/// An entry of a backend's list of what its machines cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cannot {
    /// What they cannot do.
    pub power: Power,
    /// Why, in words that are in the error of each verb that needs it.
    pub reason: &'static str,
}
