//! The thread of a switch: waits for frames, timers and commands, and treats one batch after another.

mod control;
mod path;

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};
use std::{io, mem};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::capture::Sink;
use crate::impair::Shaper;
use crate::link::Direction;
use crate::stats::LinkStats;
use crate::switch::Command;
use crate::switch::delayed::Delayed;
use crate::switch::io::Batch;
use crate::switch::port::{Own, Port, Sent};
use crate::switch::rules::Rules;
use crate::switch::table::Table;
use path::View;

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

    fn name(&self, link: Option<usize>) -> Option<&Arc<str>> {
        link.map(|link| &self.links[link].name)
    }

    fn count(&mut self, link: Option<usize>, count: impl FnOnce(&mut LinkStats)) {
        if let Some(link) = link {
            count(&mut self.links[link].stats);
        }
    }
}
