//! Doors for the fuzzer to what reads test files and images, and what has to hold behind them whatever comes.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{MemfdFlags, memfd_create};

use super::file::{self, Form};
use super::report::Report;
use super::{Problem, TestSpec, image};

/// Nothing is there, so that what the texts name is not found on this host.
const NOWHERE: &str = "/nowhere/at/all";

/// The text of a test file, in the form that it begins like.
pub fn test_file(text: &str) {
    let form = match text.trim_start().bytes().next() {
        Some(b'{') => Form::Json,
        Some(b'#') => Form::Python,
        _ => Form::Toml,
    };
    let mut problems = Vec::new();
    let path = Path::new(NOWHERE).join("test");
    let spec = file::parse(&path, form, text, &mut Report::new(&path, &mut problems));
    check(text, spec.as_ref(), &problems);
}

/// The text of a configuration of upstream's test driver.
pub fn configuration(text: &str) {
    let mut problems = Vec::new();
    let spec = file::configured(&Path::new(NOWHERE).join("test"), Path::new(NOWHERE), text, &mut problems);
    check(text, spec.as_ref(), &problems);
}

/// Whoever gets neither is told why, on one line that a terminal does not obey, and what is read can be sent elsewhere.
fn check(text: &str, spec: Option<&TestSpec>, problems: &[Problem]) {
    assert!(spec.is_some() || !problems.is_empty());
    let notes = spec.map(|spec| spec.notes.iter().cloned()).into_iter().flatten();
    for told in problems.iter().map(ToString::to_string).chain(notes) {
        assert!(!told.contains(char::is_control), "{told:?}");
        assert!(told.len() <= 4096 + 40 * text.len(), "{} bytes of {}", told.len(), text.len());
    }
    if let Some(spec) = spec {
        let sent = serde_json::to_string(spec).expect("it can be written");
        assert_eq!(&serde_json::from_str::<TestSpec>(&sent).expect("it can be read"), spec);
    }
}

/// A file that is said to be a disk's image. It is one or it is told why not.
pub fn disk_image(bytes: &[u8]) {
    let mut file = File::from(memfd_create("image", MemfdFlags::CLOEXEC).expect("there is memory"));
    file.write_all(bytes).expect("there is memory");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut problems = Vec::new();
    let image = image::read(Path::new(&path), ("is no image", ""), &mut Report::new(Path::new("t"), &mut problems));
    assert_eq!(image.is_none(), problems.len() == 1, "{problems:?}");
    assert!(problems.iter().all(|problem| !problem.to_string().contains(char::is_control)), "{problems:?}");
}
