//! The screen.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};

use async_trait::async_trait;
use driver_core::error::MachineError;
use driver_core::guest::Screen;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::guest::Vm;
use crate::monitor::{broken, lend};
use crate::qmp::command::{ImageFormat, Screendump};
use crate::qmp::{Client, VersionNumbers};

/// The first QEMU that makes PNG pictures.
const PNG: VersionNumbers = VersionNumbers { major: 7, minor: 1, micro: 0 };

#[async_trait]
impl Screen for Vm {
    async fn shot(&self) -> Result<Vec<u8>, MachineError> {
        let operation = "take a screenshot";
        let (life, qmp) = (&self.shared.life, &self.shared.qmp);
        let (mut file, for_qemu) = file().map_err(|error| broken(life, operation, error))?;
        let old = async |client: Client| Ok(client.version().qemu < PNG);
        if let Ok(true) = qmp.ask(life, operation, old).await? {
            return Err(life.error(operation, "this QEMU makes no PNG pictures").cure("use QEMU 7.1 or newer"));
        }
        let take = async |client: Client| {
            let dump = async |client: &Client, filename| {
                client.execute(Screendump { filename, format: ImageFormat::Png }).await
            };
            lend(&client, for_qemu, dump).await
        };
        if let Err(refusal) = qmp.ask(life, operation, take).await? {
            return Err(life.error(operation, format!("QEMU: {}", refusal.description)));
        }
        let mut read = || {
            let mut picture = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut picture)?;
            Ok(picture)
        };
        match read() {
            Ok(picture) if picture.is_empty() => Err(life.error(operation, "QEMU wrote no picture")),
            picture => picture.map_err(|error| broken(life, operation, error)),
        }
    }
}

/// A file in memory, and a descriptor of it as QEMU wants one: for writing only.
fn file() -> io::Result<(File, OwnedFd)> {
    let file = File::from(memfd_create("screen", MemfdFlags::CLOEXEC)?);
    let for_qemu = File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok((file, for_qemu.into()))
}
