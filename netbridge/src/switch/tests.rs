//! Who gets which frame, by a model that is simple enough to be believed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::switch::io::{BATCH, Io};

/// What comes later than so many milliseconds will never come.
const PATIENCE: u16 = 20_000;

const PORTS: usize = 5;
/// The first two ports share one.
const LINKS: [&str; PORTS] = ["a", "a", "b", "c", "d"];
/// Hosts, all, a group, and one that bridges of the kernel keep to themselves. Hosts move: each of them sends from any port.
const ADDRESSES: [[u8; 6]; 6] = [
    [2, 0, 0, 0, 0, 1],
    [2, 0, 0, 0, 0, 2],
    [0xfe, 0, 0, 0, 0, 3],
    [0xff; 6],
    [1, 0, 0x5e, 1, 2, 3],
    [1, 0x80, 0xc2, 0, 0, 0],
];
/// What stands between addresses and content, and the VLAN that it means.
const TYPES: [(&[u8], u16); 6] = [
    (&[0x08, 0x00], 0),
    (&[0x81, 0x00, 0x00, 0x07, 0x08, 0x00], 7),
    (&[0x81, 0x00, 0xe0, 0x07, 0x08, 0x00], 7),
    (&[0x81, 0x00, 0x60, 0x00, 0x08, 0x00], 0),
    (&[0x88, 0xa8, 0x0f, 0xff, 0x81, 0x00], 0xfff),
    // A tag that is cut off.
    (&[0x81, 0x00], 0),
];

#[derive(Clone, Debug)]
enum Step {
    /// A port sends frames, of which there can be more than fit a batch.
    Send(usize, Vec<Sent>),
    Block(usize, usize),
    Isolate(usize),
    Heal,
    Down(usize, bool),
    /// What is plugged into a port is exchanged for another.
    Replug(usize),
}

#[derive(Clone, Debug)]
struct Sent {
    to: usize,
    from: usize,
    kind: usize,
    content: usize,
    /// Too short to be a frame.
    runt: bool,
}

impl Sent {
    fn bytes(&self, number: u32) -> Vec<u8> {
        if self.runt {
            return vec![0xff; self.content % 14];
        }
        let (kind, _) = TYPES[self.kind];
        let mut frame = [&ADDRESSES[self.to][..], &ADDRESSES[self.from], kind].concat();
        if self.kind + 1 < TYPES.len() {
            frame.extend(number.to_be_bytes());
            frame.resize(frame.len() + self.content, 0x55);
        }
        frame
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let content = prop_oneof![8 => 0..1500usize, 1 => 60_000..65_000usize];
    let runt = prop::bool::weighted(0.05);
    (0..ADDRESSES.len(), 0..ADDRESSES.len(), 0..TYPES.len(), content, runt)
        .prop_map(|(to, from, kind, content, runt)| Sent { to, from, kind, content, runt })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..PORTS, vec(sent(), 1..5)).prop_map(|(port, frames)| Step::Send(port, frames)),
        1 => (0..PORTS, vec(sent(), BATCH - 1..2 * BATCH + 2)).prop_map(|(port, frames)| Step::Send(port, frames)),
        3 => (0..PORTS, 0..PORTS).prop_map(|(from, to)| Step::Block(from, to)),
        1 => (0..PORTS).prop_map(Step::Isolate),
        2 => Just(Step::Heal),
        2 => (0..PORTS, any::<bool>()).prop_map(|(port, up)| Step::Down(port, up)),
        2 => (0..PORTS).prop_map(Step::Replug),
    ]
}

/// What a switch is, said once more.
#[derive(Default)]
struct Model {
    behind: HashMap<(usize, u16), usize>,
    blocked: HashSet<(&'static str, &'static str)>,
    isolated: HashSet<&'static str>,
    down: HashSet<&'static str>,
}

