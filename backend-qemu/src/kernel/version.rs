//! Which of two kernels is newer.

/// The parts of a release in an order that sorts `6.1.0-9` before `6.1.0-10`.
pub(super) fn version(release: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = release;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        // A number too long to count is a name.
        parts.push(part.parse().map_or(Part::Text(part), Part::Number));
        rest = tail;
    }
    parts
}

/// A run of digits or of other characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Number(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_kernels_sort_last() {
        let releases = ["5.10.0-30-amd64", "6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-10-cloud-amd64", "6.12.1", "10.0"];
        for pair in releases.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        // A release candidate comes after its release: none is ever beside it in a distribution.
        assert_ne!(version("6.1-rc1"), version("6.1"));
        assert_eq!(version(""), []);
    }
}
