//! How a test gets its privileges, and the few nouns that the tests share.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netbridge::{Interface, InterfaceName, Namespace, Segment};

/// What comes later than this will never come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A test whose body runs where namespaces can be made.
macro_rules! network_test {
    ($name:ident, $body:expr) => {
        #[test]
        fn $name() {
            $crate::harness::run(concat!(module_path!(), "::", stringify!($name)), $body());
        }
    };
}

/// Runs `body` here if that is permitted, else all of the test in a user namespace, else not at all.
pub(crate) fn run(test: &str, body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let Err(error) = runtime.block_on(Namespace::new()) else { return runtime.block_on(body) };

    let nested = |program: OsString| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]).arg(program);
        command
    };
    if !nested("true".into()).status().is_ok_and(|status| status.success()) {
        let reason = format!("{error}, and `unshare --user` is refused too");
        assert!(std::env::var_os("CI").is_none(), "skipped: {reason}");
        eprintln!("{test} skipped: {reason}");
        return;
    }
    let (_, name) = test.split_once("::").unwrap();
    let output = nested(std::env::current_exe().unwrap().into()).args(["--exact", name]).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("1 passed"), "in a user namespace: {report}");
}

/// Whether taps can be made here; if not, says so.
pub(crate) fn taps() -> bool {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    if let Err(error) = &opened {
        assert!(std::env::var_os("CI").is_none(), "skipped: /dev/net/tun: {error}");
        eprintln!("skipped: /dev/net/tun: {error}");
    }
    opened.is_ok()
}

pub(crate) fn name(text: &str) -> InterfaceName {
    InterfaceName::new(text).unwrap()
}

pub(crate) async fn namespace() -> Arc<Namespace> {
    Arc::new(Namespace::new().await.unwrap())
}

/// A segment in a namespace of its own.
pub(crate) async fn lan() -> Segment {
    Segment::bridge(namespace().await, name("lan")).await.unwrap()
}

/// Two namespaces on `lan`, as its machines 1 and 2. They stay plugged in for as long as it lives.
pub(crate) async fn two_on(lan: &Segment) -> [Arc<Namespace>; 2] {
    let machines = [namespace().await, namespace().await];
    for (node, machine) in (1..).zip(&machines) {
        std::mem::forget(lan.veth(name(&format!("port{node}")), machine, &eth1(node)).await.unwrap());
    }
    machines
}

pub(crate) fn v4(node: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 1, node).into()
}

pub(crate) fn v6(node: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, node.into()).into()
}

/// `eth1` of the machine number `node` of the LAN.
pub(crate) fn eth1(node: u8) -> Interface {
    Interface {
        name: name("eth1"),
        mac: Some([0x52, 0x54, 0x00, 0x12, 0x01, node]),
        addresses: vec![(v4(node), 24), (v6(node), 64)],
        mtu: None,
    }
}

/// The interfaces of a namespace, sorted by name.
pub(crate) async fn interfaces(namespace: &Namespace) -> Vec<String> {
    let list =
        || nix::net::if_::if_nameindex().unwrap().iter().map(|one| one.name().to_str().unwrap().to_owned()).collect();
    let mut names: Vec<String> = namespace.run(list).await.unwrap();
    names.sort();
    names
}

/// Reads a file below `/proc/net` or `/proc/sys/net` as a process in the namespace sees it.
pub(crate) async fn read(namespace: &Namespace, path: &str) -> String {
    let path = path.replace("/proc/net", "/proc/thread-self/net");
    namespace.run(move || std::fs::read_to_string(path)).await.unwrap().unwrap()
}

/// The IPv6 addresses of an interface, each with its flags (`IFA_F_*`).
pub(crate) async fn ipv6_addresses(namespace: &Namespace, interface: &str) -> Vec<(Ipv6Addr, u32)> {
    let table = read(namespace, "/proc/net/if_inet6").await;
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of_interface = lines.filter(|fields| fields[5] == interface);
    let number = |text| u128::from_str_radix(text, 16).unwrap();
    of_interface.map(|fields| (Ipv6Addr::from(number(fields[0])), u32::try_from(number(fields[4])).unwrap())).collect()
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "still not true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
