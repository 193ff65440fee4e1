//! The keyboard and the pointer.

use std::time::Duration;

use async_trait::async_trait;
use driver_core::error::MachineError;
use driver_core::guest::{Button, Keyboard, Pointer};
use tokio::time::sleep;

use crate::guest::Vm;
use crate::keys;
use crate::qmp::command::{self, Axis, InputEvent, InputSendEvent, SendKey};

/// How long a key is held down. QEMU waits as long after each key that goes down or up.
const HOLD: Duration = Duration::from_millis(20);

#[async_trait]
impl Keyboard for Vm {
    fn check(&self, key: &str) -> Result<(), String> {
        keys::parse(key).map(drop).map_err(|error| error.to_string())
    }

    async fn press(&self, key: &str) -> Result<(), MachineError> {
        let operation = "press a key";
        let (life, qmp) = (&self.shared.life, &self.shared.qmp);
        let keys = keys::parse(key).map_err(|error| life.error(operation, error))?;
        let strokes = u32::try_from(2 * keys.len()).unwrap_or(u32::MAX);
        let hold_time = u32::try_from(HOLD.as_millis()).ok();
        qmp.execute(life, operation, SendKey { keys, hold_time }).await?;
        // QEMU has only put it into its queue, and drops without a word what a full queue does not take.
        sleep(HOLD * strokes).await;
        Ok(())
    }
}

#[async_trait]
impl Pointer for Vm {
    async fn move_to(&self, x: f64, y: f64) -> Result<(), MachineError> {
        let to = |axis, part| InputEvent::Abs { axis, value: coordinate(part) };
        self.input("move the pointer", vec![to(Axis::X, x), to(Axis::Y, y)]).await
    }

    async fn button(&self, button: Button, down: bool) -> Result<(), MachineError> {
        let button = match button {
            Button::Left => command::Button::Left,
            Button::Middle => command::Button::Middle,
            Button::Right => command::Button::Right,
            Button::WheelUp => command::Button::WheelUp,
            Button::WheelDown => command::Button::WheelDown,
        };
        self.input("press a button", vec![InputEvent::Btn { button, down }]).await
    }
}

impl Vm {
    async fn input(&self, operation: &str, events: Vec<InputEvent>) -> Result<(), MachineError> {
        self.shared.qmp.execute(&self.shared.life, operation, InputSendEvent { events }).await.map(drop)
    }
}

/// A part of the screen as QEMU has it; what lies outside is its edge.
fn coordinate(part: f64) -> u16 {
    let inside = (part.clamp(0.0, 1.0) * f64::from(InputEvent::ABS_MAX)).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and 32767, and NaN becomes 0"
    )]
    let value = inside as u16;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_screen_are_qemus_coordinates() {
        for (part, value) in [(0.0, 0), (1.0, 0x7fff), (0.5, 0x4000), (-1.0, 0), (7.0, 0x7fff), (f64::NAN, 0)] {
            assert_eq!(coordinate(part), value, "{part}");
        }
    }
}
