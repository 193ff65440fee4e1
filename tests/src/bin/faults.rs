//! Two network namespaces on a LAN, on whose links it tries faults one by one: it says as one JSON object what it measured.

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netbridge::{Direction, Impairment, Interface, InterfaceName, Link, Namespace, Port, Segment};
use serde_json::{Value, json};
use tandem_tests::TestResult;

/// A delay that no slow machine adds by itself.
const DELAY: Duration = Duration::from_secs(1);

/// What comes later than this will never come.
const NEVER: Duration = Duration::from_secs(20);

const PORT: u16 = 7;

#[tokio::main]
async fn main() -> TestResult {
    let network = Arc::new(Namespace::new().await?);
    let lan = Segment::bridge(network.clone(), InterfaceName::new("lan")?).await?;
    let (near, far) = (Host::on(&lan, 1).await?, Host::on(&lan, 2).await?);
    let link = lan.link("far");
    let trial = Trial { near, far, link };

    let plain = trial.delays()?;
    trial.link.impair(Direction::In, &delay(DELAY)).await?;
    let delayed_in = trial.delays()?;
    trial.link.clear().await?;
    trial.link.impair(Direction::Out, &delay(DELAY)).await?;
    let delayed_out = trial.delays()?;
    let queues = network.run(|| Command::new("tc").args(["-s", "qdisc", "show"]).output()).await??;
    trial.link.clear().await?;
    let cleared = trial.delays()?;

    let measured = json!({
        "plain": plain,
        "delayed in": delayed_in,
        "delayed out": delayed_out,
        "cleared": cleared,
        "order of a slow and a fast one": trial.change().await?,
        "lost in": trial.lost(Direction::In).await?,
        "lost out": trial.lost(Direction::Out).await?,
        "copies": trial.copies().await?,
        "ahead": trial.ahead().await?,
        "intact": trial.intact().await?,
        "line in": trial.line(Direction::In).await?,
        "line out": trial.line(Direction::Out).await?,
        "queued": trial.queued().await?,
        "queues": String::from_utf8_lossy(&queues.stdout),
    });
    writeln!(io::stdout(), "{measured:#}")?;
    Ok(())
}

/// A namespace on the LAN with a socket.
struct Host {
    socket: UdpSocket,
    address: IpAddr,
    _port: Port,
}

impl Host {
    async fn on(lan: &Segment, node: u8) -> TestResult<Self> {
        let namespace = Namespace::new().await?;
        let address = IpAddr::V4(Ipv4Addr::new(192, 168, 1, node));
        let name = InterfaceName::new("eth1")?;
        let interface = Interface { name, mac: None, addresses: vec![(address, 24)], mtu: None };
        let port =
            lan.veth(InterfaceName::new(if node == 1 { "near" } else { "far" })?, &namespace, &interface).await?;
        let socket = namespace.run(move || UdpSocket::bind((address, PORT))).await??;
        Ok(Self { socket, address, _port: port })
    }

    fn send(&self, to: &Host, payload: &[u8]) -> io::Result<()> {
        self.socket.send_to(payload, (to.address, PORT)).map(drop)
    }

