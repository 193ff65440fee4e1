//! What of the host a machine may use: device nodes, directories, files.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use super::Bind;
use super::report::{Report, quote};
use super::value::Value;

/// Reads the key `devices`.
pub(super) fn devices(value: &Value, report: &mut Report<'_>) -> Vec<PathBuf> {
    let mut devices = Vec::new();
    for text in report.strings(value, "a list of device nodes such as `[\"/dev/fuse\"]`") {
        let path = PathBuf::from(text);
        if !is_plain(&path) || !path.starts_with("/dev") {
            report.problem(
                format!("{} is no path below /dev", quote(text)),
                "give the absolute path of a device node, without `..`",
            );
        } else if devices.contains(&path) {
            report.problem(format!("{} comes twice", quote(text)), "name it once");
        } else {
            match fs::metadata(&path).map(|found| found.file_type()) {
                Ok(kind) if kind.is_char_device() || kind.is_block_device() => {}
                Ok(_) => {
                    report.problem(format!("{} is no device node", quote(text)), "name a character or block device");
                }
                Err(error) => report.path(&path, &error, "name a device that this host has"),
            }
            devices.push(path);
        }
    }
    devices
}

/// Reads the key `binds`.
pub(super) fn binds(value: &Value, report: &mut Report<'_>) -> Vec<Bind> {
    let mut binds: Vec<Bind> = Vec::new();
    for text in report.strings(value, "a list of binds such as `[\"/srv/data:/data:rw\"]`") {
        let Some(bind) = bind(text) else {
            report.problem(
                format!("{} is no bind", quote(text)),
                "write `/path`, `/source:/target` or `/source:/target:rw`, with absolute paths without `..`",
            );
            continue;
        };
        if let Err(error) = fs::metadata(&bind.source) {
            report.path(&bind.source, &error, "name a file or directory that this host has");
        }
        if binds.iter().any(|other| other.target == bind.target) {
            report.problem(
                format!("a second bind to {}", quote(&bind.target.to_string_lossy())),
                "bind one thing to one place",
            );
        }
        binds.push(bind);
    }
    binds
}

fn bind(text: &str) -> Option<Bind> {
    let (source, target, writable) = match text.split(':').collect::<Vec<_>>()[..] {
        [path] => (path, path, false),
        [source, target] => (source, target, false),
        [source, target, "rw"] => (source, target, true),
        _ => return None,
    };
    let bind = Bind { source: source.into(), target: target.into(), writable };
    // Nothing can be bound over the machine's root.
    let fits = is_plain(&bind.source) && is_plain(&bind.target) && bind.target != Path::new("/");
    fits.then_some(bind)
}

/// Whether a path is absolute and goes only down.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && !path.components().any(|part| part == Component::ParentDir)
        && !path.as_os_str().as_encoded_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Value {
        Value::List(texts.iter().map(|text| Value::String((*text).to_owned())).collect())
    }

    fn said<T>(read: fn(&Value, &mut Report<'_>) -> T, list: &[&str]) -> (T, String) {
        let mut problems = Vec::new();
        let read = read(&texts(list), &mut Report::new(Path::new("t"), &mut problems));
        (read, super::super::list(&problems))
    }

    #[test]
    fn devices_are_nodes_below_dev() {
        assert_eq!(
            said(devices, &["/dev/null", "/dev/zero"]),
            (vec!["/dev/null".into(), "/dev/zero".into()], String::new())
        );
        for (list, problem) in [
            (&["null"][..], "t: `null` is no path below /dev; give the absolute path of a device node, without `..`"),
            (
                &["/dev/../etc/passwd"],
                "t: `/dev/../etc/passwd` is no path below /dev; give the absolute path of a device node, without `..`",
            ),
            (
                &["/etc/passwd"],
                "t: `/etc/passwd` is no path below /dev; give the absolute path of a device node, without `..`",
            ),
            (&["/dev"], "t: `/dev` is no device node; name a character or block device"),
            (&["/dev/no-such-thing"], "t: `/dev/no-such-thing` does not exist; name a device that this host has"),
            (&["/dev/null", "/dev/null"], "t: `/dev/null` comes twice; name it once"),
        ] {
            assert_eq!(said(devices, list).1, problem);
        }
    }

    #[test]
    fn binds_are_read_only_unless_said() {
        let bind =
            |source: &str, target: &str, writable| Bind { source: source.into(), target: target.into(), writable };
        let (binds, problems) = said(binds, &["/usr", "/usr:/data", "/etc/passwd:/x/y:rw"]);
        assert_eq!(problems, "");
        assert_eq!(
            binds,
            [bind("/usr", "/usr", false), bind("/usr", "/data", false), bind("/etc/passwd", "/x/y", true)]
        );
    }

    #[test]
    fn other_binds_are_refused() {
        for text in [
            "",
            "usr",
            "/usr:data",
            "/usr:",
            ":/data",
            "/usr:rw",
            "/usr:/a:ro",
            "/usr:/a:rw:x",
            "/usr/../etc",
            "/usr:/",
            "/usr:/a/../b",
            "/usr:/\0",
        ] {
            assert!(said(binds, &[text]).1.contains(" is no bind; write `/path`"), "{text}");
        }
        assert_eq!(
            said(binds, &["/no-such-thing:/a"]).1,
            "t: `/no-such-thing` does not exist; name a file or directory that this host has"
        );
        assert_eq!(said(binds, &["/usr:/a", "/etc:/a/"]).1, "t: a second bind to `/a/`; bind one thing to one place");
    }
}
