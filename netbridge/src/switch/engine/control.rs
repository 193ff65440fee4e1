//! What a switch is told to do, between two batches of frames.

use std::io;
use std::sync::Arc;

use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Engine, Link, PortId, Tapped};
use crate::capture::Sink;
use crate::impair::{Impairment, Shaper};
use crate::link::Direction;
use crate::stats::LinkStats;
use crate::switch::io::{Batch, Io};
use crate::switch::port::Port;
use crate::switch::rules::Rules;

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
