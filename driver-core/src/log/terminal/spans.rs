//! The steps that are under way.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::event::SpanId;
use crate::log::harmless;

/// Open spans by number, which is the order of their starts.
#[derive(Debug, Default)]
pub(super) struct Spans(BTreeMap<SpanId, Open>);

/// An open span.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) parent: Option<SpanId>,
    /// The first line of its title.
    pub(super) title: String,
    machine: Option<String>,
    began: Instant,
}

/// What is waited for, and since when.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    pub(super) title: String,
    pub(super) since: Instant,
}

impl Spans {
    pub(super) fn start(&mut self, id: SpanId, parent: Option<SpanId>, machine: Option<&str>, title: &str) {
        let title = title.lines().next().unwrap_or_default().to_owned();
        let machine = machine.map(str::to_owned);
        self.0.insert(id, Open { parent, title, machine, began: Instant::now() });
    }

    pub(super) fn finish(&mut self, id: SpanId) -> Option<Open> {
        self.0.remove(&id)
    }

    /// How many open spans there are from `span` outwards, itself included.
    pub(super) fn depth(&self, span: Option<SpanId>) -> usize {
        let outwards = |id: &SpanId| self.0.get(id).and_then(|open| open.parent);
        std::iter::successors(span, outwards).filter(|id| self.0.contains_key(id)).count()
    }

    /// The innermost open spans, oldest first.
    pub(super) fn waits(&self) -> Vec<Wait> {
        let has_inner = |id: SpanId| self.0.values().any(|open| open.parent == Some(id));
        let innermost = self.0.iter().filter(|(id, _)| !has_inner(**id));
        innermost.map(|(_, open)| open.wait()).collect()
    }
}

impl Open {
    fn wait(&self) -> Wait {
        let title = match &self.machine {
            Some(machine) => format!("{machine}: {}", self.title),
            None => self.title.clone(),
        };
        Wait { title: harmless(&title).into_owned(), since: self.began }
    }
}

#[cfg(test)]
mod tests {
    use super::Spans;

    #[test]
    fn the_innermost_are_waited_for() {
        let mut spans = Spans::default();
        spans.start(1, None, None, "outer");
        spans.start(2, Some(1), Some("a"), "boot\nand more");
        spans.start(3, Some(1), Some("b"), "boot");
        spans.start(4, Some(3), Some("b"), "unit \x1b[2J");
        let titles = |spans: &Spans| spans.waits().into_iter().map(|wait| wait.title).collect::<Vec<_>>();
        assert_eq!(titles(&spans), ["a: boot", "b: unit "]);
        assert_eq!((spans.depth(None), spans.depth(Some(1)), spans.depth(Some(4))), (0, 1, 3));

        spans.finish(4);
        spans.finish(2);
        assert_eq!(titles(&spans), ["b: boot"]);
        spans.finish(1);
        assert_eq!(spans.depth(Some(3)), 1, "a parent that ended first does not count");
    }
}
