//! The console's input.

use super::start::Again;
use super::{DEVICE, Machine};
use crate::error::Error;

impl Machine {
    /// Types bytes into the console, as a person at the serial line would. A line ends with `\n`.
    pub async fn send_console(&self, text: &[u8]) -> Result<(), Error> {
        const VERB: &str = "send_console";
        let boot = self.launched(Again::NotAfterDeath).await?;
        let terminal = boot.guest.terminal().ok_or_else(|| self.lacks(VERB, "console that takes input"))?;
        Ok(boot.race(VERB, Some(DEVICE), terminal.write(text)).await?)
    }
}
