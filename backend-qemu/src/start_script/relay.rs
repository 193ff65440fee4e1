//! What goes on beside a QEMU that a start script became.

use std::future::pending;
use std::os::fd::{AsFd, OwnedFd};

use driver_core::process::wait_readable;
use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::net::UnixStream;
use tokio::process::{ChildStdin, ChildStdout};

use super::processes::Processes;

/// Passes the serial console on, takes what the monitor says, and ends what QEMU leaves behind.
///
/// It lasts as long as QEMU, and to the last word of the console.
pub(super) struct Relay {
    /// A pidfd of QEMU.
    pub(super) qemu: OwnedFd,
    /// The console's input and output.
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    /// What was read of the output already.
    pub(super) said: Vec<u8>,
    /// Where the console goes and comes from.
    pub(super) serial: UnixStream,
    pub(super) monitor: UnixStream,
    pub(super) processes: Processes,
}

impl Relay {
    pub(super) async fn run(self) {
        let Self { qemu, mut stdin, mut stdout, said, serial, mut monitor, processes } = self;
        let (mut typed, mut shown) = serial.into_split();
        let output = async {
            let passed = async {
                shown.write_all(&said).await?;
                copy(&mut stdout, &mut shown).await
            };
            if passed.await.is_err() {
                // Nobody listens any more, but QEMU must not wait for that.
                let _ = copy(&mut stdout, &mut sink()).await;
            }
        };
        let end = async {
            // If it fails there is no telling when QEMU ends.
            let _ = wait_readable(qemu.as_fd()).await;
            processes.end().await;
        };
        let idle = async {
            let mut nowhere = sink();
            let _ = tokio::join!(copy(&mut typed, &mut stdin), copy(&mut monitor, &mut nowhere));
            // Both stay open as long as QEMU is there.
            pending::<()>().await;
        };
        tokio::select! {
            _ = async { tokio::join!(output, end) } => {}
            () = idle => {}
        }
    }
}
