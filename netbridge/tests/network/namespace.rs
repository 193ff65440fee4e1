//! Namespaces: made, entered, and those that belong to somebody else.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use netbridge::Namespace;

use crate::harness::{eth1, eventually, interfaces, ipv6_addresses, lan, name, namespace, v6};

network_test!(a_new_namespace_has_loopback_and_nothing_else, || async {
    let namespace = namespace().await;
    assert_eq!(interfaces(&namespace).await, ["lo"]);
    let looped = namespace.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        TcpStream::connect(listener.local_addr()?)
    });
    looped.await.unwrap().unwrap();
});

network_test!(a_panic_inside_goes_on_outside, || async {
    let namespace = namespace().await;
    let inside = tokio::spawn(async move { namespace.run::<()>(|| panic!("inside")).await });
    assert_eq!(inside.await.unwrap_err().into_panic().downcast_ref(), Some(&"inside"));
});

network_test!(a_descriptor_of_something_else_is_refused, || async {
    let error = Namespace::from_fd(File::open("/dev/null").unwrap().into()).await.unwrap_err().to_string();
    assert!(error.starts_with("enter a network namespace: ") && error.contains("no network namespace"), "{error}");
});

network_test!(a_namespace_of_a_child_user_namespace_can_be_plugged_in, || async {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-c", "echo in; read end"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();

    let descriptor = File::open(format!("/proc/{}/ns/net", child.id())).unwrap().into();
    let guest = Namespace::from_fd(descriptor).await.unwrap();
    let lan = lan().await;
    let port = lan.veth(name("guest"), &guest, &eth1(1)).await.unwrap();
    assert!(ipv6_addresses(&guest, "eth1").await.iter().any(|(address, _)| *address == v6(1)));
    // The namespace was not made here, so that its loopback interface was down.
    guest.run(|| TcpListener::bind("[::1]:0")).await.unwrap().unwrap();

    drop(guest);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().code().is_some());
    eventually("the port is gone with the process", async || {
        interfaces(lan.namespace().unwrap()).await == ["lan", "lo"]
    })
    .await;
    port.detach().await.unwrap();
});
