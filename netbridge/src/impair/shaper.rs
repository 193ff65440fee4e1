//! What becomes of each frame, and when: the part of a link's faults that knows the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Impairment;
use super::decisions::{Decisions, Treatment};
use super::line::{Line, later};
use crate::Direction;

/// Treats the frames of one direction of one link as an [`Impairment`] says. It holds no frames: it says when they are due.
#[derive(Debug)]
pub(crate) struct Shaper {
    asked: Impairment,
    direction: Direction,
    decisions: Decisions,
    line: Line,
    /// When the last frame is due of those that keep their order.
    last: Option<Instant>,
    /// When the frames are due that are queued or under way; `limit` at most. A heap, since some overtake others.
    under_way: BinaryHeap<Reverse<Instant>>,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is lost.
    Lost,
    /// It is dropped, since as many frames as there may be are queued or under way.
    Overflowed,
    /// It arrives, perhaps twice. Where there is room for one alone, it is not doubled.
    Pass(Passage, Option<Passage>),
}

/// How a copy of a frame arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// When.
    pub(crate) due: Instant,
    /// With a flipped bit, chosen by this number.
    pub(crate) corrupt: Option<u64>,
    /// Ahead of those that wait.
    pub(crate) reordered: bool,
}

impl Shaper {
    /// Begins with an empty line and nothing under way. `impairment` has passed its [check](Impairment::check); another one cannot
    /// cause a panic, but faults of that which it asks for.
    pub(crate) fn new(impairment: &Impairment, direction: Direction, now: Instant) -> Self {
        Self {
            asked: impairment.clone(),
            direction,
            decisions: Decisions::new(impairment, direction),
            line: Line::new(impairment.rate, now),
            last: None,
            under_way: BinaryHeap::new(),
        }
    }

    /// Treats the frames from now on as `impairment` says, beginning its seed's sequence anew. Frames under way stay due when they are,
    /// and count for the new limit.
    ///
    /// A new rate or delay holds at once: later frames do not wait for those that the old one made late, and may overtake them.
    pub(crate) fn set(&mut self, impairment: &Impairment, now: Instant) {
        let way = |of: &Impairment| (of.rate, of.delay, of.jitter, of.distribution);
        if self.asked.rate != impairment.rate {
            self.line = Line::new(impairment.rate, now);
        }
        if way(&self.asked) != way(impairment) {
            self.last = None;
        }
        self.decisions = Decisions::new(impairment, self.direction);
        self.asked = impairment.clone();
    }

    /// Decides about a frame that has `length` bytes on the wire.
    pub(crate) fn admit(&mut self, now: Instant, length: usize) -> Fate {
        while self.under_way.peek().is_some_and(|Reverse(due)| *due <= now) {
            self.under_way.pop();
        }
        let verdict = self.decisions.next();
        if verdict.lost {
            return Fate::Lost;
        }
        let [frame, double] = &verdict.copies;
        let Some(passage) = self.send(now, length, frame) else { return Fate::Overflowed };
        Fate::Pass(passage, if verdict.twice { self.send(now, length, double) } else { None })
    }

    /// Sends a copy of a frame over the line and on its way, if there is room.
    fn send(&mut self, now: Instant, length: usize, treatment: &Treatment) -> Option<Passage> {
        let line = self.line.with(now, length);
        let left = line.free();
        let due = if treatment.reordered {
            left
        } else {
            let due = later(left, treatment.delay);
            self.last.map_or(due, |last| due.max(last))
        };
        if due > now {
            if self.under_way.len() >= self.asked.limit {
                return None;
            }
            self.under_way.push(Reverse(due));
        }
        self.line = line;
        if !treatment.reordered {
            self.last = Some(due);
        }
        Some(Passage { due, corrupt: treatment.corrupt, reordered: treatment.reordered })
    }
}
