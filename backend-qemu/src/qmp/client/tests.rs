//! The client against a peer that says what a test tells it.

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;
use crate::qmp::Event;
use crate::qmp::command::{Cont, QueryStatus, Stop};

const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 3, "minor": 2, "major": 11}, "package": ""}, "capabilities": ["oob"]}}"#;
const LIMITS: Limits = Limits { line: 1000, answer: Duration::from_secs(60), events: 4 };

struct Peer(BufReader<DuplexStream>);

impl Peer {
    async fn says(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self, value: Value) {
        self.says(&format!("{value}\r\n")).await;
    }

    async fn event(&mut self, name: &str) {
        self.line(json!({ "event": name, "timestamp": { "seconds": 1, "microseconds": 2 } })).await;
    }

    /// The next request: its command, and the id that an answer needs.
    async fn hears(&mut self) -> (String, Value) {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        assert!(line.ends_with('\n'), "no whole line: {line:?}");
        let mut request: Value = serde_json::from_str(&line).unwrap();
        (request["execute"].as_str().unwrap().into(), request["id"].take())
    }

    /// Hears the next request and answers it with its own name.
    async fn echoes(&mut self) {
        let (command, id) = self.hears().await;
        self.line(json!({ "return": command, "id": id })).await;
    }
}

/// A stream to a peer that can take `bytes` unread.
fn pair(bytes: usize) -> (DuplexStream, Peer) {
    let (ours, theirs) = duplex(bytes);
    (ours, Peer(BufReader::new(theirs)))
}

/// A connection whose negotiation is over.
async fn connected() -> (Client, Events, Peer) {
    let (stream, mut peer) = pair(4096);
    let negotiate = async {
        peer.says(&format!("{GREETING}\r\n")).await;
        let (command, id) = peer.hears().await;
        assert_eq!(command, "qmp_capabilities");
        peer.line(json!({ "return": {}, "id": id })).await;
    };
    let (connection, ()) = tokio::join!(connect(stream, LIMITS), negotiate);
    let (client, events) = connection.unwrap();
    (client, events, peer)
}

fn call(client: &Client, command: &'static str) -> tokio::task::JoinHandle<Result<Value, Error>> {
    let client = client.clone();
    tokio::spawn(async move { client.send(command, Value::Null).await })
}

