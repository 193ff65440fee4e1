//! LANs without netbridge: a plain bridge of the kernel's, and upstream's `vde_switch`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netbridge::Namespace;
use tempfile::TempDir;

use super::endpoint::{Endpoint, Result, ip};
use crate::bench::PATIENCE;

/// A program that runs until this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two namespaces on a bridge, all made with `ip`.
pub(super) struct Bridge {
    pub(super) pair: [(Endpoint, Endpoint); 1],
    _namespace: Namespace,
}

impl Bridge {
    pub(super) async fn new() -> Result<Self> {
        let namespace = Namespace::new().await?;
        ip(&namespace, "link add bridge type bridge\nlink set bridge up\n".to_owned()).await?;
        let pair = (plug(&namespace, 1).await?, plug(&namespace, 2).await?);
        Ok(Self { pair: [pair], _namespace: namespace })
    }
}

async fn plug(bridge: &Namespace, node: u8) -> Result<Endpoint> {
    let namespace = Arc::new(Namespace::new().await?);
    // `ip` knows namespaces by the processes in them.
    let spawned = namespace.run(|| Command::new("sleep").arg("infinity").stdin(Stdio::null()).spawn());
    let holder = Running(spawned.await??);
    let process = holder.0.id();
    let commands =
        format!("link add port{node} type veth peer name eth1 netns {process}\nlink set port{node} master bridge up\n");
    ip(bridge, commands).await?;
    Endpoint::plugged(namespace, node).await
}

/// Pairs of namespaces on a [`VdeSwitch`].
pub(super) struct Vde {
    pub(super) pairs: Vec<(Endpoint, Endpoint)>,
    _switch: VdeSwitch,
}

impl Vde {
    pub(super) async fn new(ports: u8) -> Result<Self> {
        let switch = VdeSwitch::start(ports).await?;
        let mut pairs = Vec::new();
        for node in (1..ports).step_by(2) {
            let [one, two] = [node, node + 1].map(|node| Endpoint::plug_into_vde_switch(&switch.directory, node));
            pairs.push((one.await?, two.await?));
        }
        Ok(Self { pairs, _switch: switch })
    }
}

/// A `vde_switch` that sends everything everywhere.
pub(super) struct VdeSwitch {
    pub(super) directory: PathBuf,
    _program: Running,
    _place: TempDir,
}

impl VdeSwitch {
    pub(super) async fn start(ports: u8) -> Result<Self> {
        let place = tempfile::tempdir()?;
        let directory = place.path().join("switch");
        let program = start(directory.clone(), ports)?;
        wait_for(&directory.join("ctl")).await?;
        Ok(Self { directory, _program: program, _place: place })
    }
}

fn start(directory: PathBuf, ports: u8) -> Result<Running> {
    let mut command = Command::new("vde_switch");
    command.arg("--hub").args(["--dirmode", "0700", "--numports"]).arg((ports + 1).to_string());
    command.arg("--sock").arg(directory);
    // It ends with its standard input. When its clients go it complains.
    Ok(Running(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

async fn wait_for(path: &Path) -> Result {
    let began = Instant::now();
    while !path.exists() {
        if began.elapsed() > PATIENCE {
            return Err(format!("there is no {}", path.display()).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
