//! The interface as any Varlink client sees it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driver_cli::script::Server;
use driver_core::fake::Reply;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::stage::{PATIENCE, Stage};

struct Client(BufReader<UnixStream>);

impl Client {
    async fn connect(path: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(path).await.unwrap()))
    }

    async fn send(&mut self, call: Value) {
        self.0.write_all(format!("{call}\0").as_bytes()).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        let mut reply = Vec::new();
        tokio::time::timeout(PATIENCE, self.0.read_until(0, &mut reply)).await.expect("a reply").unwrap();
        assert_eq!(reply.pop(), Some(0), "the connection was closed");
        serde_json::from_slice(&reply).unwrap()
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.send(json!({"method": method, "parameters": parameters})).await;
        self.receive().await
    }

    async fn begin(&mut self, method: &str, parameters: Value) {
        self.send(json!({"method": format!("io.tandem.Driver.{method}"), "parameters": parameters, "more": true}))
            .await;
    }
}

fn serve(stage: &Stage) -> (Server, PathBuf) {
    let path = stage.path().join("socket");
    (Server::start(&path, stage.test()).unwrap(), path)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_introspected() {
    let stage = Stage::new(&["server"]);
    let (_server, path) = serve(&stage);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::connect(&path).await;
    let info = client.call("org.varlink.service.GetInfo", json!({})).await;
    assert_eq!(info["parameters"]["interfaces"], json!(["io.tandem.Driver", "org.varlink.service"]));
    let description =
        client.call("org.varlink.service.GetInterfaceDescription", json!({"interface": "io.tandem.Driver"})).await;
    let description = description["parameters"]["description"].as_str().unwrap();
    for expected in [
        "interface io.tandem.Driver",
        "Waits until a unit is active.",
        "method WaitForUnit(machine: string, unit: string, user: ?string, timeout: float, span: ?int) -> (",
        "method Execute(machine: string, command: string, timeout: ?float, span: ?int) -> (",
        "method Impair(machine: string, vlan: int, direction: ?LinkDirection, faults: Faults, span: ?int) -> (",
        "type Faults (",
        "error AssertionFailed",
        "type MachineDescription",
    ] {
        assert!(description.contains(expected), "{expected} is not in:\n{description}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_answered() {
    let stage = Stage::new(&["server"]);
    let (_server, path) = serve(&stage);
    let mut client = Client::connect(&path).await;
    let reply = client.call("io.tandem.Driver.Start", json!({"machine": "servr"})).await;
    assert_eq!(reply["error"], "io.tandem.Driver.NoSuchMachine");
    assert_eq!(reply["parameters"]["message"], "no machine `servr`; there are: server");
    client.send(json!({"method": "io.tandem.Driver.Fly"})).await;
    let reply = client.receive().await;
    assert_eq!(reply["error"], "org.varlink.service.MethodNotFound");
    let reply = client.call("io.tandem.Driver.Succeed", json!({"machine": "server", "command": "false"})).await;
    assert_eq!(reply["error"], "io.tandem.Driver.AssertionFailed");
    // The connection is none the worse.
    let reply = client.call("io.tandem.Driver.IsUp", json!({"machine": "server"})).await;
    assert_eq!(reply["parameters"]["up"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_tells_what_it_waits_for_and_others_are_served() {
    let stage = Stage::new(&["server"]);
    stage.fake("server").reply("slow", Reply::ok("done").after(Duration::from_millis(700)));
    let (_server, path) = serve(&stage);
    let mut slow = Client::connect(&path).await;
    slow.begin("Succeed", json!({"machine": "server", "command": "slow"})).await;
    let interim = slow.receive().await;
    assert_eq!(interim["continues"], true);
    assert_eq!(interim["parameters"]["waiting"]["what"], "server: `slow`, which must succeed");
    assert!(interim["parameters"]["waiting"]["seconds"].as_f64().unwrap() > 0.2);
    let mut quick = Client::connect(&path).await;
    let began = Instant::now();
    quick.call("io.tandem.Driver.Succeed", json!({"machine": "server", "command": "true"})).await;
    assert!(began.elapsed() < Duration::from_millis(300));
    loop {
        let reply = slow.receive().await;
        if reply["continues"] == json!(false) {
            assert_eq!(reply["parameters"], json!({"output": "done"}));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_connection_cancels_the_call() {
    let stage = Stage::new(&["server"]);
    stage.fake("server").reply("forever", Reply::hang());
    let (_server, path) = serve(&stage);
    let mut client = Client::connect(&path).await;
    client.begin("Succeed", json!({"machine": "server", "command": "forever"})).await;
    client.receive().await;
    assert_eq!(stage.failure("must succeed: forever"), None);
    drop(client);
    tokio::time::timeout(PATIENCE, async {
        while stage.failure("must succeed: forever").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_dropped_cancels_everything_and_leaves_no_socket() {
    let stage = Stage::new(&["server"]);
    stage.fake("server").reply("forever", Reply::hang());
    let (server, path) = serve(&stage);
    let mut client = Client::connect(&path).await;
    client.begin("Succeed", json!({"machine": "server", "command": "forever"})).await;
    client.receive().await;
    drop(server);
    assert!(!path.exists());
    let mut rest = Vec::new();
    let read = client.0.read_until(0, &mut rest);
    tokio::time::timeout(PATIENCE, read).await.expect("the connection is closed").unwrap();
    tokio::time::timeout(PATIENCE, async {
        while stage.failure("must succeed: forever").is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("cancelled");
}
