//! The serial line: what the guest says there, line by line, and what is typed into it.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use driver_core::console::Console;
use driver_core::error::MachineError;
use driver_core::guest::Terminal;
use driver_core::life::Standing;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::guest::{LAST_WORDS, Vm};
use crate::signs::Sign;

/// How long the guest may take to read what is typed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows a serial line to its end and sends what its lines tell to `signs`.
pub(crate) async fn follow(serial: impl AsyncRead + Unpin, console: Console, signs: mpsc::Sender<Sign>) {
    let said = |line: &str| {
        if let Some(sign) = Sign::read(line) {
            // Where nobody keeps up, an earlier sign has told enough.
            let _ = signs.try_send(sign);
        }
    };
    driver_core::console::follow(serial, console, said).await;
}

#[async_trait]
impl Terminal for Vm {
    async fn write(&self, bytes: &[u8]) -> Result<(), MachineError> {
        let life = &self.shared.life;
        let operation = "type into the console";
        let mut left = bytes;
        let typed = async {
            let mut serial = self.shared.typing.lock().await;
            while !left.is_empty() {
                match serial.write(left).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                    length => left = &left[length..],
                }
            }
            Ok(())
        };
        match timeout(PATIENCE, typed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                life.ends_within(LAST_WORDS).await;
                Err(if matches!(life.standing(), Standing::Ended(_)) {
                    life.not_there(operation)
                } else {
                    life.error(operation, &error).source(error)
                })
            }
            Err(_elapsed) => {
                let cause = format!("the guest does not read: {} of {} bytes are left", left.len(), bytes.len());
                Err(life.error(operation, cause).after(PATIENCE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use driver_core::event::Recorder;

    use super::*;

    #[tokio::test]
    async fn signs_are_told() {
        let (console, (signs, mut told)) = (Console::new(Recorder::new(Vec::new())), mpsc::channel(1));
        follow(b"[    1.5] Kernel panic - not syncing: x\r\n".as_slice(), console, signs).await;
        assert_eq!(told.recv().await, Some(Sign::Panic("x".into())));
    }
}
