//! The thread of a switch: waits for frames, timers and commands, and treats one batch after another.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};
use std::{io, mem};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::Command;
use super::delayed::Delayed;
use super::io::{Batch, Io};
use super::port::{Next, Own, Port, Sent};
use super::rules::Rules;
use super::table::{Header, Table};
use crate::capture::Sink;
use crate::frame::{Frame, HEADER, Offload};
use crate::impair::{Fate, Impairment, Shaper};
use crate::link::Direction;
use crate::offload;
use crate::stats::{Flow, LinkStats};

/// What the poller calls the eventfd and the timer; ports are called by their numbers.
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// A port of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PortId(usize);

/// All that the thread has.
pub(crate) struct Engine {
    epoll: Epoll,
    timer: TimerFd,
    armed: Option<Instant>,
    wake: Arc<EventFd>,
    commands: mpsc::Receiver<Command>,
    ports: Vec<Option<Port>>,
    links: Vec<Link>,
    table: Table<usize>,
    rules: Rules,
    captures: Vec<Tapped>,
    under_way: Delayed<UnderWay>,
    /// Ports that have something to send.
    dirty: Vec<usize>,
    /// Ports that have more frames, of which the poller does not know.
    more: Vec<usize>,
    scratch: Vec<u8>,
    /// The port from which the frame that is being treated came.
    source: usize,
    /// When the batch that is being treated was received.
    now: Instant,
    wall: SystemTime,
}

/// What is between a switch and the ports of one name.
struct Link {
    name: Arc<str>,
    down: bool,
    shapers: [Option<Shaper>; 2],
    stats: LinkStats,
}

/// A capture, of one link or of all.
struct Tapped {
    number: u64,
    link: Option<Arc<str>>,
    sink: Sink,
}

/// A frame that an impairment holds back.
struct UnderWay {
    /// Where it came from.
    source: usize,
    /// Whose link holds it back.
    port: usize,
    direction: Direction,
    frame: Own,
}

/// A frame that is being treated.
#[derive(Clone, Copy)]
struct View<'a> {
    data: &'a [u8],
    offload: Offload,
    /// Where in the batch it is, if it is there as it is.
    batch: Option<usize>,
}

impl<'a> View<'a> {
    fn complete(data: &'a [u8]) -> Self {
        Self { data, offload: Offload::default(), batch: None }
    }

    fn next(self) -> Next {
        match self.batch {
            Some(index) => Next::Batch(index),
            None => Next::Own(Frame { data: self.data.to_vec().into(), offload: self.offload }),
        }
    }
}

