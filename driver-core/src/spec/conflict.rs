//! Keys of a machine that cannot go together.

use super::Root;
use super::report::{Report, list};
use super::value::Table;

/// What a start script brings itself.
const BROUGHT: [&str; 11] =
    ["root", "units", "devices", "binds", "cpus", "memory", "kernel", "initrd", "cmdline", "accel", "disks"];

/// Looks at the keys of a machine with this root, which is none where it cannot be known.
pub(super) fn check(table: &Table, root: Option<&Root>, report: &mut Report<'_>) {
    let has = |key| table.value(key).is_some();
    if has("start-script") {
        let twice: Vec<_> = BROUGHT.into_iter().filter(|key| has(key)).collect();
        if !twice.is_empty() {
            report.key("start-script").problem(
                format!("a start script brings these itself: {}", list(&twice)),
                "take them out, or take `start-script` out",
            );
        }
        return;
    }
    if !has("initrd") {
        return;
    }
    let mut report = report.key("initrd");
    if !has("kernel") {
        report.problem(
            "an initramfs goes with the kernel that it was made for, and there is no `kernel`",
            "add the key `kernel`, or take `initrd` out",
        );
    }
    if root.is_some_and(|root| !matches!(root, Root::Image(_))) {
        report.problem(
            "an initramfs of the test's own knows no root but a disk",
            "give a disk image as `root`, or take `initrd` out",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Image, ImageFormat, toml};
    use super::*;

    fn said(text: &str, root: Option<&Root>) -> String {
        let mut problems = Vec::new();
        check(&toml::parse(text).unwrap(), root, &mut Report::new(Path::new("t"), &mut problems));
        super::super::list(&problems)
    }

    fn image() -> Root {
        Root::Image(Image { path: "disk".into(), format: ImageFormat::Raw })
    }

    #[test]
    fn an_initramfs_needs_its_kernel_and_a_disk() {
        let kernel = "t: key `initrd`: an initramfs goes with the kernel that it was made for, and there is no `kernel`; \
                      add the key `kernel`, or take `initrd` out";
        let disk = "t: key `initrd`: an initramfs of the test's own knows no root but a disk; \
                    give a disk image as `root`, or take `initrd` out";
        let both = format!("{kernel}\n{disk}");
        let directory = Root::Directory("/x".into());
        let tar = Root::Tar("/x.tar".into());
        for (text, root, expected) in [
            ("kernel = 'k'\ninitrd = 'i'", Some(&image()), ""),
            ("kernel = 'k'", Some(&Root::Host), ""),
            ("", Some(&Root::Host), ""),
            ("initrd = 'i'", Some(&image()), kernel),
            ("initrd = 'i'", Some(&Root::Host), &both),
            ("kernel = 'k'\ninitrd = 'i'", Some(&Root::Host), disk),
            ("kernel = 'k'\ninitrd = 'i'", Some(&directory), disk),
            ("kernel = 'k'\ninitrd = 'i'", Some(&tar), disk),
            // Only the root's own problem is told.
            ("kernel = 'k'\ninitrd = 'i'", None, ""),
        ] {
            assert_eq!(said(text, root), expected, "{text} {root:?}");
        }
    }

    #[test]
    fn a_start_script_stands_alone() {
        let expected = |keys: &[&str]| {
            let keys = list(keys);
            format!(
                "t: key `start-script`: a start script brings these itself: {keys}; take them out, or take `start-script` out"
            )
        };
        for key in BROUGHT {
            assert_eq!(said(&format!("{key} = 1\nstart-script = 's'"), Some(&Root::Host)), expected(&[key]));
        }
        let all = BROUGHT.map(|key| format!("{key} = 1")).join("\n");
        assert_eq!(said(&format!("{all}\nstart-script = 's'"), None), expected(&BROUGHT));
        for backend in ["vm", "container"] {
            let others = format!("backend = '{backend}'\nvlans = [1]\nenv = {{}}\nqemu-args = []\nstart-script = 's'");
            assert_eq!(said(&others, Some(&Root::Host)), "");
        }
    }
}
