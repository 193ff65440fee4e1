//! The commands that are used, with the types of what they take and answer. Any other goes by [`Client::send`](super::Client::send).
//!
//! What each does is told by [QEMU's reference](https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html).

use std::net::SocketAddrV4;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::wire::Version;
use crate::keys::Key;

/// A command of QMP. What it serializes to are its arguments: an object, or null for none.
pub trait Command: Serialize {
    /// Its name.
    const NAME: &'static str;
    /// What it answers.
    type Ok: DeserializeOwned;
}

/// The answer of a command that answers nothing but that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Done {}

macro_rules! commands {
    ($($command:ty => $name:literal, $answer:ty;)*) => {
        $(impl Command for $command {
            const NAME: &'static str = $name;
            type Ok = $answer;
        })*
    };
}

commands! {
    QmpCapabilities => "qmp_capabilities", Done;
    QueryStatus => "query-status", Status;
    QueryVersion => "query-version", Version;
    Quit => "quit", Done;
    SystemPowerdown => "system_powerdown", Done;
    SystemReset => "system_reset", Done;
    Stop => "stop", Done;
    Cont => "cont", Done;
    SetLink => "set_link", Done;
    SetAction => "set-action", Done;
    RemoveFd => "remove-fd", Done;
    Screendump => "screendump", Done;
    SendKey => "send-key", Done;
    InputSendEvent => "input-send-event", Done;
    HumanMonitorCommand => "human-monitor-command", String;
}

/// Ends the negotiation that a connection begins with; no capability is asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct QmpCapabilities;

/// Asks what the machine does.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct QueryStatus;

/// What the machine does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The guest's processors run.
    pub running: bool,
    /// QEMU's `RunState`, such as `running`, `paused`, `prelaunch`, `shutdown` or `guest-panicked`.
    pub status: String,
}

/// Asks for QEMU's version.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct QueryVersion;

/// Ends QEMU at once, as a power cut. The answer may or may not come before QEMU is gone.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quit;

/// Presses the power button, which the guest may heed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SystemPowerdown;

/// Presses the reset button.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SystemReset;

/// Halts the guest's processors.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stop;

/// Lets the guest's processors run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cont;

/// Says what a guest's reboot is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SetAction {
    /// It.
    pub reboot: RebootAction,
}

/// What a guest's reboot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RebootAction {
    /// A reboot.
    Reset,
    /// The machine's end.
    Shutdown,
}

/// What QEMU answers to `add-fd`, which takes a descriptor ([`Client::send_with`](super::Client::send_with)): from then on `/dev/fdset/ID` is
/// a file name for QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct AddedFd {
    /// The set that the descriptor was put into.
    #[serde(rename = "fdset-id")]
    pub fdset: i64,
}

/// Has QEMU close a set of descriptors.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RemoveFd {
    /// The set.
    #[serde(rename = "fdset-id")]
    pub fdset: i64,
}

/// Plugs or pulls the cable of a network device.
#[derive(Clone, Debug, Serialize)]
pub struct SetLink {
    /// The id of the netdev or of the device.
    pub name: String,
    /// Whether it is plugged.
    pub up: bool,
}

/// Writes a picture of the screen to a file. The answer comes once it is written.
#[derive(Clone, Debug, Serialize)]
pub struct Screendump {
    /// The file as QEMU's process sees it, absolute.
    pub filename: String,
    /// The picture's format.
    pub format: ImageFormat,
}

/// A format of pictures. QEMU has PNG from 7.1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// Portable Network Graphics.
    Png,
}

/// Presses keys at the same time and lets them go. Answered before that is done: strokes wait in a queue that QEMU works off at the
/// keyboard's pace. A stroke is lost without a word if the queue is full or the guest's processors stand still.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SendKey {
    /// The keys, in the order in which they go down.
    pub keys: Vec<Key>,
    /// Milliseconds until they are let go; 100 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<u32>,
}

