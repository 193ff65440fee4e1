//! The QMP client and the names of keys against a real QEMU. Its guest has nothing to boot: no accelerator, image or right is needed.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::time::Duration;

use backend_qemu::keys;
use backend_qemu::qmp::command::{
    AddedFd, Axis, Button, Cont, HumanMonitorCommand, ImageFormat, InputEvent, InputSendEvent, QueryStatus,
    QueryVersion, Quit, RemoveFd, Screendump, SendKey, SetLink, Stop, SystemReset,
};
use backend_qemu::qmp::{self, Client, Error, Events, Kind, Limits};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

const QEMU: &str = "qemu-system-x86_64";
const LONG: Duration = Duration::from_secs(60);

struct Qemu {
    client: Client,
    events: Events,
    process: Child,
}

/// A QEMU whose guest stands still, with a screen, a keyboard, a tablet and a network card. None where QEMU is not installed.
async fn qemu() -> Option<Qemu> {
    if !installed() {
        return None;
    }
    let (ours, theirs) = StdUnixStream::pair().expect("a pair of sockets");
    ours.set_nonblocking(true).expect("a socket that does not block");
    let process = Command::new(QEMU)
        .args(["-nodefaults", "-no-user-config", "-accel", "tcg", "-display", "none", "-m", "64", "-S"])
        .args(["-device", "VGA", "-device", "qemu-xhci", "-device", "usb-tablet"])
        .args(["-netdev", "user,id=user0", "-device", "virtio-net-pci,netdev=user0,id=card0"])
        .args(["-chardev", "socket,id=qmp,fd=0", "-mon", "chardev=qmp,mode=control"])
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("QEMU starts");
    let ours = UnixStream::from_std(ours).expect("a runtime");
    let (client, events) = qmp::connect_unix(ours, Limits::default()).await.expect("QEMU speaks QMP");
    Some(Qemu { client, events, process })
}

/// Whether QEMU is there. Where the environment variable `CI` is set it has to be.
fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(QEMU).is_file());
    if !found {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        assert!(!ci, "no test may be skipped where CI is set: {QEMU} is not installed");
        // Not by `eprintln`: the test harness shows what a test prints only if the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: {QEMU} is not installed");
    }
    found
}

#[tokio::test]
async fn qemu_greets_runs_stops_and_quits() {
    let Some(mut qemu) = qemu().await else { return };
    let client = &qemu.client;
    assert!(client.version().qemu.major >= 7);
    assert_eq!(client.execute(QueryVersion).await.unwrap(), *client.version());
    let status = client.execute(QueryStatus).await.unwrap();
    assert_eq!((status.running, status.status.as_str()), (false, "prelaunch"));

    client.execute(Cont).await.unwrap();
    qemu.events.wait_for(|event| event.kind() == Kind::Resume, LONG).await.unwrap();
    client.execute(Stop).await.unwrap();
    let stop = qemu.events.wait_for(|event| event.kind() == Kind::Stop, LONG).await.unwrap();
    assert!(stop.timestamp.is_some_and(|time| time.seconds > 1_600_000_000), "{stop:?}");
    assert_eq!(client.execute(QueryStatus).await.unwrap().status, "paused");
    client.execute(SystemReset).await.unwrap();
    qemu.events.wait_for(|event| matches!(event.kind(), Kind::Reset { guest: false, .. }), LONG).await.unwrap();

    client.execute(Quit).await.unwrap();
    let off = qemu.events.wait_for(|event| event.name == "SHUTDOWN", LONG).await.unwrap();
    assert_eq!(off.kind(), Kind::Shutdown { guest: false, reason: "host-qmp-quit".into() });
    assert!(matches!(qemu.events.wait_for(|_| false, LONG).await, Err(Error::Ended { .. })));
    assert!(matches!(client.execute(QueryStatus).await, Err(Error::Ended { .. })));
    assert!(qemu.process.wait().await.unwrap().success());
}

#[tokio::test]
async fn qemu_takes_a_picture() {
    let Some(qemu) = qemu().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("screen.png");
    let screendump = |filename: &str| Screendump { filename: filename.into(), format: ImageFormat::Png };
    qemu.client.execute(screendump(file.to_str().unwrap())).await.unwrap();
    assert!(std::fs::read(file).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));

    // Into a file that QEMU could not open by itself.
    let file = tempfile::NamedTempFile::new().unwrap();
    let descriptor = OwnedFd::from(file.reopen().unwrap());
    // It wants a descriptor for nothing but writing.
    let refused = lend(&qemu.client, descriptor).await.unwrap_err();
    assert!(refused.to_string().starts_with("QEMU refused screendump: "), "{refused}");
    let descriptor = std::fs::File::options().write(true).open(file.path()).unwrap();
    lend(&qemu.client, descriptor.into()).await.unwrap();
    assert!(std::fs::read(file.path()).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));

    let error = qemu.client.execute(screendump("/nowhere/screen.png")).await.unwrap_err().to_string();
    assert!(error.starts_with("QEMU refused screendump: ") && error.ends_with(" (GenericError)"), "{error}");
}

