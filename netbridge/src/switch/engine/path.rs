//! The way of a frame through a switch: from its port over the link's impairment, partitions and the table to other ports.

use std::mem;

use super::{Engine, UnderWay};
use crate::frame::{Frame, HEADER, Offload};
use crate::impair::Fate;
use crate::link::Direction;
use crate::offload;
use crate::stats::{Flow, LinkStats};
use crate::switch::port::Next;
use crate::switch::table::Header;

/// A frame that is being treated.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [u8],
    pub(super) offload: Offload,
    /// Where in the batch it is, if it is there as it is.
    pub(super) batch: Option<usize>,
}

impl<'a> View<'a> {
    pub(super) fn complete(data: &'a [u8]) -> Self {
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
    /// A frame comes from a port: what its link does to it.
    pub(super) fn enter(&mut self, index: usize, view: View<'_>) {
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
    pub(super) fn pass_out(&mut self, index: usize, view: View<'_>) {
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
    pub(super) fn pass_in(&mut self, to: usize, view: View<'_>) {
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

    /// Hands a frame to the captures of its link.
    fn record(&self, link: usize, direction: Direction, data: &[u8]) {
        let name = &self.links[link].name;
        for tapped in self.captures.iter().filter(|tapped| tapped.link.as_ref() == Some(name)) {
            tapped.sink.frame(name, Some(direction), self.wall, data, data.len());
        }
    }
}

fn flow(stats: &mut LinkStats, direction: Direction) -> &mut Flow {
    match direction {
        Direction::Out => &mut stats.out,
        Direction::In => &mut stats.r#in,
    }
}