/// Hands input to the guest, all of it at one time. Refused if no device of the guest takes such input, or its processors
/// stand still.
#[derive(Clone, Debug, Serialize)]
pub struct InputSendEvent {
    /// What happens, in this order.
    pub events: Vec<InputEvent>,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub enum InputEvent {
    /// A key goes down or up.
    Key {
        /// Which.
        key: Key,
        /// Whether it goes down.
        down: bool,
    },
    /// A button of the pointer goes down or up.
    Btn {
        /// Which.
        button: Button,
        /// Whether it goes down.
        down: bool,
    },
    /// The pointer is put somewhere, which takes a tablet.
    Abs {
        /// In which direction.
        axis: Axis,
        /// From 0, left or top, to [`InputEvent::ABS_MAX`].
        value: u16,
    },
    /// The pointer moves.
    Rel {
        /// In which direction.
        axis: Axis,
        /// How far, to the right or down.
        value: i32,
    },
}

impl InputEvent {
    /// The right or bottom end of the screen.
    pub const ABS_MAX: u16 = 0x7fff;
}

/// A direction on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// To the right.
    X,
    /// Down.
    Y,
}

/// A button of a pointer. A wheel's step is a button pressed and let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Button {
    /// The left one.
    Left,
    /// The middle one.
    Middle,
    /// The right one.
    Right,
    /// The wheel, away from the user.
    WheelUp,
    /// The wheel, towards the user.
    WheelDown,
}

/// Executes a line of QEMU's monitor for people and answers what it prints. Its errors are in that text, too: there is no telling them apart.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HumanMonitorCommand {
    /// The line.
    pub command_line: String,
}

impl HumanMonitorCommand {
    /// Any line.
    pub fn new(line: impl Into<String>) -> Self {
        Self { command_line: line.into() }
    }

    /// Forwards TCP from the host to a port of the guest through the user network `netdev`. Prints nothing if it worked.
    pub fn forward_tcp(netdev: &str, host: SocketAddrV4, guest_port: u16) -> Self {
        Self::new(format!("hostfwd_add {netdev} tcp:{}:{}-:{guest_port}", host.ip(), host.port()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::{Value, json};

    use super::*;
    use crate::keys::parse;

    fn arguments<C: Command>(command: C) -> (&'static str, Value) {
        (C::NAME, serde_json::to_value(command).unwrap())
    }

    #[test]
    fn arguments_are_named_as_qemu_wants() {
        let keys = parse("shift-0x0B").unwrap();
        let key = keys[0].clone();
        for (command, expected) in [
            (arguments(QueryStatus), ("query-status", Value::Null)),
            (arguments(SystemPowerdown), ("system_powerdown", Value::Null)),
            (arguments(SetLink { name: "n1".into(), up: false }), ("set_link", json!({ "name": "n1", "up": false }))),
            (
                arguments(Screendump { filename: "/s.png".into(), format: ImageFormat::Png }),
                ("screendump", json!({ "filename": "/s.png", "format": "png" })),
            ),
            (
                arguments(SendKey { keys: keys.clone(), hold_time: None }),
                (
                    "send-key",
                    json!({ "keys": [{ "type": "qcode", "data": "shift" }, { "type": "number", "data": 11 }] }),
                ),
            ),
            (
                arguments(SendKey { keys: vec![], hold_time: Some(5) }),
                ("send-key", json!({ "keys": [], "hold-time": 5 })),
            ),
            (
                arguments(HumanMonitorCommand::forward_tcp("user0", SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080), 80)),
                ("human-monitor-command", json!({ "command-line": "hostfwd_add user0 tcp:127.0.0.1:8080-:80" })),
            ),
            (
                arguments(InputSendEvent {
                    events: vec![
                        InputEvent::Abs { axis: Axis::X, value: InputEvent::ABS_MAX },
                        InputEvent::Rel { axis: Axis::Y, value: -3 },
                        InputEvent::Btn { button: Button::WheelUp, down: true },
                        InputEvent::Key { key, down: false },
                    ],
                }),
                (
                    "input-send-event",
                    json!({ "events": [
                        { "type": "abs", "data": { "axis": "x", "value": 32767 } },
                        { "type": "rel", "data": { "axis": "y", "value": -3 } },
                        { "type": "btn", "data": { "button": "wheel-up", "down": true } },
                        { "type": "key", "data": { "key": { "type": "qcode", "data": "shift" }, "down": false } },
                    ] }),
                ),
            ),
        ] {
            assert_eq!(command, expected);
        }
    }

    #[test]
    fn answers_may_have_more_fields() {
        let status: Status =
            serde_json::from_value(json!({ "running": true, "singlestep": false, "status": "running" })).unwrap();
        assert_eq!(status, Status { running: true, status: "running".into() });
        assert_eq!(serde_json::from_value::<Done>(json!({ "new": 1 })).unwrap(), Done {});
    }
}
