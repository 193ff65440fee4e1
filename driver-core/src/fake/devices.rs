//! What a fake machine has beside its command channel: a screen, a keyboard, a pointer, a console that takes input, a monitor.

use async_trait::async_trait;
use serde_json::Value;

use super::guest::FakeGuest;
use crate::error::MachineError;
use crate::guest::{Button, Keyboard, Monitor, Pointer, QmpEvents, QmpRefusal, Screen, Terminal};
use crate::spec::nearest;

/// What a fake machine's pointer was told to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pointed {
    /// It was moved to this place.
    At(f64, f64),
    /// A button was pressed.
    Pressed(Button),
    /// A button was released.
    Released(Button),
}

/// The devices of a fake machine, and what they were told to do.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// What the screen shows; none if there is no screen.
    pub(super) picture: Option<Vec<u8>>,
    /// The keys' names; none if there is no keyboard.
    pub(super) keys: Option<Vec<String>>,
    pub(super) has_pointer: bool,
    pub(super) has_terminal: bool,
    pub(super) has_monitor: bool,
    /// What the monitor answers to lines and commands that begin with a text. The last one that fits counts.
    pub(super) lines: Vec<(String, String)>,
    pub(super) replies: Vec<(String, Result<Value, QmpRefusal>)>,
    pub(super) pressed: Vec<String>,
    pub(super) pointed: Vec<Pointed>,
    pub(super) typed: Vec<u8>,
    pub(super) asked: Vec<String>,
    pub(super) executed: Vec<(String, Value)>,
}

#[async_trait]
impl Terminal for FakeGuest {
    async fn write(&self, bytes: &[u8]) -> Result<(), MachineError> {
        self.machine.script().devices.typed.extend_from_slice(bytes);
        Ok(())
    }
}

#[async_trait]
impl Screen for FakeGuest {
    async fn shot(&self) -> Result<Vec<u8>, MachineError> {
        let picture = self.machine.script().devices.picture.clone();
        picture.ok_or_else(|| self.error("take a picture of the screen", "the screen was taken away"))
    }
}

#[async_trait]
impl Keyboard for FakeGuest {
    fn check(&self, key: &str) -> Result<(), String> {
        let script = self.machine.script();
        let keys = script.devices.keys.as_deref().unwrap_or_default();
        let mut characters = key.chars();
        if let (Some(' '..='~' | '\n' | '\t'), None) = (characters.next(), characters.next()) {
            return Ok(());
        }
        let Some(unknown) = key.split('-').find(|name| !keys.iter().any(|known| known == name)) else { return Ok(()) };
        let cure = nearest(unknown, keys.iter().map(String::as_str));
        let cure = cure.map(|known| format!("; did you mean {known:?}?")).unwrap_or_default();
        Err(format!("no key is named {unknown:?}{cure}"))
    }

    async fn press(&self, key: &str) -> Result<(), MachineError> {
        self.machine.script().devices.pressed.push(key.into());
        Ok(())
    }
}

#[async_trait]
impl Pointer for FakeGuest {
    async fn move_to(&self, x: f64, y: f64) -> Result<(), MachineError> {
        self.machine.script().devices.pointed.push(Pointed::At(x, y));
        Ok(())
    }

    async fn button(&self, button: Button, down: bool) -> Result<(), MachineError> {
        let pointed = if down { Pointed::Pressed(button) } else { Pointed::Released(button) };
        self.machine.script().devices.pointed.push(pointed);
        Ok(())
    }
}

#[async_trait]
impl Monitor for FakeGuest {
    async fn command(&self, line: &str) -> Result<String, MachineError> {
        let mut script = self.machine.script();
        let devices = &mut script.devices;
        devices.asked.push(line.into());
        let answer = devices.lines.iter().rev().find(|(begin, _)| line.starts_with(begin.as_str()));
        Ok(answer.map(|(_, text)| text.clone()).unwrap_or_default())
    }

    async fn qmp(&self, command: &str, arguments: Value) -> Result<Result<Value, QmpRefusal>, MachineError> {
        let mut script = self.machine.script();
        let devices = &mut script.devices;
        devices.executed.push((command.into(), arguments));
        let reply = devices.replies.iter().rev().find(|(begin, _)| command.starts_with(begin.as_str()));
        Ok(reply.map_or_else(|| Ok(Value::Object(serde_json::Map::new())), |(_, reply)| reply.clone()))
    }

    fn events(&self) -> QmpEvents {
        self.events.clone()
    }
}
