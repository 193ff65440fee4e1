//! Waits for what bash can see: against the host's own bash, and against guests that hang or die.

use std::net::{Ipv6Addr, TcpListener};
use std::os::unix::net::{UnixDatagram, UnixListener};

use tokio::time::Instant;

use super::*;
use crate::fake::Reply;
use crate::guest::{Channel, Exit};

/// A bench whose commands the host's bash runs, in a directory.
fn hosted() -> (Bench, tempfile::TempDir) {
    let (bench, directory) = (bench(), tempfile::tempdir().unwrap());
    bench.fake.reply("", Reply::host(directory.path()));
    (bench, directory)
}

#[tokio::test]
async fn finds_a_file_when_it_appears() {
    for overlap in [true, false] {
        let (bench, directory) = hosted();
        bench.fake.channel(Channel { stderr_apart: true, overlap });
        let path = directory.path().join("it's a \"file\" $HOME *");
        let text = path.to_str().unwrap().to_owned();
        let wait = bench.machine.wait_for_file(&text, secs(60));
        let make = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            std::fs::write(&path, "").unwrap();
        };
        let (waited, ()) = tokio::join!(wait, make);
        waited.unwrap();
        assert_eq!(bench.titles(), [format!("waiting for file '{text}'")]);
        let commands = bench.fake.commands().len();
        if overlap { assert_eq!(commands, 1) } else { assert!(commands > 1) }
    }
}

#[tokio::test]
async fn misses_a_file_that_does_not_appear() {
    for overlap in [true, false] {
        let (bench, _directory) = hosted();
        bench.fake.channel(Channel { stderr_apart: true, overlap });
        let message = refusal(bench.machine.wait_for_file("/nowhere/at all", Duration::from_millis(600)).await);
        assert!(message.starts_with("waiting for file '/nowhere/at all': action timed out after "), "{message}");
        assert!(message.ends_with(" seconds (timeout=0.6); last seen: no such file"), "{message}");
    }
}

#[tokio::test]
async fn other_commands_get_in_while_a_narrow_channel_waits() {
    let (bench, directory) = hosted();
    bench.fake.channel(Channel { stderr_apart: false, overlap: false });
    let path = directory.path().join("flag");
    let touch = format!("touch {}", path.display());
    let (waited, touched) = tokio::join!(
        bench.machine.wait_for_file(path.to_str().unwrap(), secs(60)),
        bench.machine.succeed(&touch, None)
    );
    waited.and(touched.map(drop)).unwrap();
}

#[tokio::test]
async fn sees_ports_of_both_families_open_and_close() {
    let (bench, _directory) = hosted();
    let mut listeners = vec![TcpListener::bind("127.0.0.1:0").unwrap()];
    listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, 0)));
    for listener in listeners {
        let address = listener.local_addr().unwrap();
        for name in ["localhost".to_owned(), address.ip().to_string()] {
            bench.machine.wait_for_open_port(address.port(), &name, secs(30)).await.unwrap();
        }
        let still = bench.machine.wait_for_closed_port(address.port(), "localhost", Duration::from_millis(300)).await;
        assert!(refusal(still).ends_with("last seen: something accepts connections there"));
        drop(listener);
        bench.machine.wait_for_closed_port(address.port(), "localhost", secs(30)).await.unwrap();
        let none = bench.machine.wait_for_open_port(address.port(), "localhost", Duration::from_millis(300)).await;
        assert!(refusal(none).ends_with("last seen: nothing accepts connections there"));
    }
    assert!(bench.titles()[0].starts_with("waiting for TCP port "));
}

#[tokio::test(start_paused = true)]
async fn another_machine_that_swallows_everything_has_a_closed_port() {
    let bench = bench();
    bench.fake.reply("connects", Reply::hang().after(secs(1000)));
    let began = Instant::now();
    bench.machine.wait_for_closed_port(80, "192.168.1.2", secs(60)).await.unwrap();
    assert_eq!(began.elapsed(), secs(5));
    let message = refusal(bench.machine.wait_for_open_port(80, "192.168.1.2", secs(60)).await);
    assert!(message.starts_with("waiting for TCP port 80 on 192.168.1.2: action timed out"), "{message}");
    refusal(bench.machine.wait_for_closed_port(80, "192.168.1.2", secs(3)).await);
}

#[tokio::test]
async fn sees_unix_sockets() {
    let (bench, directory) = hosted();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let _stream = UnixListener::bind(at("a stream")).unwrap();
    let _datagram = UnixDatagram::bind(at("datagram")).unwrap();
    std::os::unix::fs::symlink(directory.path(), at("link")).unwrap();
    drop(UnixListener::bind(at("stale")).unwrap());

    for (name, is_datagram) in [("a stream", false), ("link/a stream", false), ("datagram", true)] {
        bench.machine.wait_for_open_unix_socket(&at(name), is_datagram, secs(30)).await.unwrap();
    }
    for (name, is_datagram) in [("a stream", true), ("datagram", false), ("stale", false), ("none", false)] {
        let path = at(name);
        let wait = bench.machine.wait_for_open_unix_socket(&path, is_datagram, Duration::from_millis(200));
        let message = refusal(wait.await);
        assert!(message.ends_with("last seen: no such socket is open"), "{message}");
    }
    assert_eq!(bench.titles()[0], format!("waiting for UNIX-domain stream on '{}'", at("a stream")));
    assert_eq!(bench.titles()[2], format!("waiting for UNIX-domain datagram on '{}'", at("datagram")));
}

#[tokio::test(start_paused = true)]
async fn a_hung_guest_ends_a_wait_by_the_deadline() {
    let bench = bench();
    bench.fake.reply("holds", Reply::hang());
    let began = Instant::now();
    let error = fault(bench.machine.wait_for_file("/x", secs(30)).await);
    assert_eq!(began.elapsed(), secs(40));
    assert!(
        error.to_string().starts_with("machine server: waiting for file '/x' (after 40.00 s): it hangs"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn death_ends_a_wait_at_once() {
    let bench = bench();
    bench.fake.boot_says(["Oops"]);
    bench.fake.reply("holds", Reply::die(Exit::Died("panic".into())).after(secs(3)));
    let began = Instant::now();
    let error = fault(bench.machine.wait_for_file("/x", secs(900)).await);
    assert_eq!(began.elapsed(), secs(3));
    assert!(error.gone);
    assert_eq!(error.last_seen, ["Oops"]);
}

#[tokio::test(start_paused = true)]
async fn a_guest_without_bash_is_told() {
    let bench = bench();
    bench.fake.reply("holds", Reply::fail(127, "bash: not found\n"));
    assert_eq!(
        refusal(bench.machine.wait_for_file("/x", secs(9)).await),
        "waiting for file '/x': looking failed with exit code 127: bash: not found"
    );
}
