//! Directories with the clients that exist, and with such as keep to no protocol.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::listener::{CLIENTS, Client, Listener};
use super::protocol::ADDRESS;
use crate::switch::stream::Decoder;

/// What comes later than this will never come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A directory to be made, and what holds it.
fn place() -> (TempDir, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("lan");
    (outer, path)
}

async fn accept(listener: &mut Listener) -> Client {
    timeout(PATIENCE, listener.accept()).await.expect("a client").unwrap()
}

async fn gone(client: &mut Client) {
    timeout(PATIENCE, client.control.gone()).await.expect("an end");
}

/// Lets `listener` do its work until it has refused so many.
async fn refuse(listener: &mut Listener, count: u64) {
    let refused = listener.refused();
    let counted = async {
        while refused.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        client = listener.accept() => panic!("{:?} is let in", client.unwrap()),
        counted = timeout(PATIENCE, counted) => counted.expect("a refusal"),
    }
    assert_eq!(refused.load(Ordering::Relaxed), count);
}

/// The files in a directory.
fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn request(socket: &Path) -> Vec<u8> {
    let mut request = [0xfeed_face, 3, 0].map(u32::to_ne_bytes).as_flattened().to_vec();
    request.extend(1_u16.to_ne_bytes());
    request.extend(socket.as_os_str().as_bytes());
    request.resize(12 + ADDRESS, 0);
    request.extend(b"test");
    request
}

/// A client that connects and says this.
fn says(directory: &Path, bytes: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(directory.join("ctl")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// A client of our own that keeps to the protocol: its connection and its socket, of this name in the directory.
fn asks(directory: &Path, name: &str) -> (UnixStream, UnixDatagram) {
    let path = directory.join(name);
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (says(directory, &request(&path)), socket)
}

/// Where the answer says that frames go.
fn answer(stream: &mut UnixStream) -> PathBuf {
    let mut answer = [0; ADDRESS];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..2], 1_u16.to_ne_bytes());
    let path = answer[2..].split(|&byte| byte == 0).next().unwrap();
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

fn closed(stream: &mut UnixStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// The switch's socket for a client.
fn frames(data: OwnedFd) -> tokio::net::UnixDatagram {
    tokio::net::UnixDatagram::from_std(data.into()).unwrap()
}

async fn receive(data: &tokio::net::UnixDatagram) -> Vec<u8> {
    let mut frame = vec![0; 70_000];
    let length = timeout(PATIENCE, data.recv(&mut frame)).await.expect("a frame").unwrap();
    frame.truncate(length);
    frame
}

async fn send(data: &tokio::net::UnixDatagram, frame: &[u8]) {
    assert_eq!(timeout(PATIENCE, data.send(frame)).await.expect("room for a frame").unwrap(), frame.len());
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251).try_into().unwrap()).collect()
}

/// Whether what the test runs is here.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "skipped: {program} is not installed");
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

