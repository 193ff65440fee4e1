use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::fake::Reply;
use crate::guest::Output;

/// A bench whose commands the host's bash runs, with a directory each to copy from and to.
fn hosted() -> (Bench, PathBuf, tempfile::TempDir) {
    let (bench, directory) = (bench(), tempfile::tempdir().unwrap());
    bench.fake.reply("", Reply::host(directory.path()));
    let path = directory.path().to_owned();
    (bench, path, directory)
}

fn put(path: &Path, content: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn a_file_goes_to_the_guest() {
    let (bench, directory, _keep) = hosted();
    let source = directory.join("script");
    put(&source, "hello", 0o750);
    let target = directory.join("a b/it's/new");
    for content in ["hello", "hello again"] {
        put(&source, content, 0o750);
        bench.machine.copy_from_host(&source, target.to_str().unwrap()).await.unwrap();
        assert_eq!((fs::read_to_string(&target).unwrap().as_str(), mode(&target)), (content, 0o750));
    }
    let metadata = fs::metadata(&target).unwrap();
    assert_eq!(metadata.uid(), rustix::process::getuid().as_raw());
    bench.machine.copy_from_host(&source, directory.join("a b").to_str().unwrap()).await.unwrap();
    assert_eq!(fs::read_to_string(directory.join("a b/script")).unwrap(), "hello again");
    bench.machine.copy_from_host(&source, "plain").await.unwrap();
    assert_eq!(fs::read_to_string(directory.join("plain")).unwrap(), "hello again");
}

#[tokio::test]
async fn a_directory_goes_to_the_guest_and_is_merged() {
    let (bench, directory, _keep) = hosted();
    let source = directory.join("source");
    let long = "n".repeat(120);
    put(&source.join("sub/file"), "new", 0o644);
    put(&source.join(&long).join(&long), "deep", 0o600);
    fs::create_dir(source.join("empty")).unwrap();
    fs::set_permissions(source.join("empty"), fs::Permissions::from_mode(0o700)).unwrap();
    put(&directory.join("elsewhere"), "linked", 0o644);
    symlink("../elsewhere", source.join("link")).unwrap();
    symlink("nowhere", source.join("dangling")).unwrap();
    symlink("..", source.join("sub/loop")).unwrap();

    let target = directory.join("target");
    bench.machine.copy_from_host(&source, target.to_str().unwrap()).await.unwrap();
    assert_eq!(fs::read_to_string(target.join("sub/file")).unwrap(), "new");
    assert_eq!(fs::read_to_string(target.join(&long).join(&long)).unwrap(), "deep");
    assert_eq!(mode(&target.join("empty")), 0o700);
    assert!(fs::symlink_metadata(target.join("link")).unwrap().is_file());
    assert_eq!(fs::read_link(target.join("dangling")).unwrap(), Path::new("nowhere"));
    assert_eq!(fs::read_link(target.join("sub/loop")).unwrap(), Path::new(".."));

    // As with cp: into a directory that is there. What it has already is merged with, and keeps its mode.
    put(&directory.join("there/source/sub/file"), "old", 0o600);
    put(&directory.join("there/source/kept"), "kept", 0o600);
    fs::set_permissions(directory.join("there/source/sub"), fs::Permissions::from_mode(0o711)).unwrap();
    bench.machine.copy_from_host(&source, directory.join("there/").to_str().unwrap()).await.unwrap();
    let there = directory.join("there/source");
    assert_eq!(fs::read_to_string(there.join("sub/file")).unwrap(), "new");
    assert_eq!(fs::read_to_string(there.join("kept")).unwrap(), "kept");
    assert_eq!(mode(&there.join("sub")), 0o711);
}

#[tokio::test]
async fn what_cannot_be_copied_to_the_guest_is_told() {
    let (bench, directory, _keep) = hosted();
    let message = refusal(bench.machine.copy_from_host(Path::new("/no/such"), "/x").await);
    assert_eq!(message, "machine server: copy_from_host: /no/such on the host: No such file or directory (os error 2)");
    assert_eq!(bench.fake.starts(), 0);
    put(&directory.join("file"), "", 0o644);
    let message = refusal(bench.machine.copy_from_host(&directory.join("file"), "/proc/x").await);
    assert!(message.starts_with("machine server: copy_from_host: in the guest: "), "{message}");
    let tree = directory.join("tree");
    fs::create_dir(&tree).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let message = refusal(bench.machine.copy_from_host(&tree, directory.join("y").to_str().unwrap()).await);
    assert!(message.contains("tree/socket: it is neither a file nor a directory"), "{message}");
}

#[tokio::test]
async fn a_lot_of_data_goes_both_ways() {
    let (bench, directory, _keep) = hosted();
    let data: Vec<u8> = (0..5_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(directory.join("big"), &data).unwrap();
    bench.machine.copy_from_host(&directory.join("big"), directory.join("copy").to_str().unwrap()).await.unwrap();
    bench.machine.copy_from_machine(directory.join("copy").to_str().unwrap(), Path::new("")).await.unwrap();
    assert!(fs::read(bench.output.path().join("copy")).unwrap() == data);
}

#[tokio::test]
async fn files_and_directories_come_from_the_guest() {
    let (bench, directory, _keep) = hosted();
    let tree = directory.join("-tree");
    put(&tree.join("sub/file"), "one", 0o4755);
    put(&tree.join("other"), "two", 0o640);
    fs::hard_link(tree.join("other"), tree.join("same")).unwrap();
    symlink("sub/file", tree.join("inside")).unwrap();
    symlink("../other", tree.join("sub/up")).unwrap();
    symlink("/etc/passwd", tree.join("outside")).unwrap();
    symlink("../../x", tree.join("sub/above")).unwrap();
    for _ in 0..2 {
        bench.machine.copy_from_machine(tree.to_str().unwrap(), Path::new("logs/today")).await.unwrap();
        let copy = bench.output.path().join("logs/today/-tree");
        assert_eq!(fs::read_to_string(copy.join("sub/file")).unwrap(), "one");
        assert_eq!(mode(&copy.join("sub/file")), 0o755, "a guest must not leave setuid programs");
        assert_eq!((fs::read_to_string(copy.join("same")).unwrap().as_str(), mode(&copy.join("same"))), ("two", 0o640));
        assert_eq!(fs::read_link(copy.join("inside")).unwrap(), Path::new("sub/file"));
        assert_eq!(fs::read_link(copy.join("sub/up")).unwrap(), Path::new("../other"));
        assert!(!copy.join("outside").is_symlink() && !copy.join("sub/above").is_symlink());
    }
    assert!(bench.messages().iter().any(|text| text.ends_with("outside, a symbolic link to /etc/passwd")));

    symlink(tree.join("other"), directory.join("link")).unwrap();
    symlink(&tree, directory.join("linked")).unwrap();
    for (source, file) in [("link", "link"), ("linked/", "linked/other"), ("./-tree/other", "other")] {
        bench.machine.copy_from_machine(source, Path::new(".")).await.unwrap();
        assert_eq!(fs::read_to_string(bench.output.path().join(file)).unwrap(), "two");
    }
}

#[tokio::test]
async fn what_cannot_be_copied_from_the_guest_is_told() {
    let (bench, directory, _keep) = hosted();
    for bad in ["..", "/tmp", "a/../../b"] {
        let message = refusal(bench.machine.copy_from_machine("/etc/hostname", Path::new(bad)).await);
        assert!(
            message.ends_with(&format!("the target directory {bad} is not below the output directory")),
            "{message}"
        );
    }
    let message = refusal(bench.machine.copy_from_machine("/", Path::new("")).await);
    assert_eq!(message, "machine server: copy_from_machine: '/' has no name that it could be copied under");
    let message = refusal(bench.machine.copy_from_machine("/no/such", Path::new("")).await);
    assert_eq!(message, "machine server: copy_from_machine: '/no/such' does not exist in the machine");

    fs::create_dir(directory.join("d")).unwrap();
    bench.fake.reply("exec tar -cf", Reply::fail(127, "tar: command not found\n"));
    let message = refusal(bench.machine.copy_from_machine("d", Path::new("")).await);
    assert_eq!(message, "machine server: copy_from_machine: in the guest: tar: command not found (exit code 127)");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_no_error() {
    let (bench, directory, _keep) = hosted();
    put(&directory.join("d/log"), "x", 0o644);
    bench
        .fake
        .reply("exec tar -cf", Reply::output(Output { status: 1, stdout: Vec::new(), stderr: b"tar: changed".into() }));
    bench.machine.copy_from_machine("d", Path::new("")).await.unwrap();
    assert!(bench.messages().contains(&"error output: tar: changed".to_owned()));
}

#[tokio::test]
async fn a_guest_that_sends_something_else_than_an_archive_is_told() {
    let (bench, directory, _keep) = hosted();
    put(&directory.join("d/file"), &"x".repeat(1000), 0o644);
    for (script, told) in [
        ("head -c 3000000 /dev/urandom", ""),
        ("tar -cf - /etc/hostname -P", "leads out"),
        ("tar -cf - -C d . | head -c 1800", "ends within"),
    ] {
        bench.fake.reply("exec tar -cf", Reply::host_script(&directory, script));
        let error = fault(bench.machine.copy_from_machine("d", Path::new("")).await);
        assert!(error.to_string().starts_with("machine server: copy_from_machine: "), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_stalls_is_given_up() {
    let bench = bench();
    bench.fake.reply("printf", Reply::ok("/x"));
    bench.fake.reply("exec tar -xpf", Reply::hang());
    let (_bench, directory, _keep) = hosted();
    put(&directory.join("file"), "x", 0o644);
    let error = fault(bench.machine.copy_from_host(&directory.join("file"), "/x").await);
    assert_eq!(error.to_string(), "machine server: copy_from_host: nothing moved for two minutes");
}
