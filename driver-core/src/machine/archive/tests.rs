//! Archives that a hostile guest might send.

use std::fs;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use tar::{EntryType, Header};

use super::{Place, unpack};

/// An output directory with a neighbour that nothing may be written to.
struct Output {
    _keep: tempfile::TempDir,
    outside: PathBuf,
    root: PathBuf,
}

impl Output {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let (outside, root) = (keep.path().join("outside"), keep.path().join("root"));
        fs::create_dir(&outside).unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(outside.join("secret"), "untouched").unwrap();
        Self { _keep: keep, outside, root }
    }

    fn place(&self, directory: bool) -> Place {
        Place { root: self.root.clone(), path: "logs/top".into(), directory }
    }

    fn unpack(&self, archive: Vec<u8>) -> io::Result<Vec<String>> {
        let result = unpack(Cursor::new(archive), &self.place(true));
        let outside: Vec<_> = fs::read_dir(&self.outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(outside, ["secret"]);
        assert_eq!(fs::read_to_string(self.outside.join("secret")).unwrap(), "untouched");
        let beside: Vec<_> = fs::read_dir(&self.root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(beside.is_empty() || beside == ["logs"], "{beside:?}");
        result
    }

    fn top(&self, path: &str) -> PathBuf {
        // Joining nothing would add a slash.
        self.root.join(format!("logs/top/{path}").trim_end_matches('/'))
    }
}

/// One entry, whose names are taken as they are.
fn entry(kind: EntryType, name: &str, link: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, data: &str) -> Vec<u8> {
    entry(EntryType::Regular, name, "", 0o644, data.as_bytes())
}

fn link(name: &str, to: &str) -> Vec<u8> {
    entry(EntryType::Symlink, name, to, 0o777, b"")
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../x", "a/../../x", "/x", "a/../x", "./..", ""] {
        let output = Output::new();
        for archive in [file(name, "evil"), link(name, "x")] {
            let error = output.unpack(archive).unwrap_err().to_string();
            assert!(error.contains("leads out") || error.contains("empty"), "{error}");
        }
    }
    for target in ["../../outside/secret", "/etc/passwd", "a/../../x"] {
        let error = Output::new().unpack(entry(EntryType::Link, "x", target, 0, b"")).unwrap_err().to_string();
        assert!(error.contains("leads out"), "{error}");
    }
}

#[test]
fn only_links_that_stay_inside_are_made() {
    let cases = [
        ("l", "file", true),
        ("l", "./a/b", true),
        ("l", ".", true),
        ("a/b/l", "../../file", true),
        ("a/l", "..", true),
        ("l", "..", false),
        ("a/l", "../../x", false),
        ("l", "/etc/passwd", false),
        // Through another link, "x/.." may be anywhere.
        ("a/b/l", "x/..", false),
        ("a/b/l", "../x/../y", false),
    ];
    for (name, to, made) in cases {
        let output = Output::new();
        let left_out = output.unpack(link(name, to)).unwrap();
        assert_eq!((output.top(name).is_symlink(), left_out.is_empty()), (made, made), "{name} -> {to}");
    }
}

#[test]
fn nothing_is_written_through_a_link() {
    let output = Output::new();
    let outside = output.outside.to_str().unwrap().to_owned();
    for to in [&*outside, "../../../outside", "inside"] {
        output.unpack([link("l", to), file("l/secret", "evil"), file("l/new", "evil")].concat()).unwrap();
        assert!(output.top("l").is_dir() && !output.top("l").is_symlink());
        assert_eq!(fs::read_to_string(output.top("l/secret")).unwrap(), "evil");
        fs::remove_dir_all(output.top("l")).unwrap();
    }

    // Links that were there before.
    symlink(&outside, output.top("l")).unwrap();
    symlink(output.outside.join("secret"), output.top("f")).unwrap();
    let set_modes = entry(EntryType::Directory, "l", "", 0o777, b"");
    output.unpack([file("f", "new"), set_modes, file("l/secret", "new")].concat()).unwrap();
    assert!(!output.top("f").is_symlink() && !output.top("l").is_symlink());

    let output = Output::new();
    symlink(&outside, output.root.join("logs")).unwrap();
    output.unpack(file("x", "evil")).unwrap_err();
}