/// A program that dies with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// What `vde_plug` has on its standard output: frames behind their lengths in 16 bits.
    fn frame(&mut self) -> Vec<u8> {
        let output = self.0.stdout.as_mut().unwrap();
        let mut length = [0; 2];
        output.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u16::from_be_bytes(length).into()];
        output.read_exact(&mut frame).unwrap();
        frame
    }

    fn say(&mut self, frame: &[u8]) {
        let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
        self.0.stdin.as_mut().unwrap().write_all(&[&length, frame].concat()).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn vde_plug(directory: &Path) -> Program {
    Program::start(Command::new("vde_plug").arg(directory).stdin(Stdio::piped()).stdout(Stdio::piped()))
}

#[tokio::test]
async fn the_directory_is_for_its_owner_and_goes() {
    let (_outer, path) = place();
    let listener = Listener::bind(&path).unwrap();
    assert_eq!((mode(&path), mode(&path.join("ctl"))), (0o700, 0o600));
    // Of a client that was killed.
    drop(UnixDatagram::bind(path.join(".01234-00000")).unwrap());
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_not_of_the_directory_stays() {
    let (_outer, path) = place();
    let listener = Listener::bind(&path).unwrap();
    fs::write(path.join("notes"), "mine").unwrap();
    drop(listener);
    assert_eq!(names(&path), ["notes"]);
}

#[tokio::test]
async fn a_directory_that_exists_is_left_alone() {
    let (_outer, path) = place();
    fs::create_dir(&path).unwrap();
    let error = Listener::bind(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert_eq!(names(&path), [""; 0]);
}

#[tokio::test]
async fn a_path_without_room_for_clients_names_its_length_and_the_cure() {
    let (outer, _) = place();
    let room = 92 - outer.path().canonicalize().unwrap().as_os_str().len() - 1;
    let error = Listener::bind(&outer.path().join("x".repeat(room + 1))).unwrap_err().to_string();
    assert!(error.contains("has 93 bytes") && error.contains("at most 92") && error.contains("shorter"), "{error}");
    assert_eq!(names(outer.path()), [""; 0]);

    // The longest one has room for the longest name of a client.
    let path = outer.path().canonicalize().unwrap().join("x".repeat(room));
    let mut listener = Listener::bind(&path).unwrap();
    let _client = asks(&path, ".4194304-00000");
    accept(&mut listener).await;
}

#[tokio::test]
async fn a_client_and_the_switch_have_sockets_for_each_other_alone() {
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let (mut stream, socket) = asks(&path, ".01234-00000");
    let client = accept(&mut listener).await;
    assert_eq!(client.description, "test");

    let to = answer(&mut stream);
    assert_eq!((to.parent(), mode(&to)), (Some(&*path), 0o600));
    let stranger = UnixDatagram::unbound().unwrap();
    assert_eq!(stranger.connect(&to).unwrap_err().kind(), ErrorKind::PermissionDenied);
    socket.connect(&to).unwrap();

    let Client { data, control, .. } = client;
    let data = frames(data);
    data.writable().await.unwrap();
    // More than net.unix.max_dgram_qlen.
    for at in 0..50 {
        assert_eq!(data.try_send(&pattern(60 + at)).unwrap(), 60 + at);
    }
    for at in 0..50 {
        let mut frame = [0; 2000];
        let length = socket.recv(&mut frame).unwrap();
        assert_eq!(frame[..length], pattern(60 + at));
    }
    // As long as frames get.
    for length in [14, 65_550] {
        socket.send(&pattern(length)).unwrap();
        assert_eq!(receive(&data).await, pattern(length));
    }
    drop(control);
    assert!(!to.exists());
    assert!(closed(&mut stream));
}

#[tokio::test]
async fn a_client_that_sees_the_directory_elsewhere_is_answered_in_its_terms() {
    let (outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let elsewhere = outer.path().join("elsewhere");
    symlink(&path, &elsewhere).unwrap();
    let (mut stream, socket) = asks(&elsewhere, ".01234-00000");
    let _client = accept(&mut listener).await;
    let to = answer(&mut stream);
    assert_eq!(to.parent(), Some(&*elsewhere));
    socket.connect(&to).unwrap();
}

#[tokio::test]
async fn nonsense_is_refused_at_once() {
    let (outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let _elsewhere = UnixDatagram::bind(outer.path().join("other")).unwrap();
    symlink(outer.path().join("other"), path.join("link")).unwrap();
    fs::write(path.join("file"), "").unwrap();
    drop(UnixDatagram::bind(path.join("dead")).unwrap());

    let mut count = 0;
    for bytes in [
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 300],
        request(Path::new("")),
        request(Path::new("lan/relative")),
        request(&path.join("nobody")),
        request(&path.join("dead")),
        request(&path.join("file")),
        request(&path.join("ctl")),
        request(Path::new("/")),
        request(&path.join("..")),
        // Sockets of others.
        request(&outer.path().join("other")),
        request(&path.join("link")),
    ] {
        count += 1;
        let mut stream = says(&path, &bytes);
        refuse(&mut listener, count).await;
        assert!(closed(&mut stream), "{bytes:?}");
    }
    // Half of a request, and nothing more.
    let half = says(&path, &request(&path)[..100]);
    drop(half);
    refuse(&mut listener, count + 1).await;

    assert_eq!(names(&path), ["ctl", "dead", "file", "link"]);
    // It has not come to harm.
    let _client = asks(&path, ".01234-00000");
    accept(&mut listener).await;
}

#[tokio::test]
async fn another_clients_socket_is_not_taken_over() {
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let (mut stream, socket) = asks(&path, ".01234-00000");
    let _client = accept(&mut listener).await;
    socket.connect(answer(&mut stream)).unwrap();
    let mut thief = says(&path, &request(&path.join(".01234-00000")));
    refuse(&mut listener, 1).await;
    assert!(closed(&mut thief));
}

#[tokio::test]
async fn who_says_nothing_delays_nobody_and_is_refused() {
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let silent = UnixStream::connect(path.join("ctl")).unwrap();
    let half = says(&path, &request(&path)[..60]);
    let (mut stream, _socket) = asks(&path, ".01234-00000");
    accept(&mut listener).await;
    answer(&mut stream);
    assert_eq!(listener.refused().load(Ordering::Relaxed), 0, "it did not wait for the others to be given up");
    refuse(&mut listener, 2).await;
    for mut stream in [silent, half] {
        assert!(closed(&mut stream));
    }
}

#[tokio::test]
async fn a_request_may_come_in_pieces() {
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let socket = path.join(".01234-00000");
    let _socket = UnixDatagram::bind(&socket).unwrap();
    let mut stream = UnixStream::connect(path.join("ctl")).unwrap();
    let pieces = tokio::task::spawn_blocking(move || {
        for piece in request(&socket).chunks(50) {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        stream
    });
    let mut client = accept(&mut listener).await;
    // The rest of the description is no end.
    let stream = pieces.await.unwrap();
    let end = timeout(Duration::from_millis(100), client.control.gone()).await;
    assert!(end.is_err());
    drop(stream);
    gone(&mut client).await;
}

#[tokio::test]
async fn who_talks_without_end_is_gone() {
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let (mut stream, _socket) = asks(&path, ".01234-00000");
    let mut client = accept(&mut listener).await;
    stream.write_all(&[0; 4096]).unwrap();
    gone(&mut client).await;
}

#[tokio::test]
async fn there_is_room_for_so_many_clients() {
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let mut clients = Vec::new();
    for at in 0..CLIENTS {
        let theirs = asks(&path, &format!(".{at}"));
        clients.push((accept(&mut listener).await, theirs));
    }
    let mut excess = asks(&path, ".excess");
    refuse(&mut listener, 1).await;
    assert!(closed(&mut excess.0));

    clients.pop();
    let _client = asks(&path, ".next");
    accept(&mut listener).await;
}

#[tokio::test]
async fn a_thousand_connections_are_no_harm() {
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    // In portions that fit the queue of connect(2), which would block.
    let mut refused = 0;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.extend((0..100).map(|_| UnixStream::connect(path.join("ctl")).unwrap()));
        refused = (silent.len() - CLIENTS).try_into().unwrap();
        refuse(&mut listener, refused).await;
    }
    drop(silent);
    refuse(&mut listener, refused + CLIENTS as u64).await;
    let _client = asks(&path, ".01234-00000");
    accept(&mut listener).await;
}

/// Passes frames between two clients, until either is gone.
async fn relay(mut one: Client, mut other: Client) {
    let here = frames(one.data);
    let there = frames(other.data);
    let pass = async |from, to| loop {
        let frame = receive(from).await;
        send(to, &frame).await;
    };
    tokio::select! {
        () = pass(&here, &there) => {},
        () = pass(&there, &here) => {},
        () = one.control.gone() => {},
        () = other.control.gone() => {},
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_pass_between_two_plugs() {
    if !has("vde_plug") {
        return;
    }
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let mut plugs = [vde_plug(&path), vde_plug(&path)];
    let clients = [accept(&mut listener).await, accept(&mut listener).await];
    for client in &clients {
        assert!(client.description.contains("plug"), "{}", client.description);
    }
    let [one, other] = clients;
    let relay = tokio::spawn(relay(one, other));
    // On a thread that the runtime does not wait for: without a frame, it would read for ever.
    let (done, finished) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        for length in [14, 60, 1514, 9014] {
            for (from, to) in [(0, 1), (1, 0)] {
                plugs[from].say(&pattern(length));
                assert_eq!(plugs[to].frame(), pattern(length));
            }
        }
        // Hangs up.
        drop(plugs[0].0.stdin.take());
        done.send(plugs).ok();
    });
    let _plugs = timeout(PATIENCE, finished).await.expect("all frames").unwrap();
    timeout(PATIENCE, relay).await.expect("an end").unwrap();
    assert!(!names(&path).iter().any(|name| name.starts_with('0')), "{:?}", names(&path));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_killed_is_noticed() {
    if !has("vde_plug") {
        return;
    }
    let (_outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let mut plug = vde_plug(&path);
    let mut client = accept(&mut listener).await;
    tokio::select! {
        () = client.control.gone() => panic!("it is still here"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    plug.kill();
    gone(&mut client).await;
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_pass_through_qemu_to_a_stream() {
    let program = format!("qemu-system-{}", std::env::consts::ARCH);
    if !has(&program) {
        return;
    }
    let (outer, path) = place();
    let mut listener = Listener::bind(&path).unwrap();
    let socket = outer.path().join("stream");
    let stream = tokio::net::UnixListener::bind(&socket).unwrap();

    // A machine without processor, but with a hub that joins both.
    let mut qemu = Program::start(
        Command::new(program)
            .args(["-nodefaults", "-display", "none", "-machine", "none"])
            .args(["-netdev", &format!("vde,id=vde,sock={}", path.display())])
            .args(["-netdev", "hubport,id=one,hubid=0,netdev=vde"])
            .args(["-netdev", &format!("stream,id=stream,server=off,addr.type=unix,addr.path={}", socket.display())])
            .args(["-netdev", "hubport,id=other,hubid=0,netdev=stream"])
            .stdin(Stdio::null()),
    );
    let Client { data, mut control, description } = accept(&mut listener).await;
    assert!(description.to_lowercase().contains("qemu"), "{description}");
    let data = frames(data);
    let (stream, _) = timeout(PATIENCE, stream.accept()).await.expect("a connection").unwrap();

    let mut decoder = Decoder::new();
    for length in [14, 60, 1514, 9014, 65_000] {
        // This way first: QEMU forgets what comes before the stream is connected.
        let mut outbox = crate::switch::stream::Outbox::default();
        let frame = pattern(length);
        outbox.send([&frame[..]].into_iter(), |slices| stream.try_write_vectored(slices)).unwrap();
        while !outbox.is_empty() {
            timeout(PATIENCE, stream.writable()).await.expect("room").unwrap();
            outbox.flush(|slices| stream.try_write_vectored(slices)).unwrap();
        }
        assert_eq!(receive(&data).await, pattern(length));

        send(&data, &pattern(length)).await;
        let frame = timeout(PATIENCE, decode(&stream, &mut decoder)).await.expect("a frame").unwrap();
        assert_eq!(frame, pattern(length));
    }
    qemu.kill();
    timeout(PATIENCE, control.gone()).await.expect("an end");
}

async fn decode(stream: &tokio::net::UnixStream, decoder: &mut Decoder) -> io::Result<Vec<u8>> {
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return Ok(frame.to_vec());
        }
        stream.readable().await?;
        match stream.try_read(decoder.space()) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => decoder.filled(length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