/// The error and all causes of it.
fn told<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    let error = outcome.unwrap_err();
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        text = format!("{text}: {next}");
        cause = next;
    }
    text
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_knows_harm_nothing_even_before_the_greeting() {
    let (stream, mut peer) = pair(4096);
    let negotiate = async {
        peer.event("FIRST").await;
        peer.says(&format!("{GREETING}\n")).await;
        let (_, id) = peer.hears().await;
        peer.event("SECOND").await;
        peer.line(json!({ "return": {}, "id": id })).await;
        peer.hears().await
    };
    let use_it = async {
        let (client, mut events) = connect(stream, LIMITS).await.unwrap();
        assert_eq!(client.version().qemu.major, 11);
        assert_eq!(events.next().await.unwrap().name, "FIRST");
        assert_eq!(events.next().await.unwrap().name, "SECOND");
        let _ = timeout(Duration::from_millis(1), client.execute(Stop)).await;
    };
    let ((command, _), ()) = tokio::join!(negotiate, use_it);
    assert_eq!(command, "stop");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_speak_qmp_is_told() {
    for (said, expected) in [
        (
            "SSH-2.0-OpenSSH_9.2\r\n",
            "the connection to QEMU ended before its greeting: not a message of QMP: `SSH-2.0-OpenSSH_9.2`: expected value at line 1 column 1",
        ),
        (
            "{\"return\": {}}\n",
            "the connection to QEMU ended before its greeting: an answer where QEMU's greeting was expected",
        ),
        (
            "{\"QMP\": {\"ver",
            "the connection to QEMU ended before its greeting: QEMU closed the connection in the middle of a line",
        ),
        ("", "the connection to QEMU ended before its greeting: QEMU closed the connection"),
    ] {
        let (stream, mut peer) = pair(4096);
        peer.says(said).await;
        drop(peer);
        assert_eq!(told(connect(stream, LIMITS).await), expected);
    }
    let (stream, _silent) = pair(4096);
    assert_eq!(told(connect(stream, LIMITS).await), "QEMU gave no answer to the connection in 60 s");
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_callers_in_any_order_and_pieces() {
    let (client, _events, mut peer) = connected().await;
    let (first, second) = (call(&client, "one"), call(&client, "two"));
    let requests = [peer.hears().await, peer.hears().await];
    for (command, id) in requests.into_iter().rev() {
        let line = json!({ "return": command, "id": id }).to_string() + "\n";
        for piece in line.as_bytes().chunks(3) {
            peer.0.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(first.await.unwrap().unwrap(), "one");
    assert_eq!(second.await.unwrap().unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_typed_command_has_a_typed_answer() {
    let (client, _events, mut peer) = connected().await;
    let answer = async {
        let (command, id) = peer.hears().await;
        assert_eq!(command, "query-status");
        peer.line(json!({ "return": { "running": true, "status": "running", "new": 0 }, "id": id })).await;
        peer.echoes().await;
    };
    let ask = async {
        assert!(client.execute(QueryStatus).await.unwrap().running);
        let wrong = told(client.execute(QueryStatus).await);
        assert!(wrong.starts_with("QEMU's answer to query-status is not as expected: invalid type: string"), "{wrong}");
    };
    tokio::join!(answer, ask);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_command_and_why() {
    let (client, _events, mut peer) = connected().await;
    let refuse = async {
        let (_, id) = peer.hears().await;
        peer.line(json!({ "error": { "class": "CommandNotFound", "desc": "what is that" }, "id": id })).await;
        // QEMU could not read it, and so has no id.
        peer.hears().await;
        peer.line(json!({ "error": { "class": "GenericError", "desc": "JSON parse error" } })).await;
    };
    let ask = async {
        assert_eq!(told(client.execute(Stop).await), "QEMU refused stop: what is that (CommandNotFound)");
        let unreadable = client.send("go", json!({ "where": "\u{fffe}" })).await;
        assert_eq!(told(unreadable), "QEMU refused go: JSON parse error (GenericError)");
    };
    tokio::join!(refuse, ask);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_dropped_and_the_connection_goes_on() {
    let (client, mut events, mut peer) = connected().await;
    let slow = client.within(Duration::from_secs(3));
    let began = Instant::now();
    assert_eq!(told(slow.execute(Stop).await), "QEMU gave no answer to stop in 3 s");
    assert_eq!(began.elapsed(), Duration::from_secs(3));

    let (command, id) = peer.hears().await;
    peer.line(json!({ "return": {}, "id": id })).await;
    peer.line(json!({ "return": {}, "id": 77 })).await;
    peer.event(&command).await;
    assert_eq!(events.next().await.unwrap().name, "stop");
    let next = call(&client, "next");
    peer.echoes().await;
    assert_eq!(next.await.unwrap().unwrap(), "next");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_no_half_line() {
    let (stream, mut peer) = pair(64);
    let negotiate = async {
        peer.says(&format!("{GREETING}\n")).await;
        let (_, id) = peer.hears().await;
        peer.line(json!({ "return": {}, "id": id })).await;
    };
    let (connection, ()) = tokio::join!(connect(stream, LIMITS), negotiate);
    let (client, _events) = connection.unwrap();

    // More than the stream takes: the line is begun, and stuck.
    let begun = tokio::spawn({
        let client = client.clone();
        async move { client.send("begun", json!({ "text": "x".repeat(500) })).await }
    });
    let mut byte = [0];
    tokio::io::AsyncReadExt::read_exact(&mut peer.0, &mut byte).await.unwrap();
    // Waits behind it.
    let waiting = call(&client, "waiting");
    tokio::task::yield_now().await;
    for task in [begun, waiting] {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    let after = call(&client, "after");
    let mut rest = String::from_utf8(byte.into()).unwrap();
    peer.0.read_line(&mut rest).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&rest).unwrap()["execute"], "begun");
    peer.echoes().await;
    assert_eq!(after.await.unwrap().unwrap(), "after");
}

#[tokio::test(start_paused = true)]
async fn both_sides_may_have_much_to_say_at_once() {
    let (stream, mut peer) = pair(64);
    let talk = async {
        peer.says(&format!("{GREETING}\n")).await;
        let (_, id) = peer.hears().await;
        peer.line(json!({ "return": {}, "id": id })).await;
        // Reads the request only after all this was taken.
        for _ in 0..100 {
            peer.event("NOISE").await;
        }
        peer.echoes().await;
    };
    let use_it = async {
        let (client, _events) = connect(stream, LIMITS).await.unwrap();
        client.send("long", json!({ "text": "x".repeat(500) })).await.unwrap()
    };
    let both = async { tokio::join!(talk, use_it) };
    let ((), answer) = timeout(LIMITS.answer, both).await.expect("neither side may wait for the other");
    assert_eq!(answer, "long");
}

#[tokio::test(start_paused = true)]
async fn all_callers_hear_at_once_that_qemu_is_gone() {
    for (last_words, cause) in [
        ("", "QEMU closed the connection"),
        ("{\"return\": {", "QEMU closed the connection in the middle of a line"),
        ("Segmentation fault\n", "not a message of QMP: `Segmentation fault`: expected value at line 1 column 1"),
        (&"x".repeat(1001), "a line from QEMU is longer than 1000 bytes"),
    ] {
        let (client, mut events, mut peer) = connected().await;
        let began = Instant::now();
        let (first, second) = (call(&client, "one"), call(&client, "two"));
        peer.hears().await;
        peer.hears().await;
        peer.event("SHUTDOWN").await;
        peer.says(last_words).await;
        // Garbage ends the connection by itself.
        let kept = if cause.starts_with("QEMU") {
            drop(peer);
            None
        } else {
            Some(peer)
        };
        let ended = "the connection to QEMU ended before";
        assert_eq!(told(first.await.unwrap()), format!("{ended} the answer to one: {cause}"));
        assert_eq!(told(second.await.unwrap()), format!("{ended} the answer to two: {cause}"));
        assert_eq!(told(client.execute(Cont).await), format!("{ended} the answer to cont: {cause}"));
        assert_eq!(events.next().await.unwrap().name, "SHUTDOWN");
        let waited = events.wait_for(|_| true, Duration::from_secs(600)).await;
        assert_eq!(told(waited), format!("{ended} an event came: {cause}"));
        assert_eq!(told(client.events().next().await), format!("{ended} an event came: {cause}"));
        assert_eq!(began.elapsed(), Duration::ZERO);
        drop(kept);
    }
}

/// A peer that reads no more but still has something to say.
#[tokio::test(start_paused = true)]
async fn the_last_words_are_heard_when_nothing_can_be_sent() {
    let (from_peer, to_us) = duplex(4096);
    let (to_peer, from_us) = duplex(4096);
    let (mut peer, mut from_us) = (Peer(BufReader::new(to_us)), BufReader::new(from_us));
    let negotiate = async {
        peer.says(&format!("{GREETING}\n")).await;
        from_us.read_line(&mut String::new()).await.unwrap();
        peer.line(json!({ "return": {}, "id": 1 })).await;
    };
    let (connection, ()) = tokio::join!(connect(tokio::io::join(from_peer, to_peer), LIMITS), negotiate);
    let (client, mut events) = connection.unwrap();
    drop(from_us);

    let closed = |answer: &str| format!("the connection to QEMU ended before {answer}: QEMU closed the connection");
    assert_eq!(told(client.execute(Stop).await), closed("the answer to stop"));
    assert_eq!(told(client.execute(Cont).await), closed("the answer to cont"));
    peer.event("SHUTDOWN").await;
    assert_eq!(events.next().await.unwrap().name, "SHUTDOWN");
}

#[tokio::test(start_paused = true)]
async fn readers_of_events_end_with_the_last_client() {
    let (client, mut events, mut peer) = connected().await;
    let clone = client.within(Duration::from_secs(1));
    drop(client);
    let alive = call(&clone, "alive");
    peer.echoes().await;
    assert_eq!(alive.await.unwrap().unwrap(), "alive");
    drop(clone);
    assert!(matches!(timeout(LIMITS.answer, events.next()).await, Ok(Err(Error::Ended { .. }))));
    assert_eq!(peer.0.read_line(&mut String::new()).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_event_holds_its_deadline() {
    let (client, mut events, mut peer) = connected().await;
    let began = Instant::now();
    let wanted = |event: &Event| event.name == "WANTED";

    // While nothing comes at all.
    let outcome = events.wait_for(wanted, Duration::from_secs(5)).await;
    assert_eq!(told(outcome), "no such event from QEMU in 5 s; none came at all");
    assert_eq!(began.elapsed(), Duration::from_secs(5));

    // While others keep coming.
    let noise = tokio::spawn(async move {
        for _ in 0..20 {
            sleep(Duration::from_secs(1)).await;
            peer.event("NOISE").await;
        }
        peer.event("WANTED").await;
        peer
    });
    let outcome = events.wait_for(wanted, Duration::from_millis(2500)).await;
    assert_eq!(told(outcome), "no such event from QEMU in 2.5 s; what came was NOISE, NOISE");
    assert_eq!(began.elapsed(), Duration::from_millis(7500));
    assert_eq!(events.wait_for(wanted, Duration::from_secs(600)).await.unwrap().name, "WANTED");
    drop((client, noise.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_too_slow_is_told_what_it_lost() {
    let (client, mut slow, mut peer) = connected().await;
    let (mut waiting, mut fast) = (client.events(), client.events());
    for number in 0..10 {
        peer.event(&format!("E{number}")).await;
        assert_eq!(fast.next().await.unwrap().name, format!("E{number}"));
    }
    assert_eq!(told(slow.next().await), "6 events from QEMU were lost because they were read too late");
    assert_eq!(slow.next().await.unwrap().name, "E6");
    assert_eq!(slow.wait_for(|event| event.name == "E9", Duration::from_secs(1)).await.unwrap().name, "E9");
    assert_eq!(
        told(waiting.wait_for(|_| false, Duration::from_secs(1)).await),
        "no such event from QEMU in 1 s; what came was E6, E7, E8, E9; 6 more were lost because they were read too late"
    );
}