    /// The next datagram, if one comes within `limit`.
    fn receive(&self, limit: Duration) -> io::Result<Option<Vec<u8>>> {
        self.socket.set_read_timeout(Some(limit))?;
        let mut payload = vec![0; 2048];
        match self.socket.recv(&mut payload) {
            Ok(length) => {
                payload.truncate(length);
                Ok(Some(payload))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All datagrams until none has come for `limit`.
    fn receive_all(&self, limit: Duration) -> io::Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        while let Some(payload) = self.receive(limit)? {
            all.push(payload);
        }
        Ok(all)
    }
}

struct Trial {
    near: Host,
    far: Host,
    /// The link of `far`.
    link: Link,
}

impl Trial {
    fn ends(&self, direction: Direction) -> (&Host, &Host) {
        match direction {
            Direction::In => (&self.near, &self.far),
            Direction::Out => (&self.far, &self.near),
        }
    }

    /// Milliseconds that a datagram takes in to `far`, and out of it.
    fn delays(&self) -> TestResult<Value> {
        let mut delays = [0, 0];
        for (delay, direction) in delays.iter_mut().zip([Direction::In, Direction::Out]) {
            let (from, to) = self.ends(direction);
            let start = Instant::now();
            from.send(to, b"now")?;
            to.receive(NEVER)?.ok_or("nothing arrives")?;
            *delay = start.elapsed().as_millis();
        }
        Ok(json!({ "in": delays[0], "out": delays[1] }))
    }

    /// Sends one datagram, takes its delay away while it is under way, and sends another.
    async fn change(&self) -> TestResult<Value> {
        self.link.impair(Direction::In, &delay(3 * DELAY)).await?;
        self.near.send(&self.far, b"slow")?;
        self.link.clear().await?;
        self.near.send(&self.far, b"fast")?;
        let mut order = Vec::new();
        for _ in 0..2 {
            let payload = self.far.receive(NEVER)?.ok_or("one is missing")?;
            order.push(String::from_utf8(payload)?);
        }
        Ok(json!(order))
    }

    /// How many of 2000 datagrams are lost of which one in five shall be; and how many frames passed by the link's own count.
    async fn lost(&self, direction: Direction) -> TestResult<Value> {
        let before = self.link.stats().await?;
        self.link.impair(direction, &Impairment { loss: 0.2, ..Impairment::default() }).await?;
        let (from, to) = self.ends(direction);
        let mut arrived = 0;
        for _ in 0..20 {
            // Few enough for the buffer of a socket.
            for _ in 0..100 {
                from.send(to, b"one of many")?;
            }
            arrived += to.receive_all(Duration::from_millis(200))?.len();
        }
        arrived += to.receive_all(DELAY)?.len();
        self.link.clear().await?;
        let after = self.link.stats().await?;
        let passed = match direction {
            Direction::In => after.r#in.frames - before.r#in.frames,
            Direction::Out => after.out.frames - before.out.frames,
        };
        Ok(json!({ "datagrams": 2000 - arrived, "counted as passed": passed }))
    }

    /// How many datagrams arrive of 50 that shall be doubled.
    async fn copies(&self) -> TestResult<Value> {
        self.link.impair(Direction::In, &Impairment { duplicate: 1.0, ..Impairment::default() }).await?;
        let arrived = self.send_numbered(&[])?;
        self.link.clear().await?;
        Ok(json!(arrived.len()))
    }

    /// How many of 50 datagrams overtake the first, which waits as half of them do.
    async fn ahead(&self) -> TestResult<Value> {
        self.link.impair(Direction::In, &delay(DELAY)).await?;
        self.near.send(&self.far, &[u8::MAX])?;
        self.link.impair(Direction::In, &Impairment { reorder: 0.5, ..delay(DELAY) }).await?;
        let arrived = self.send_numbered(&[])?;
        self.link.clear().await?;
        let first = arrived.iter().position(|payload| payload[0] == u8::MAX).ok_or("the first is lost")?;
        Ok(json!({ "ahead": first, "arrived": arrived.len() }))
    }

    /// How many of 50 datagrams arrive as they were sent although a bit of each is flipped.
    async fn intact(&self) -> TestResult<Value> {
        let filler = [0x55; 1000];
        self.link.impair(Direction::In, &Impairment { corrupt: 1.0, ..Impairment::default() }).await?;
        let arrived = self.send_numbered(&filler)?;
        self.link.clear().await?;
        let intact = arrived.iter().filter(|payload| payload.len() == 1001 && payload[1..] == filler);
        Ok(json!(intact.count()))
    }

    /// Milliseconds between the first and the last of 51 frames of 1250 bytes on a line of 1 Mbit/s: 50 times 10.
    async fn line(&self, direction: Direction) -> TestResult<Value> {
        self.link.impair(direction, &Impairment { rate: Some(1_000_000), ..Impairment::default() }).await?;
        let (from, to) = self.ends(direction);
        // Ethernet's header has 14 bytes, IPv4's 20 and UDP's 8.
        for _ in 0..51 {
            from.send(to, &[0; 1250 - 14 - 20 - 8])?;
        }
        to.receive(NEVER)?.ok_or("the first is lost")?;
        let start = Instant::now();
        for _ in 0..50 {
            to.receive(NEVER)?.ok_or("one is lost")?;
        }
        let took = start.elapsed().as_millis();
        self.link.clear().await?;
        Ok(json!(took))
    }

    /// How many of 50 datagrams arrive where only ten may be under way.
    async fn queued(&self) -> TestResult<Value> {
        self.link.impair(Direction::In, &Impairment { limit: 10, ..delay(DELAY) }).await?;
        let arrived = self.send_numbered(&[])?;
        self.link.clear().await?;
        Ok(json!(arrived.len()))
    }

    /// Sends 50 datagrams and gathers what arrives.
    fn send_numbered(&self, filler: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        for number in 0..50 {
            self.near.send(&self.far, &[&[number], filler].concat())?;
        }
        self.far.receive_all(3 * DELAY)
    }
}

fn delay(delay: Duration) -> Impairment {
    Impairment { delay, ..Impairment::default() }
}
