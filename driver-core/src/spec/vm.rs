//! The hardware and the boot of a VM.

use std::path::{Path, PathBuf};

use super::report::{Report, quote};
use super::size::{self, InvalidSize};
use super::value::Value;
use super::{Accel, Disk, image, path, raw};

/// The most that QEMU gives an x86 guest without more settings, and more than is of use.
const MOST_CPUS: u32 = 255;

/// The least that is worth trying, in MiB: with 64 a Debian kernel ends before its first line, with this much it comes to look for its root.
const LEAST_MEMORY: u64 = 96;

const ACCELS: [(&str, Accel); 3] = [("auto", Accel::Auto), ("kvm", Accel::Kvm), ("tcg", Accel::Tcg)];

/// Reads the key `cpus`.
pub(super) fn cpus(value: &Value, report: &mut Report<'_>) -> Option<u32> {
    let Value::Integer(number) = value else {
        report.wrong_type("a whole number such as `2`", value);
        return None;
    };
    let cpus = u32::try_from(*number).ok().filter(|cpus| (1..=MOST_CPUS).contains(cpus));
    if cpus.is_none() {
        report.problem(format!("{number} is no number of processors"), format!("give 1 to {MOST_CPUS}"));
    }
    cpus
}

/// Reads the key `memory`.
pub(super) fn memory(value: &Value, report: &mut Report<'_>) -> Option<u64> {
    let memory = size::read(value, "a whole number of MiB or a size such as `\"2G\"`", report)?;
    if memory < LEAST_MEMORY {
        report.problem(
            format!("{memory} MiB is too little for Linux to boot"),
            format!("give {LEAST_MEMORY} MiB or more, such as `\"512M\"`"),
        );
        return None;
    }
    Some(memory)
}

/// Reads the key `kernel`.
pub(super) fn kernel(value: &Value, directory: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    path::file(value, "the path of a kernel", directory, report)
}

/// Reads the key `initrd`.
pub(super) fn initrd(value: &Value, directory: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    path::file(value, "the path of an initramfs", directory, report)
}

/// Reads the key `start-script`, which containers have, too.
pub(super) fn start_script(value: &Value, directory: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    path::program(value, "the path of a program", directory, report)
}

/// Reads the key `cmdline`.
pub(super) fn cmdline(value: &Value, report: &mut Report<'_>) -> Option<String> {
    let text = report.string(value, "one string such as `\"quiet loglevel=3\"`")?;
    if text.contains(['\0', '\n', '\r']) {
        report.problem("there is a line break or a NUL in it", "write all words on one line, with spaces between");
    }
    Some(text.to_owned())
}

/// Reads the key `accel`.
pub(super) fn accel(value: &Value, report: &mut Report<'_>) -> Accel {
    report.word(value, &ACCELS).unwrap_or_default()
}

/// Reads the key `disks`.
pub(super) fn disks(value: &Value, directory: &Path, report: &mut Report<'_>) -> Vec<Disk> {
    let items = report.list(value, "a list of sizes and paths such as `[\"10G\", \"data.qcow2\"]`");
    items.iter().filter_map(|item| disk(item, directory, report)).collect()
}

fn disk(value: &Value, directory: &Path, report: &mut Report<'_>) -> Option<Disk> {
    const CURE: &str = "give a size such as `\"10G\"`, or the path of a disk image (`qemu-img convert -f raw -O qcow2` \
        makes one of any content); a relative path begins beside the test file";
    match value {
        // What is no size at all is a path. A file that is called like a size can be named as `./10G`.
        Value::String(text) if size::parse(text) == Err(InvalidSize::Form) => {
            let path = path::beside(directory, text, CURE, report)?;
            let wrong = format!("is no disk image: neither qcow2, nor raw with {}", raw::KNOWN);
            image::read(&path, (&wrong, CURE), report).map(Disk::Image)
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) => size::read(value, "a size", report).map(Disk::Empty),
        other => {
            report.wrong_type("a size or a path", format_args!("{other} in the list"));
            None
        }
    }
}

/// Reads the key `qemu-args`.
pub(super) fn qemu_args(value: &Value, report: &mut Report<'_>) -> Vec<String> {
    if let Value::String(text) = value {
        report.problem("expected a list of strings, found a string", format!("write {}", as_list(text)));
        return Vec::new();
    }
    let args = report.strings(value, "a list of strings such as `[\"-device\", \"virtio-balloon\"]`");
    for arg in &args {
        if arg.contains('\0') {
            report.problem(format!("{} has a NUL in it", quote(arg)), "take it out: no argument can hold it");
        } else if is_option_with_value(arg) {
            let cure = format!("write each word by itself: {}", as_list(arg));
            report.problem(format!("{} is one argument, and QEMU has no such option", quote(arg)), cure);
        }
    }
    args.into_iter().map(str::to_owned).collect()
}

