//! What was found, for people: a line for what is fine, and more for what is not.

use std::fmt::Write as _;

use clap::builder::styling::{AnsiColor, Color, Style};
use driver_core::log::harmless;
use driver_core::need::{Need, Place, Verdict};

use super::Diagnosis;

/// The widest that the column of names gets.
const WIDEST: usize = 18;

/// The whole text.
pub(super) fn write(diagnosis: &Diagnosis, colours: bool) -> String {
    let paint = |text: &str, style: Style| if colours { format!("{style}{text}{style:#}") } else { text.to_owned() };
    let mut text = String::new();
    if let Some(place) = place(diagnosis.place) {
        let _ = writeln!(text, "{place}\n");
    }
    let names = diagnosis.needs.iter().map(|need| need.name.chars().count()).max().unwrap_or_default();
    let width = names.min(WIDEST);
    let mut groups: Vec<&str> = Vec::new();
    for need in &diagnosis.needs {
        if !groups.contains(&need.group.as_str()) {
            groups.push(&need.group);
        }
    }
    for group in groups {
        let _ = writeln!(text, "{}", paint(&harmless(group), Style::new().bold()));
        for need in diagnosis.needs.iter().filter(|need| need.group == group) {
            let (word, style) = word(need.verdict);
            let word = paint(&format!("{word:<7}"), style);
            let _ = writeln!(text, "  {word}  {:<width$}  {}", harmless(&need.name), harmless(&need.found));
            text.push_str(&below(need));
        }
        text.push('\n');
    }
    let names = diagnosis.can.iter().map(|can| can.name.chars().count()).max().unwrap_or_default();
    for can in &diagnosis.can {
        let (word, style) = if can.run { ("can run here", OK) } else { ("cannot run here", MISSING) };
        let _ = writeln!(text, "{:<names$}  {}", harmless(&can.name), paint(word, style));
    }
    text
}

/// What something is for and what to do, where it is not as it should be.
fn below(need: &Need) -> String {
    const INDENT: &str = "           ";
    let mut text = String::new();
    if !matches!(need.verdict, Verdict::Limited | Verdict::Missing) {
        return text;
    }
    if !need.purpose.is_empty() {
        let _ = writeln!(text, "{INDENT}for:   {}", harmless(&need.purpose));
    }
    let cure = need.cure.to_string();
    for (number, line) in cure.lines().enumerate() {
        let label = if number == 0 { "do:  " } else { "     " };
        let line = format!("{INDENT}{label}  {}", harmless(line));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

const OK: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green)));
const LIMITED: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Yellow)));
const MISSING: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red))).bold();

fn word(verdict: Verdict) -> (&'static str, Style) {
    match verdict {
        Verdict::Ok => ("ok", OK),
        Verdict::Unused => ("-", Style::new().dimmed()),
        Verdict::Limited => ("limited", LIMITED),
        Verdict::Missing => ("missing", MISSING),
    }
}

fn place(place: Place) -> Option<&'static str> {
    match place {
        Place::Host => None,
        Place::UserNamespace => Some("This is a user namespace, whose root is not the host's."),
        Place::NixBuild => Some("This is a Nix build."),
    }
}

#[cfg(test)]
mod tests {
    use driver_core::need::{Cure, Where};

    use super::*;
    use crate::doctor::{Can, Kind};

    fn diagnosis() -> Diagnosis {
        let cure = Cure::new("install it").line(Where::Debian, "apt-get install qemu-system");
        let needs = vec![
            Need::ok("every test", "root", "to do all", "root of this host"),
            Need::ok("VMs", "virtiofsd", "", "7.2"),
            Need::missing("VMs", "QEMU", "it runs them", "it is not on the PATH", cure),
            Need::unused("Nix builds", "Nix", "", "there is no Nix here"),
        ];
        let can = vec![
            Can { kind: Kind::Backend, name: "container".into(), run: true },
            Can { kind: Kind::Backend, name: "vm".into(), run: false },
        ];
        Diagnosis { place: Place::Host, needs, can }
    }

    #[test]
    fn what_is_fine_has_a_line_and_what_is_not_has_more() {
        let expected = "\
every test
  ok       root       root of this host

VMs
  ok       virtiofsd  7.2
  missing  QEMU       it is not on the PATH
           for:   it runs them
           do:    install it
                    Debian  apt-get install qemu-system

Nix builds
  -        Nix        there is no Nix here

container  can run here
vm         cannot run here
";
        assert_eq!(write(&diagnosis(), false), expected);
    }

    #[test]
    fn colours_change_nothing_else() {
        let painted = write(&diagnosis(), true);
        assert!(painted.contains("\x1b[32mok") && painted.contains("\x1b[0m"), "{painted:?}");
        let mut plain = String::new();
        for (number, part) in painted.split('\x1b').enumerate() {
            plain.push_str(if number == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, write(&diagnosis(), false));
    }

    #[test]
    fn a_sandbox_is_named() {
        let place = |place| write(&Diagnosis { place, ..diagnosis() }, false);
        assert!(place(Place::NixBuild).starts_with("This is a Nix build."));
        assert!(place(Place::UserNamespace).starts_with("This is a user namespace"));
    }
}
