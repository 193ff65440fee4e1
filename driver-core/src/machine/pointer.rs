//! The pointer.

use super::start::Again;
use super::{DEVICE, Machine};
use crate::error::Error;
use crate::guest::Button;

/// The power as refusals call it.
const POINTER: &str = "pointer";

impl Machine {
    /// Moves the pointer to a place of the screen, given as parts of its width and height from 0 (left, top) to 1.
    pub async fn move_pointer(&self, x: f64, y: f64) -> Result<(), Error> {
        const VERB: &str = "move_pointer";
        if !(0.0..=1.0).contains(&x) || !(0.0..=1.0).contains(&y) {
            let why = format!("({x}, {y}) is not on the screen; both are parts of its size, from 0 to 1");
            return Err(self.cannot(VERB, &why));
        }
        let step = self.step(format!("moving the pointer to ({x}, {y})"), |machine| async move {
            let boot = machine.launched(Again::NotAfterDeath).await?;
            let pointer = boot.guest.pointer().ok_or_else(|| machine.lacks(VERB, POINTER))?;
            Ok(boot.race(VERB, Some(DEVICE), pointer.move_to(x, y)).await?)
        });
        step.await
    }

    /// Presses and releases a button of the pointer, or turns its wheel by one notch.
    pub async fn click(&self, button: Button) -> Result<(), Error> {
        let title = format!("clicking the {}", told(button));
        self.step(title, |machine| async move { machine.press("click", button, &[true, false]).await }).await
    }

    /// Presses a button of the pointer and holds it.
    pub async fn press_button(&self, button: Button) -> Result<(), Error> {
        let title = format!("pressing the {}", told(button));
        self.step(title, |machine| async move { machine.press("press_button", button, &[true]).await }).await
    }

    /// Lets go of a button of the pointer.
    pub async fn release_button(&self, button: Button) -> Result<(), Error> {
        let title = format!("releasing the {}", told(button));
        self.step(title, |machine| async move { machine.press("release_button", button, &[false]).await }).await
    }

    async fn press(&self, verb: &str, button: Button, downs: &[bool]) -> Result<(), Error> {
        let boot = self.launched(Again::NotAfterDeath).await?;
        let pointer = boot.guest.pointer().ok_or_else(|| self.lacks(verb, POINTER))?;
        for down in downs {
            boot.race(verb, Some(DEVICE), pointer.button(button, *down)).await?;
        }
        Ok(())
    }
}

fn told(button: Button) -> &'static str {
    match button {
        Button::Left => "left button",
        Button::Middle => "middle button",
        Button::Right => "right button",
        Button::WheelUp => "wheel upwards",
        Button::WheelDown => "wheel downwards",
    }
}