impl Engine {
    pub(super) fn new(wake: Arc<EventFd>, commands: mpsc::Receiver<Command>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            epoll,
            timer,
            armed: None,
            wake,
            commands,
            ports: Vec::new(),
            links: Vec::new(),
            table: Table::new(),
            rules: Rules::default(),
            captures: Vec::new(),
            under_way: Delayed::new(),
            dirty: Vec::new(),
            more: Vec::new(),
            scratch: Vec::new(),
            source: 0,
            now: Instant::now(),
            wall: SystemTime::now(),
        })
    }

    /// Works until nobody can command it any more.
    pub(super) fn run(mut self) {
        let mut batch = Batch::new();
        let mut events = [EpollEvent::empty(); 64];
        loop {
            self.arm();
            let limit = if self.more.is_empty() { EpollTimeout::NONE } else { EpollTimeout::ZERO };
            let count = match self.epoll.wait(&mut events, limit) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    tracing::error!(%errno, "a switch cannot wait for frames");
                    return;
                }
            };
            for port in mem::take(&mut self.more) {
                self.receive(port, &mut batch);
            }
            let mut commanded = false;
            for event in &events[..count] {
                match event.data() {
                    WAKE => commanded = true,
                    TIMER => self.armed = None,
                    port => self.serve(usize::try_from(port).unwrap_or(usize::MAX), event.events(), &mut batch),
                }
            }
            self.release(&mut batch);
            // Last, because ports may go and their numbers be given to others.
            if commanded && !self.obey(&mut batch) {
                return;
            }
        }
    }

    /// Does what is commanded. Says whether there can be more commands.
    fn obey(&mut self, batch: &mut Batch) -> bool {
        let _ = self.wake.read();
        loop {
            match self.commands.try_recv() {
                Ok(command) => {
                    self.tick();
                    batch.clear();
                    command(self);
                    self.flush(batch);
                }
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn tick(&mut self) {
        self.now = Instant::now();
        self.wall = SystemTime::now();
    }

    /// Sets the timer to when the next frame under way is due.
    fn arm(&mut self) {
        let next = self.under_way.next();
        if next == self.armed {
            return;
        }
        self.armed = next;
        let set = match next {
            Some(due) => {
                // A timer of nothing would be off.
                let left = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
                self.timer.set(Expiration::OneShot(TimeSpec::from_duration(left)), TimerSetTimeFlags::empty())
            }
            None => self.timer.unset(),
        };
        if let Err(errno) = set {
            tracing::error!(%errno, "a switch cannot set its timer");
        }
    }

    /// Moves on what is due.
    fn release(&mut self, batch: &mut Batch) {
        if self.under_way.next().is_none() {
            return;
        }
        self.tick();
        batch.clear();
        while let Some(item) = self.under_way.pop(self.now) {
            self.arrive(&item);
        }
        self.flush(batch);
    }

    fn arrive(&mut self, item: &UnderWay) {
        self.source = item.source;
        let view = View::complete(&item.frame.data);
        match item.direction {
            Direction::Out => self.pass_out(item.port, view),
            Direction::In => self.pass_in(item.port, view),
        }
    }

    /// Takes care of a port that can be read or written.
    fn serve(&mut self, index: usize, events: EpollFlags, batch: &mut Batch) {
        if events.contains(EpollFlags::EPOLLOUT) {
            batch.clear();
            self.send(index, batch);
        }
        if events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP) {
            self.receive(index, batch);
        }
    }

    /// Takes one batch from a port: others have their turn before the next one.
    fn receive(&mut self, index: usize, batch: &mut Batch) {
        let Some(port) = self.ports.get_mut(index).and_then(Option::as_mut) else { return };
        let link = port.link;
        match port.io.receive(batch) {
            Ok(taken) => {
                port.ended |= taken.ended;
                // The poller can tell of it besides.
                if taken.more && !self.more.contains(&index) {
                    self.more.push(index);
                }
                self.count(link, |stats| stats.out.malformed += taken.malformed);
            }
            Err(error) => {
                port.ended = true;
                let malformed = u64::from(error.kind() == io::ErrorKind::InvalidData);
                self.count(link, |stats| stats.out.malformed += malformed);
                tracing::warn!(link = self.name(link).map(|name| &**name), %error, "a port of a switch cannot be read");
            }
        }
        if let Some(port) = self.ports[index].as_ref().filter(|port| port.ended) {
            // It would be ready for ever.
            let _ = self.epoll.delete(&port.io);
        }
        self.tick();
        for frame in 0..batch.len() {
            let (data, offload) = batch.frame(frame);
            self.enter(index, View { data, offload, batch: Some(frame) });
        }
        self.flush(batch);
    }

    /// A frame comes from a port: what its link does to it.
    fn enter(&mut self, index: usize, view: View<'_>) {
        self.source = index;
        let Some(link) = self.ports[index].as_ref().and_then(|port| port.link) else {
            return self.forward(index, view);
        };
        if view.data.len() < HEADER {
            self.links[link].stats.out.malformed += 1;
            return;
        }
        self.record(link, Direction::Out, view.data);
        if self.links[link].down {
            self.links[link].stats.out.blocked += 1;
        } else if self.links[link].shapers[0].is_some() {
            self.each_complete(view, link, |engine, view| engine.impair(index, link, Direction::Out, view));
        } else {
            self.pass_out(index, view);
        }
    }

    /// Calls `work` with the complete frames of what may be several, or still lack its checksum.
    fn each_complete(&mut self, view: View<'_>, link: usize, mut work: impl FnMut(&mut Self, View<'_>)) {
        if view.offload.is_none() {
            return work(self, view);
        }
        let mut scratch = mem::take(&mut self.scratch);
        let completed =
            offload::complete(view.data, view.offload, &mut scratch, |data| work(self, View::complete(data)));
        self.scratch = scratch;
        if completed.is_err() {
            self.links[link].stats.out.malformed += 1;
        }
    }

    /// Has a link's impairment decide about a complete frame.
    fn impair(&mut self, index: usize, link: usize, direction: Direction, view: View<'_>) {
        let entry = &mut self.links[link];
        let Some(shaper) = &mut entry.shapers[usize::from(direction == Direction::In)] else { return };
        let fate = shaper.admit(self.now, view.data.len());
        let counts = flow(&mut entry.stats, direction);
        let copies = match fate {
            Fate::Lost => {
                counts.lost += 1;
                return;
            }
            Fate::Overflowed => {
                counts.overflowed += 1;
                return;
            }
            Fate::Pass(first, second) => [Some(first), second],
        };
        for (count, copy) in copies.into_iter().flatten().enumerate() {
            let counts = flow(&mut self.links[link].stats, direction);
            counts.duplicated += u64::from(count > 0);
            counts.reordered += u64::from(copy.reordered);
            counts.corrupted += u64::from(copy.corrupt.is_some());
            let mut frame = None;
            if let Some(random) = copy.corrupt {
                let mut data = view.data.to_vec();
                let bit = usize::try_from(random % (data.len() as u64 * 8)).unwrap_or(0);
                data[bit / 8] ^= 1 << (bit % 8);
                frame = Some(data);
            }
            if copy.due > self.now {
                let data = frame.unwrap_or_else(|| view.data.to_vec());
                let frame = Frame { data: data.into(), offload: Offload::default() };
                self.under_way.push(copy.due, UnderWay { source: self.source, port: index, direction, frame });
                continue;
            }
            let view = frame.as_deref().map_or(view, View::complete);
            match direction {
                Direction::Out => self.pass_out(index, view),
                Direction::In => self.pass_in(index, view),
            }
        }
    }

    /// A frame has passed the link of its port towards the segment.
    fn pass_out(&mut self, index: usize, view: View<'_>) {
        let link = self.ports[index].as_ref().and_then(|port| port.link);
        self.count(link, |stats| {
            stats.out.frames += offload::frames(view.data, view.offload) as u64;
            stats.out.bytes += offload::wire_length(view.data, view.offload) as u64;
        });
        self.forward(index, view);
    }

    /// Decides which ports a frame goes to.
    fn forward(&mut self, index: usize, view: View<'_>) {
        let Some(header) = Header::read(view.data) else { return };
        let from = self.ports[index].as_ref().and_then(|port| port.link);
        if let Some(from) = from {
            let name = &self.links[from].name;
            for tapped in self.captures.iter().filter(|tapped| tapped.link.is_none()) {
                tapped.sink.frame(name, None, self.wall, view.data, view.data.len());
            }
        }
        if let Some(station) = header.from {
            self.table.learn(station, index, self.now);
        }
        match header.to.and_then(|station| self.table.find(station, self.now)) {
            Some(to) if to == index => {}
            Some(to) => self.deliver(from, to, view),
            None => {
                for to in (0..self.ports.len()).filter(|to| *to != index) {
                    self.deliver(from, to, view);
                }
            }
        }
    }

    /// A frame leaves the switch by a port: what partitions and its link do to it.
    fn deliver(&mut self, from: Option<usize>, to: usize, view: View<'_>) {
        let Some(port) = self.ports[to].as_ref() else { return };
        let link = port.link;
        if !self.rules.permit(self.name(from), self.name(link)) {
            // Where the rest of the segment is meant, the sender's link is the one that is partitioned.
            match link {
                Some(link) => self.links[link].stats.r#in.blocked += 1,
                None => self.count(from, |stats| stats.out.blocked += 1),
            }
            return;
        }
        let Some(link) = link else { return self.push(to, view) };
        if self.links[link].down {
            self.links[link].stats.r#in.blocked += 1;
        } else if self.links[link].shapers[1].is_some() {
            self.each_complete(view, link, |engine, view| engine.impair(to, link, Direction::In, view));
        } else {
            self.pass_in(to, view);
        }
    }

    /// A frame has passed the link towards its port.
    fn pass_in(&mut self, to: usize, view: View<'_>) {
        if let Some(link) = self.ports[to].as_ref().and_then(|port| port.link) {
            self.record(link, Direction::In, view.data);
        }
        self.push(to, view);
    }

    /// Has a port send a frame at the end of the batch.
    fn push(&mut self, to: usize, view: View<'_>) {
        let source = self.source;
        let Some(port) = self.ports[to].as_mut() else { return };
        let link = port.link;
        let first = if view.offload.is_none() || port.io.takes_offloads() {
            port.push(source, view.next())
        } else {
            let mut first = false;
            let completed = offload::complete(view.data, view.offload, &mut self.scratch, |data| {
                first |= port.push(source, View::complete(data).next());
            });
            if completed.is_err() {
                self.count(link, |stats| stats.r#in.malformed += 1);
            }
            first
        };
        if first {
            self.dirty.push(to);
        }
    }

    /// Sends what the treated batch has for the ports.
    fn flush(&mut self, batch: &Batch) {
        let mut dirty = mem::take(&mut self.dirty);
        for to in dirty.drain(..) {
            self.send(to, batch);
        }
        self.dirty = dirty;
    }

    fn send(&mut self, index: usize, batch: &Batch) {
        let Some(port) = self.ports.get_mut(index).and_then(Option::as_mut) else { return };
        let Sent { frames, bytes, overflowed, malformed, blocked } = port.flush(batch);
        let waits = port.waits();
        if waits != port.polled && !port.ended {
            port.polled = waits;
            let events = if port.polled { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
            if let Err(errno) = self.epoll.modify(&port.io, &mut EpollEvent::new(events, index as u64)) {
                tracing::error!(%errno, "a switch cannot wait for a port");
            }
        }
        let link = port.link;
        self.count(link, |stats| {
            let flow = &mut stats.r#in;
            flow.frames += frames;
            flow.bytes += bytes;
            flow.overflowed += overflowed;
            flow.malformed += malformed;
            flow.blocked += blocked;
        });
    }

    /// Hands a frame to the captures of its link.
    fn record(&self, link: usize, direction: Direction, data: &[u8]) {
        let name = &self.links[link].name;
        for tapped in self.captures.iter().filter(|tapped| tapped.link.as_ref() == Some(name)) {
            tapped.sink.frame(name, Some(direction), self.wall, data, data.len());
        }
    }

    fn name(&self, link: Option<usize>) -> Option<&Arc<str>> {
        link.map(|link| &self.links[link].name)
    }

    fn count(&mut self, link: Option<usize>, count: impl FnOnce(&mut LinkStats)) {
        if let Some(link) = link {
            count(&mut self.links[link].stats);
        }
    }
}

/// What the switch is told to do.
impl Engine {
    /// Adds a port that is joined by the link of that name, or, without one, leads to a bridge.
    pub(crate) fn add(&mut self, io: Io, link: Option<&str>) -> io::Result<PortId> {
        let link = link.map(|name| self.link(name));
        let index = self.ports.iter().position(Option::is_none).unwrap_or(self.ports.len());
        self.epoll.add(&io, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        if index == self.ports.len() {
            self.ports.push(None);
        }
        self.ports[index] = Some(Port::new(io, link));
        Ok(PortId(index))
    }

    /// Removes a port. What is under way to or from it arrives at once.
    pub(crate) fn remove(&mut self, port: PortId) {
        for item in self.under_way.take_if(|item| item.port == port.0) {
            self.arrive(&item);
        }
        let mut batch = Batch::empty();
        batch.clear();
        self.flush(&batch);
        self.settle(port);
        let gone = self.ports.get_mut(port.0).and_then(Option::take);
        if let Some(gone) = gone.filter(|gone| !gone.ended) {
            let _ = self.epoll.delete(&gone.io);
        }
        self.table.forget(port.0);
    }

    /// Forgets which hosts are behind a port.
    pub(crate) fn forget(&mut self, port: PortId) {
        self.table.forget(port.0);
    }

    /// Impairs a link in one direction; none ends it.
    pub(crate) fn impair_link(&mut self, link: &str, direction: Direction, impairment: Option<&Impairment>) {
        let link = self.link(link);
        let shaper = &mut self.links[link].shapers[usize::from(direction == Direction::In)];
        match (shaper.as_mut(), impairment) {
            (Some(shaper), Some(impairment)) => shaper.set(impairment, self.now),
            (_, impairment) => {
                *shaper = impairment.map(|impairment| Shaper::new(impairment, direction, self.now));
            }
        }
    }

    /// Takes a link down or up.
    pub(crate) fn set_link(&mut self, link: &str, up: bool) {
        let link = self.link(link);
        self.links[link].down = !up;
    }

    /// Sets who must not reach whom.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Begins to capture a link, or the whole segment.
    pub(crate) fn capture(&mut self, number: u64, link: Option<Arc<str>>, sink: Sink) {
        self.captures.push(Tapped { number, link, sink });
    }

    /// Hands no more frames to a capture.
    pub(crate) fn end_capture(&mut self, number: u64) {
        self.captures.retain(|tapped| tapped.number != number);
    }

    /// The counts of a link.
    pub(crate) fn stats(&mut self, link: &str) -> LinkStats {
        for index in 0..self.ports.len() {
            self.settle(PortId(index));
        }
        let link = self.link(link);
        self.links[link].stats
    }

    /// Adds what the kernel counted for a port.
    fn settle(&mut self, port: PortId) {
        let Some(port) = self.ports.get(port.0).and_then(Option::as_ref) else { return };
        let (missed, link) = (port.io.missed(), port.link);
        self.count(link, |stats| stats.out.overflowed += missed);
    }

    /// The link of that name; it is made where there is none.
    fn link(&mut self, name: &str) -> usize {
        if let Some(known) = self.links.iter().position(|link| *link.name == *name) {
            return known;
        }
        let link = Link { name: name.into(), down: false, shapers: [None, None], stats: LinkStats::default() };
        self.links.push(link);
        self.links.len() - 1
    }
}

fn flow(stats: &mut LinkStats, direction: Direction) -> &mut Flow {
    match direction {
        Direction::Out => &mut stats.out,
        Direction::In => &mut stats.r#in,
    }
}