impl Model {
    /// The ports that a frame from `port` is delivered to.
    fn deliver(&mut self, port: usize, frame: &Sent) -> Vec<usize> {
        let is_host = |address: usize| ADDRESSES[address][0] & 1 == 0;
        let vlan = TYPES[frame.kind].1;
        if frame.runt || self.down.contains(LINKS[port]) {
            return Vec::new();
        }
        if is_host(frame.from) {
            self.behind.insert((frame.from, vlan), port);
        }
        let known = self.behind.get(&(frame.to, vlan)).filter(|_| is_host(frame.to));
        let meant: Vec<usize> = known.map_or_else(|| (0..PORTS).collect(), |port| vec![*port]);
        meant.into_iter().filter(|to| *to != port && self.permits(LINKS[port], LINKS[*to])).collect()
    }

    fn permits(&self, from: &'static str, to: &'static str) -> bool {
        let isolated = self.isolated.contains(from) || self.isolated.contains(to);
        !self.down.contains(to) && (from == to || !(isolated || self.blocked.contains(&(from, to))))
    }

    fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        self.blocked.iter().for_each(|(from, to)| rules.block(from, to));
        self.isolated.iter().for_each(|link| rules.isolate(link));
        rules
    }
}

/// A switch with what is plugged into it.
struct Bench {
    runtime: tokio::runtime::Runtime,
    switch: Switch,
    ports: Vec<Plugged>,
}

struct Plugged {
    id: PortId,
    socket: OwnedFd,
    /// The switch's own end.
    near: OwnedFd,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bench = Self { runtime, switch: Switch::start("model").unwrap(), ports: Vec::new() };
        bench.ports = LINKS.map(|link| bench.plug(link)).into();
        bench
    }

    fn call<T: Send + 'static>(&self, work: impl FnOnce(&mut Engine) -> T + Send + 'static) -> T {
        self.runtime.block_on(self.switch.call(work)).unwrap()
    }

    fn plug(&self, link: &'static str) -> Plugged {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, socket) = socketpair(AddressFamily::Unix, SockType::Datagram, None, flags).unwrap();
        let near = ours.try_clone().unwrap();
        let id = self.call(move |engine| engine.add(Io::Dgram(ours), Some(link))).unwrap();
        Plugged { id, socket, near }
    }

    /// Has a port send frames, and waits until all are treated.
    fn send(&self, port: usize, frames: &[Vec<u8>]) {
        let Plugged { socket, near, .. } = &self.ports[port];
        for frame in frames {
            while send(socket.as_raw_fd(), frame, MsgFlags::empty()) == Err(Errno::EAGAIN) {
                assert!(ready(socket, PollFlags::POLLOUT, PATIENCE), "the switch takes nothing");
            }
        }
        let start = Instant::now();
        while ready(near, PollFlags::POLLIN, 0) {
            assert!(start.elapsed().as_millis() < PATIENCE.into(), "the switch takes nothing");
            std::thread::yield_now();
        }
        // It has taken the last of them, and obeys once they are treated.
        self.call(|_| ());
    }

    /// The next `count` frames that come out of a port, and what is there behind them.
    fn receive(&self, port: usize, count: usize) -> Vec<Vec<u8>> {
        let socket = &self.ports[port].socket;
        let mut frames = Vec::new();
        let mut buffer = vec![0; 1 << 17];
        loop {
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => frames.push(buffer[..length].to_vec()),
                Err(Errno::EAGAIN) if frames.len() >= count => return frames,
                Err(errno) => {
                    assert_eq!(errno, Errno::EAGAIN);
                    if !ready(socket, PollFlags::POLLIN, PATIENCE) {
                        return frames;
                    }
                }
            }
        }
    }
}

fn ready(socket: &OwnedFd, events: PollFlags, milliseconds: u16) -> bool {
    poll(&mut [PollFd::new(socket.as_fd(), events)], milliseconds).unwrap() > 0
}