#[test]
fn a_hard_link_must_be_to_a_file_inside() {
    let output = Output::new();
    let hard = |name, to| entry(EntryType::Link, name, to, 0, b"");
    let archive =
        [file("./f", "data"), hard("./g", "./f"), hard("f", "f"), link("a/b/l", "../../x"), hard("l", "a/b/l")];
    let left_out = output.unpack(archive.concat()).unwrap();
    assert_eq!(left_out, ["l, a hard link to something else than a file"]);
    assert_eq!(fs::read_to_string(output.top("f")).unwrap(), "data");
    assert_eq!(fs::metadata(output.top("f")).unwrap().ino(), fs::metadata(output.top("g")).unwrap().ino());
    assert!(!output.top("l").is_symlink());
    output.unpack(hard("x", "missing")).unwrap_err();
}

#[test]
fn what_could_do_harm_is_left_out() {
    let output = Output::new();
    let device = entry(EntryType::Char, "null", "", 0o666, b"");
    let archive = [device.clone(), entry(EntryType::Fifo, "pipe", "", 0o666, b""), file("f", "")];
    assert_eq!(output.unpack(archive.concat()).unwrap(), ["null, a device", "pipe, a pipe"]);
    let names: Vec<_> = fs::read_dir(output.top("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["f"]);
    let left_out = output.unpack(device.repeat(1000)).unwrap();
    assert_eq!((left_out.len(), &*left_out[20]), (21, "980 more"));
}

#[test]
fn modes_are_tamed() {
    let output = Output::new();
    let archive = [
        entry(EntryType::Directory, "./", "", 0o2755, b""),
        entry(EntryType::Directory, "./shut", "", 0o000, b""),
        entry(EntryType::Regular, "./shut/program", "", 0o6755, b"x"),
    ];
    output.unpack(archive.concat()).unwrap();
    let mode = |path| fs::metadata(output.top(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode(""), mode("shut"), mode("shut/program")), (0o755, 0o700, 0o755));
}

#[test]
fn names_without_end_are_refused() {
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(1 << 40);
        header.set_cksum();
        let endless = Cursor::new(header.as_bytes().to_vec()).chain(io::repeat(b'n'));
        let error = unpack(endless, &Output::new().place(true)).unwrap_err();
        assert_eq!(error.to_string(), "a name in the archive has no end");
    }
}

#[test]
fn long_names_of_both_formats_are_understood() {
    let output = Output::new();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let gnu =
        [entry(EntryType::GNULongName, "././@LongLink", "", 0, format!("{long}1\0").as_bytes()), file("x", "gnu")];
    let mut pax = tar::Builder::new(Vec::new());
    pax.append_pax_extensions([("path", format!("{long}2").as_bytes()), ("mtime", b"1.5")]).unwrap();
    output.unpack([gnu.concat(), pax.into_inner().unwrap()[..1024].to_vec(), file("x", "pax")].concat()).unwrap();
    assert_eq!(fs::read_to_string(output.top(&format!("{long}1"))).unwrap(), "gnu");
    assert_eq!(fs::read_to_string(output.top(&format!("{long}2"))).unwrap(), "pax");
}

#[test]
fn a_single_file_is_a_single_file() {
    let output = Output::new();
    let unpack = |archive: Vec<u8>| unpack(Cursor::new(archive), &output.place(false));
    unpack(file("../../any name", "data")).unwrap();
    assert_eq!(fs::read_to_string(output.top("")).unwrap(), "data");
    for archive in
        [vec![], link("x", "y"), entry(EntryType::Directory, "x", "", 0, b""), [file("x", ""), file("y", "")].concat()]
    {
        unpack(archive).unwrap_err();
    }
    fs::remove_file(output.top("")).unwrap();
    fs::create_dir(output.top("")).unwrap();
    unpack(file("x", "")).unwrap_err();
}

#[test]
fn old_things_give_way_or_are_merged_with() {
    let output = Output::new();
    output.unpack([file("a", "1"), file("b/c", "1"), file("b/d", "1")].concat()).unwrap();
    output.unpack([file("a/x", "2"), file("b/c", "2")].concat()).unwrap();
    let read = |path| fs::read_to_string(output.top(path)).unwrap();
    assert_eq!((read("a/x"), read("b/c"), read("b/d")), ("2".into(), "2".into(), "1".into()));
    output.unpack(file("b", "a directory with something in it stays")).unwrap_err();
    assert_eq!(read("b/d"), "1");
}

#[test]
fn an_archive_that_breaks_off_is_an_error() {
    let whole = [file("a", &"x".repeat(2000)), file("b", "")].concat();
    for length in [100, 600, 2400, 3072 - 512 + 20] {
        Output::new().unpack(whole[..length].to_vec()).unwrap_err();
    }
    assert_eq!(Output::new().unpack(whole).unwrap(), [""; 0]);
}
