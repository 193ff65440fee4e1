//! A test of two containers in Rust alone: one serves a page, the other fetches it by name. Run it as root:
//!
//! ```text
//! cargo run --example two_containers
//! ```

use std::sync::Arc;
use std::time::Duration;

use backend_nspawn::Nspawn;
use driver_core::backend::Backend;
use driver_core::event::{Level, Recorder};
use driver_core::log::{Terminal, TerminalSettings};
use driver_core::run::Run;
use driver_core::spec::{MachineSpec, TestSpec};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machines = vec![MachineSpec::new("client", "container"), MachineSpec::new("server", "container")];
    let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(Nspawn::new())];
    let terminal = Terminal::stderr(TerminalSettings::of_stderr(Level::Info))?;
    let recorder = Recorder::new(vec![Box::new(terminal)]);
    let output = std::env::temp_dir();
    let run = Run::start(&TestSpec::new("two_containers", machines), &backends, recorder, &output).await?;
    let result = test(&run).await;
    let left = run.finish().await;
    assert!(left.is_empty(), "the run could not be undone: {left:?}");
    Ok(result?)
}

async fn test(run: &Run) -> Result<(), driver_core::Error> {
    let [client, server] = run.machines() else { unreachable!("the test has two machines") };
    run.start_all().await?;
    server.succeed("mkdir -p /srv/www && echo hello > /srv/www/index.html", None).await?;
    server.succeed("systemd-run --unit web --working-directory /srv/www python3 -m http.server 80", None).await?;
    server.wait_for_open_port(80, "localhost", Duration::from_secs(10)).await?;
    let page = client.succeed("curl -fsS http://server/", None).await?;
    assert_eq!(page, "hello\n");
    server.shutdown().await
}
