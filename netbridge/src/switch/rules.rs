//! Who must not reach whom.

use std::collections::HashSet;
use std::sync::Arc;

/// The partitions of a segment, by the names of its links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// From whom to whom no frame passes.
    blocked: HashSet<(Arc<str>, Arc<str>)>,
    /// Between these and all others no frame passes.
    isolated: HashSet<Arc<str>>,
}

impl Rules {
    /// Lets no frame pass from `from` to `to`.
    pub(crate) fn block(&mut self, from: &str, to: &str) {
        self.blocked.insert((from.into(), to.into()));
    }

    /// Lets no frame pass between `link` and all others.
    pub(crate) fn isolate(&mut self, link: &str) {
        self.isolated.insert(link.into());
    }

    /// Whether some rule is about `link`.
    pub(crate) fn concern(&self, link: &str) -> bool {
        self.isolated.contains(link) || self.blocked.iter().any(|(from, to)| **from == *link || **to == *link)
    }

    /// Whether there is no rule.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocked.is_empty() && self.isolated.is_empty()
    }

    /// Whether a frame from one link may go to another; none is the rest of the segment, of which no rule is about anybody.
    pub(crate) fn permit(&self, from: Option<&Arc<str>>, to: Option<&Arc<str>>) -> bool {
        if self.is_empty() || from == to {
            return true;
        }
        let isolated = |link: Option<&Arc<str>>| link.is_some_and(|link| self.isolated.contains(link));
        let blocked = match (from, to) {
            (Some(from), Some(to)) => self.blocked.contains(&(from.clone(), to.clone())),
            _ => false,
        };
        !(blocked || isolated(from) || isolated(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_for_those_they_name() {
        let names: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).to_vec();
        let [a, b, c] = &names[..] else { unreachable!() };
        let mut rules = Rules::default();
        assert!(rules.is_empty() && rules.permit(Some(a), Some(b)));
        rules.block("a", "b");
        assert!(!rules.permit(Some(a), Some(b)) && rules.permit(Some(b), Some(a)));
        assert!(rules.permit(Some(a), Some(c)) && rules.permit(Some(a), None) && rules.permit(None, Some(b)));
        assert!(rules.concern("a") && rules.concern("b") && !rules.concern("c"));
        rules.isolate("c");
        assert!(!rules.permit(Some(c), Some(a)) && !rules.permit(Some(a), Some(c)));
        assert!(!rules.permit(Some(c), None) && !rules.permit(None, Some(c)));
        // Several ports of one link.
        assert!(rules.permit(Some(c), Some(c)) && rules.concern("c"));
    }
}