/// Lends a descriptor to QEMU for a picture.
async fn lend(client: &Client, descriptor: OwnedFd) -> Result<(), Error> {
    let added = client.send_with("add-fd", Value::Null, descriptor).await?;
    let added: AddedFd = serde_json::from_value(added).expect("QEMU tells the set");
    let filename = format!("/dev/fdset/{}", added.fdset);
    let taken = client.execute(Screendump { filename, format: ImageFormat::Png }).await;
    client.execute(RemoveFd { fdset: added.fdset }).await?;
    taken.map(drop)
}

#[tokio::test]
async fn qemu_takes_keys_and_the_pointer() {
    let Some(qemu) = qemu().await else { return };
    let nothing = || InputSendEvent { events: vec![] };
    let error = qemu.client.execute(nothing()).await.unwrap_err();
    assert_eq!(error.to_string(), "QEMU refused input-send-event: VM not running (GenericError)");
    qemu.client.execute(Cont).await.unwrap();
    for stroke in ["ctrl-alt-delete", "shift-0x0B", "A", "\n", "?"] {
        let keys = keys::parse(stroke).unwrap();
        qemu.client.execute(SendKey { keys, hold_time: None }).await.unwrap();
    }
    let click = |down| InputEvent::Btn { button: Button::Left, down };
    let corner = |axis| InputEvent::Abs { axis, value: InputEvent::ABS_MAX };
    let events = vec![corner(Axis::X), corner(Axis::Y), click(true), click(false)];
    qemu.client.execute(InputSendEvent { events }).await.unwrap();
    for button in [Button::Middle, Button::Right, Button::WheelUp, Button::WheelDown] {
        let events = vec![InputEvent::Btn { button, down: true }, InputEvent::Btn { button, down: false }];
        qemu.client.execute(InputSendEvent { events }).await.unwrap();
    }
    let events = keys::parse("a").unwrap().into_iter().map(|key| InputEvent::Key { key, down: true }).collect();
    qemu.client.execute(InputSendEvent { events }).await.unwrap();
}

/// The names that QEMU has and those that tests may use are the same.
#[tokio::test]
async fn qemu_knows_the_keys() {
    let Some(qemu) = qemu().await else { return };
    // The schema's types have no names, but only one of its enumerations has keys.
    let schema = qemu.client.send("query-qmp-schema", Value::Null).await.unwrap();
    let values = |entity: &Value| entity["values"].as_array().cloned().unwrap_or_default();
    let mut enumerations = schema.as_array().unwrap().iter().map(values);
    let of_qemu = enumerations.find(|names| names.contains(&json!("kp_enter"))).unwrap();
    for name in &of_qemu {
        let name = name.as_str().unwrap();
        assert_eq!(keys::parse(name).is_ok(), name != "unmapped", "{name}");
    }
    let newer = |name: &str| name.strip_prefix('f').is_some_and(|number| matches!(number.parse(), Ok(13..=24)));
    for name in keys::names() {
        assert!(newer(name) || of_qemu.contains(&json!(name)), "{name}");
    }
}

#[tokio::test]
async fn qemu_pulls_cables_forwards_ports_and_refuses() {
    let Some(qemu) = qemu().await else { return };
    let client = &qemu.client;
    client.execute(SetLink { name: "card0".into(), up: false }).await.unwrap();
    let network = client.execute(HumanMonitorCommand::new("info network")).await.unwrap();
    assert!(network.contains("card0"), "{network}");
    let error = client.execute(SetLink { name: "none".into(), up: true }).await.unwrap_err();
    assert_eq!(error.to_string(), "QEMU refused set_link: Device 'none' not found (DeviceNotFound)");

    // The port is taken, so that QEMU's answer is not empty; then it is free.
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let std::net::SocketAddr::V4(host) = holder.local_addr().unwrap() else { panic!("no IPv4") };
    let forward = || HumanMonitorCommand::forward_tcp("user0", host, 80);
    let refused = client.execute(forward()).await.unwrap();
    assert!(refused.contains("ould not set up host forwarding rule"), "{refused}");
    drop(holder);
    assert_eq!(client.execute(forward()).await.unwrap(), "");
    std::net::TcpStream::connect(host).unwrap();

    let error = client.send("no-such-command", Value::Null).await.unwrap_err().to_string();
    assert!(error.contains("(CommandNotFound)"), "{error}");
    // A character that QEMU's reader refuses: the answer has no id and still finds its caller.
    let error = client.execute(HumanMonitorCommand::new("info \u{fffe}")).await.unwrap_err().to_string();
    assert!(error.starts_with("QEMU refused human-monitor-command: "), "{error}");
    assert_eq!(client.execute(QueryStatus).await.unwrap().status, "prelaunch");
}

#[tokio::test]
async fn qemu_killed_is_noticed_at_once() {
    let Some(mut qemu) = qemu().await else { return };
    let client = qemu.client.clone();
    let waiting = tokio::spawn(async move { client.events().wait_for(|_| false, LONG).await });
    qemu.process.kill().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Error::Ended { .. })));
    assert!(matches!(qemu.client.execute(QueryStatus).await, Err(Error::Ended { .. })));
}
