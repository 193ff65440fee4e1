//! The program `vde_plug2tap`, which joins a tap to a VDE switch.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netbridge::Namespace;
use nix::net::if_::if_nametoindex;

use super::{PATIENCE, Result};

/// A running `vde_plug2tap`. Dropping it ends it.
pub(super) struct Plug(Child);

impl Plug {
    /// Starts it in a namespace and waits until it has made the tap.
    pub(super) async fn into_switch(namespace: &Namespace, directory: &Path, tap: &'static str) -> Result<Self> {
        let mut command = Command::new("vde_plug2tap");
        command.arg("--sock").arg(directory).arg(tap).stdin(Stdio::null());
        let mut plug = Self(namespace.run(move || command.spawn()).await??);
        let began = Instant::now();
        while namespace.run(move || if_nametoindex(tap).is_err()).await? {
            if let Some(status) = plug.0.try_wait()? {
                return Err(format!("vde_plug2tap: {status}").into());
            }
            if began.elapsed() > PATIENCE {
                return Err("vde_plug2tap makes no tap".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(plug)
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
