//! Names that systemd and the environment of a process understand.

/// The types of units that can be started. Scopes cannot: they are made from processes that run already.
const TYPES: [&str; 10] =
    ["service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice"];

/// What is wrong with the name of a unit to start, as systemd.unit(5) has it, with the cure.
pub(super) fn wrong_with_unit(name: &str) -> Option<(&'static str, String)> {
    let Some((prefix, kind)) = name.rsplit_once('.').filter(|(_, kind)| TYPES.contains(kind)) else {
        return Some(("is no unit that can be started", "end it with `.service` or another type of unit".to_owned()));
    };
    if name.len() > 255 {
        return Some(("is longer than 255 bytes", "use a shorter name".to_owned()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if prefix.is_empty() || prefix.starts_with('@') || !prefix.chars().all(allowed) {
        return Some(("is no name of a unit", "use letters, digits and `:-_.\\@` before the type".to_owned()));
    }
    // `a@.service` is the template, `a@b.service` an instance of it.
    if prefix.find('@') == Some(prefix.len() - 1) {
        return Some((
            "is a template, which cannot be started",
            format!("name an instance, such as `{prefix}1.{kind}`"),
        ));
    }
    None
}

/// Whether a shell can have a variable of this name.
pub(super) fn is_variable(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_can_be_started_pass() {
        for name in ["nginx.service", "a.b.socket", "getty@tty1.service", "dev-disk-by\\x2dlabel-x.swap", "x@a@b.timer"]
        {
            assert_eq!(wrong_with_unit(name), None, "{name}");
        }
    }

    #[test]
    fn other_names_of_units_are_refused() {
        for (name, expected) in [
            ("nginx", "is no unit that can be started; end it with `.service` or another type of unit"),
            ("a.scope", "is no unit that can be started; end it with `.service` or another type of unit"),
            ("", "is no unit that can be started; end it with `.service` or another type of unit"),
            (".service", "is no name of a unit; use letters, digits and `:-_.\\@` before the type"),
            ("a b.service", "is no name of a unit; use letters, digits and `:-_.\\@` before the type"),
            ("../a.service", "is no name of a unit; use letters, digits and `:-_.\\@` before the type"),
            ("@a.service", "is no name of a unit; use letters, digits and `:-_.\\@` before the type"),
            ("getty@.service", "is a template, which cannot be started; name an instance, such as `getty@1.service`"),
        ] {
            let (wrong, cure) = wrong_with_unit(name).unwrap();
            assert_eq!(format!("{wrong}; {cure}"), expected);
        }
        assert!(wrong_with_unit(&format!("{}.service", "a".repeat(248))).is_some());
    }

    #[test]
    fn variables_are_names_of_a_shell() {
        for name in ["A", "_", "path_2"] {
            assert!(is_variable(name), "{name}");
        }
        for name in ["", "1A", "A-B", "A=B", "É", "A B"] {
            assert!(!is_variable(name), "{name}");
        }
    }
}