/// Takes the steps with a switch and with the model.
fn agree(steps: &[Step]) {
    let (mut bench, mut model) = (Bench::new(), Model::default());
    let mut expected_stats: BTreeMap<&str, [u64; 3]> = LINKS.map(|link| (link, [0; 3])).into();
    let mut number = 0;
    for step in steps {
        match step {
            Step::Send(port, frames) => {
                let mut expected = vec![Vec::new(); PORTS];
                let mut all = Vec::new();
                for frame in frames {
                    number += 1;
                    let bytes = frame.bytes(number);
                    let [sent, _, runts] = expected_stats.get_mut(LINKS[*port]).unwrap();
                    *runts += u64::from(frame.runt);
                    *sent += u64::from(!frame.runt && !model.down.contains(LINKS[*port]));
                    for to in model.deliver(*port, frame) {
                        expected[to].push(bytes.clone());
                        expected_stats.get_mut(LINKS[to]).unwrap()[1] += 1;
                    }
                    all.push(bytes);
                }
                bench.send(*port, &all);
                for (to, expected) in expected.iter().enumerate() {
                    let got = bench.receive(to, expected.len());
                    assert!(got == *expected, "port {to} got others than the model says, of {step:?}");
                }
            }
            Step::Block(from, to) => {
                model.blocked.insert((LINKS[*from], LINKS[*to]));
            }
            Step::Isolate(link) => {
                model.isolated.insert(LINKS[*link]);
            }
            Step::Heal => {
                model.blocked.clear();
                model.isolated.clear();
            }
            Step::Down(port, up) => {
                let link = LINKS[*port];
                if *up {
                    model.down.remove(link)
                } else {
                    model.down.insert(link)
                };
                let up = *up;
                bench.call(move |engine| engine.set_link(link, up));
            }
            Step::Replug(port) => {
                model.behind.retain(|_, behind| behind != port);
                let id = bench.ports[*port].id;
                bench.call(move |engine| engine.remove(id));
                bench.ports[*port] = bench.plug(LINKS[*port]);
            }
        }
        let rules = model.rules();
        bench.call(move |engine| engine.set_rules(rules));
    }
    for (link, expected) in expected_stats {
        let stats = bench.call(move |engine| engine.stats(link));
        assert_eq!([stats.out.frames, stats.r#in.frames, stats.out.malformed], expected, "of link {link}");
        assert_eq!((stats.r#in.overflowed, stats.r#in.malformed), (0, 0), "of link {link}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn a_frame_is_delivered_to_exactly_the_right_ports(steps in vec(step(), 1..60)) {
        agree(&steps);
    }
}

#[test]
fn a_host_that_moves_is_followed() {
    let frame = |to, from| Sent { to, from, kind: 0, content: 0, runt: false };
    let (bench, mut model) = (Bench::new(), Model::default());
    for (port, sent, expected) in [
        (2, frame(3, 0), vec![0, 1, 3, 4]),
        (3, frame(0, 1), vec![2]),
        (4, frame(3, 0), vec![0, 1, 2, 3]),
        (3, frame(0, 1), vec![4]),
        // It is at the sender's own port.
        (4, frame(0, 1), vec![]),
        (0, frame(1, 2), vec![4]),
    ] {
        assert_eq!(model.deliver(port, &sent), expected);
        bench.send(port, &[sent.bytes(0)]);
        for to in 0..PORTS {
            let count = usize::from(expected.contains(&to));
            assert_eq!(bench.receive(to, count).len(), count, "port {to}");
        }
    }
}

#[test]
fn the_model_says_what_a_switch_is() {
    let frame = Sent { to: 0, from: 1, kind: 0, content: 0, runt: false };
    let learned = Sent { to: 3, from: 0, ..frame.clone() };
    let mut model = Model::default();
    assert_eq!(model.deliver(2, &learned).len(), PORTS - 1);
    assert_eq!(model.deliver(0, &frame), [2]);
    assert_eq!(model.deliver(0, &Sent { kind: 1, ..frame.clone() }), [1, 2, 3, 4], "in another VLAN");
    model.isolated.insert("c");
    assert_eq!(model.deliver(0, &learned), [1, 2, 4]);
    assert_eq!(model.deliver(0, &Sent { runt: true, ..frame }), [0; 0]);
}
