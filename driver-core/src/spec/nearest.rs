//! What a mistyped word was meant to be.

/// The word of `known` that `word` is most likely a slip of, if there is one near enough. Case does not matter.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let slips = |candidate: &str| strsim::osa_distance(&word, &candidate.to_lowercase());
    let (distance, candidate) = known.into_iter().map(|candidate| (slips(candidate), candidate)).min()?;
    // One slip in three letters is a typing error; more is another word.
    let length = word.chars().count().max(candidate.chars().count());
    (distance <= (length / 3).max(1)).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_other_words() {
        let known = ["backend", "root", "vlans", "units", "env", "devices", "binds", "global-timeout"];
        for (word, expected) in [
            ("vlan", Some("vlans")),
            ("bakcend", Some("backend")),
            ("global_timeout", Some("global-timeout")),
            ("Root", Some("root")),
            ("cpus", None),
            ("memory", None),
            ("timeout", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest("vlans", []), None);
    }
}
