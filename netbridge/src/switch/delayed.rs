//! Frames that are under way.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Things that are due some time, the earliest first; of those due at the same time, the one that came first.
#[derive(Debug)]
pub(super) struct Delayed<T> {
    heap: BinaryHeap<Entry<T>>,
    count: u64,
}

#[derive(Debug)]
struct Entry<T> {
    due: Instant,
    number: u64,
    item: T,
}

impl<T> Delayed<T> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    pub(super) fn push(&mut self, due: Instant, item: T) {
        self.count += 1;
        self.heap.push(Entry { due, number: self.count, item });
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.due)
    }

    /// Takes the next one, if it is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        self.heap.peek().filter(|entry| entry.due <= now)?;
        self.heap.pop().map(|entry| entry.item)
    }

    /// Takes all that `condition` holds for, in the order in which they would be due.
    pub(super) fn take_if(&mut self, condition: impl Fn(&T) -> bool) -> Vec<T> {
        let (mut taken, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.heap).into_iter().partition(|entry| condition(&entry.item));
        self.heap = kept.into();
        taken.sort_by(|one, other| other.cmp(one));
        taken.into_iter().map(|entry| entry.item).collect()
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_nothing_before_it_is_due() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut delayed = Delayed::new();
        for (ms, item) in [(3, "d"), (1, "a"), (2, "b"), (2, "c")] {
            delayed.push(at(ms), item);
        }
        assert_eq!(delayed.next(), Some(at(1)));
        assert_eq!(delayed.pop(now), None);
        assert_eq!(delayed.take_if(|item| matches!(*item, "c" | "a")), ["a", "c"]);
        assert_eq!(delayed.pop(at(5)), Some("b"));
        assert_eq!(delayed.pop(at(5)), Some("d"));
        assert_eq!(delayed.pop(at(5)), None);
    }
}