/// Whether an argument is an option together with its value, as a shell would take it apart.
fn is_option_with_value(arg: &str) -> bool {
    let option = arg.split_once(char::is_whitespace).map(|(option, _)| option.trim_start_matches('-'));
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    arg.starts_with('-') && option.is_some_and(|option| !option.is_empty() && is_name(option))
}

/// The words of `text` as a list, or an example where it has quotes, whose meaning only the writer knows.
fn as_list(text: &str) -> String {
    if text.contains(['"', '\'', '\\']) || text.contains(char::is_control) || text.trim().is_empty() {
        return "each argument as a string of its own: `[\"-device\", \"virtio-balloon\"]`".to_owned();
    }
    let words: Vec<_> = text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
    format!("`[{}]`", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::toml;
    use super::*;

    /// What a reader makes of a value that is written as in TOML.
    fn read<T>(reader: impl Fn(&Value, &mut Report<'_>) -> T, text: &str) -> (T, String) {
        let mut problems = Vec::new();
        let table = toml::parse(&format!("key = {text}")).unwrap();
        let read = reader(table.value("key").unwrap(), &mut Report::new(Path::new("t"), &mut problems));
        (read, super::super::list(&problems))
    }

    fn assert_all_told<T>(reader: impl Fn(&Value, &mut Report<'_>) -> T, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let (_, said) = read(&reader, text);
            assert!(said.starts_with(&format!("t: {expected}")), "{text}: {said}");
        }
    }

    #[test]
    fn processors_are_counted() {
        for (text, count) in [("1", 1), ("2", 2), ("255", 255), ("0x10", 16)] {
            assert_eq!(read(cpus, text), (Some(count), String::new()));
        }
        assert_all_told(
            cpus,
            &[
                ("0", "0 is no number of processors; give 1 to 255"),
                ("-1", "-1 is no number of processors; give 1 to 255"),
                ("256", "256 is no number of processors; give 1 to 255"),
                ("4294967297", "4294967297 is no number of processors; give 1 to 255"),
                ("2.0", "expected a whole number such as `2`, found a number"),
                ("'2'", "expected a whole number such as `2`, found a string"),
            ],
        );
    }

    #[test]
    fn memory_has_a_floor() {
        for (text, mib) in [("96", 96), ("'96M'", 96), ("512", 512), ("'2G'", 2048), ("'16T'", 16 << 20)] {
            assert_eq!(read(memory, text), (Some(mib), String::new()));
        }
        assert_all_told(
            memory,
            &[
                ("95", "95 MiB is too little for Linux to boot; give 96 MiB or more, such as `\"512M\"`"),
                ("'95M'", "95 MiB is too little"),
                ("0", "`0` is not more than zero"),
                ("-512", "`-512` is not more than zero"),
                ("'-1G'", "`-1G` is not more than zero"),
                ("'512'", "`512` is a number without one of the units"),
                ("'512 MB'", "`512 MB` is not a size such as `512M` or `2G`"),
                ("'1.5G'", "`1.5G` is no whole number; use the next smaller unit, such as `\"1536M\"` for 1.5 GiB"),
                ("'17T'", "`17T` is more than 16 TiB"),
                ("99999999999999999999", "`100000000000000000000` is more than 16 TiB"),
                ("true", "expected a whole number of MiB or a size such as `\"2G\"`, found a truth value"),
            ],
        );
    }

    #[test]
    fn a_command_line_is_one_line() {
        for text in ["", "quiet", "a=\"b c\" -- é\t"] {
            assert_eq!(read(cmdline, &format!("'{text}'")), (Some(text.to_owned()), String::new()));
        }
        let broken = "there is a line break or a NUL in it; write all words on one line, with spaces between";
        assert_all_told(
            cmdline,
            &[
                ("\"a\\nb\"", broken),
                ("\"a\\rb\"", broken),
                ("\"a\\u0000\"", broken),
                ("['a']", "expected one string such as `\"quiet loglevel=3\"`, found a list"),
            ],
        );
    }

    #[test]
    fn ways_to_run_are_words() {
        for (text, meaning) in [("'auto'", Accel::Auto), ("'kvm'", Accel::Kvm), ("'tcg'", Accel::Tcg)] {
            assert_eq!(read(accel, text), (meaning, String::new()));
        }
        assert_all_told(
            accel,
            &[
                ("'KVM'", "`KVM` is none of `auto`, `kvm`, `tcg`; did you mean `kvm`?"),
                ("'tgc'", "`tgc` is none of `auto`, `kvm`, `tcg`; did you mean `tcg`?"),
                ("''", "`` is none of `auto`, `kvm`, `tcg`; write one of them"),
                ("'whpx'", "`whpx` is none of `auto`, `kvm`, `tcg`; write one of them"),
                ("true", "expected a string, found a truth value"),
            ],
        );
    }

    #[test]
    fn disks_are_sizes_and_images() {
        use super::super::{Image, ImageFormat, qcow2, raw};
        let files = tempfile::tempdir().unwrap();
        let at = |name: &str| files.path().join(name);
        for (name, content) in [
            ("data.qcow2", &qcow2::tests::sample()[..]),
            ("10G", &raw::tests::partitioned()),
            ("2nd", &raw::tests::partitioned()),
            ("text", b"no disk"),
        ] {
            std::fs::write(at(name), content).unwrap();
        }
        let disks = |value: &Value, report: &mut Report<'_>| disks(value, files.path(), report);
        let image = |name: &str, format| Disk::Image(Image { path: at(name), format });
        let (found, said) = read(disks, "['10G', 'data.qcow2', 1, '1M', './10G', '2nd', 'data.qcow2']");
        assert_eq!(said, "");
        assert_eq!(
            found,
            [
                Disk::Empty(10240),
                image("data.qcow2", ImageFormat::Qcow2),
                Disk::Empty(1),
                Disk::Empty(1),
                image("10G", ImageFormat::Raw),
                image("2nd", ImageFormat::Raw),
                image("data.qcow2", ImageFormat::Qcow2),
            ]
        );
        assert_eq!(read(disks, "[]"), (Vec::new(), String::new()));
        assert_all_told(
            disks,
            &[
                ("'10G'", "expected a list of sizes and paths such as `[\"10G\", \"data.qcow2\"]`, found a string"),
                ("[true]", "expected a size or a path, found a truth value in the list"),
                ("[0]", "`0` is not more than zero"),
                ("['0G']", "`0G` is not more than zero"),
                ("['512']", "`512` is a number without one of the units"),
                ("['10GB']", "`10GB` is a number without one of the units"),
                ("['1.5T']", "`1.5T` is no whole number"),
                ("['17T']", "`17T` is more than 16 TiB"),
                ("['']", "the path is empty; give a size such as `\"10G\"`, or the path of a disk image"),
                ("['~/x']", "`~/x`: `~` means no home directory here"),
            ],
        );
        for (name, expected) in [
            ("none.img", "none.img` does not exist; name a disk image that exists"),
            (
                "text",
                "text` is no disk image: neither qcow2, nor raw with a partition table or an ext, XFS, Btrfs, EROFS, SquashFS, ISO 9660 \
                 or FAT file system; give a size such as `\"10G\"`, or the path of a disk image (`qemu-img convert -f raw -O qcow2` makes one of any content); a relative path begins beside the test file",
            ),
            (".", "cannot be read: it is a directory; name a disk image that exists and that you may read"),
        ] {
            let (found, said) = read(disks, &format!("['{name}']"));
            assert!(found.is_empty() && said.contains(expected), "{name}: {said}");
        }
        assert_eq!(read(disks, "['0G', 'none', 1.5]").1.lines().count(), 3, "every disk is told");
    }

    #[test]
    fn arguments_are_a_list() {
        for args in [&[][..], &["-device", "virtio-balloon"], &["-name", "two words", "-", "- x", "-fw_cfg", ""]] {
            let text = format!("{args:?}");
            assert_eq!(read(qemu_args, &text), (args.iter().map(|arg| (*arg).to_owned()).collect(), String::new()));
        }
        assert_all_told(
            qemu_args,
            &[
                ("'-m 512'", "expected a list of strings, found a string; write `[\"-m\", \"512\"]`"),
                (
                    "'-name \"a b\"'",
                    "expected a list of strings, found a string; write each argument as a string of its own: `[\"-device\",",
                ),
                ("''", "expected a list of strings, found a string; write each argument as a string of its own: `["),
                (
                    "['-device virtio-balloon']",
                    "`-device virtio-balloon` is one argument, and QEMU has no such option; \
                     write each word by itself: `[\"-device\", \"virtio-balloon\"]`",
                ),
                ("['--smp 2']", "`--smp 2` is one argument"),
                ("[\"a\\u0000\"]", "`a\\u{0}` has a NUL in it; take it out: no argument can hold it"),
                (
                    "[1]",
                    "expected a list of strings such as `[\"-device\", \"virtio-balloon\"]`, found a whole number in",
                ),
                ("5", "expected a list of strings such as `[\"-device\", \"virtio-balloon\"]`, found a whole number"),
            ],
        );
    }
}
