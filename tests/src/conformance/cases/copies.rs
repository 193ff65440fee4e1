//! Copies in both directions.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::super::stage::{SOON, Stage};
use crate::TestResult;

/// Bytes of which no two kilobytes are the same.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

fn file(path: &Path, content: &[u8], mode: u32) -> TestResult {
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

pub(in super::super) async fn a_file_goes_in_and_comes_out(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let source = stage.directory("file")?.join("tool");
    file(&source, b"#!/bin/sh\necho it runs\n", 0o750)?;
    machine.copy_from_host(&source, "new/place/renamed").await?;
    assert_eq!(machine.succeed("stat -c %a new/place/renamed; new/place/renamed", Some(SOON)).await?, "750\nit runs\n");
    // Into a directory that is there, and over what is there.
    machine.copy_from_host(&source, "new/place").await?;
    file(&source, b"", 0o600)?;
    machine.copy_from_host(&source, "new/place/renamed").await?;
    assert_eq!(
        machine.succeed("cd new/place; stat -c '%n %a %s' *", Some(SOON)).await?,
        "renamed 600 0\ntool 750 23\n"
    );
    machine.copy_from_machine("new/place/tool", Path::new("out/of/it")).await?;
    let copy = stage.output().join("out/of/it/tool");
    assert_eq!(fs::read_to_string(&copy)?, "#!/bin/sh\necho it runs\n");
    assert_eq!(fs::metadata(&copy)?.permissions().mode() & 0o7777, 0o750);
    Ok(())
}

pub(in super::super) async fn a_directory_goes_in_and_comes_out(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let source = stage.directory("tree")?.join("tree");
    fs::create_dir_all(source.join("empty"))?;
    for (number, name) in ["plain", "two words", "it's", "-n", "ünïcödé", "a\nb", "$HOME", "*"].into_iter().enumerate()
    {
        let directory = source.join(format!("{name}.d"));
        fs::create_dir(&directory)?;
        file(&directory.join(name), format!("{number}").as_bytes(), 0o640)?;
    }
    fs::set_permissions(source.join("empty"), fs::Permissions::from_mode(0o711))?;
    machine.copy_from_host(&source, "tree").await?;
    assert_eq!(machine.succeed("find tree -type f -print0 | tr -dc '\\0' | wc -c", Some(SOON)).await?, "8\n");
    assert_eq!(
        machine
            .succeed("cat \"tree/it's.d/it's\" tree/-n.d/-n tree/a*b.d/*; stat -c %a tree/empty", Some(SOON))
            .await?,
        "235711\n"
    );
    machine.copy_from_machine("tree", Path::new("")).await?;
    let (sent, back) = (names(&source)?, names(&stage.output().join("tree"))?);
    assert_eq!(sent, back);
    // Links are followed on the way in.
    symlink(source.join("plain.d"), source.with_file_name("link"))?;
    machine.copy_from_host(&source.with_file_name("link"), "linked").await?;
    assert_eq!(machine.succeed("cat linked/plain", Some(SOON)).await?, "0");
    Ok(())
}

/// All names below a directory, with modes and contents.
fn names(root: &Path) -> TestResult<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = vec![root.to_owned()];
    while let Some(directory) = rest.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let content = if path.is_dir() { String::new() } else { fs::read_to_string(&path)? };
            let mode = fs::metadata(&path)?.permissions().mode();
            found.push(format!("{} {mode:o} {content}", path.strip_prefix(root)?.display()));
            if path.is_dir() {
                rest.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(in super::super) async fn a_large_file_goes_in_and_comes_out(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let bytes = content(stage.many_bytes());
    let source = stage.directory("large")?.join("large");
    file(&source, &bytes, 0o644)?;
    machine.copy_from_host(&source, "large").await?;
    assert_eq!(machine.succeed("stat -c %s large", Some(SOON)).await?, format!("{}\n", bytes.len()));
    machine.copy_from_machine("large", Path::new("")).await?;
    assert!(fs::read(stage.output().join("large"))? == bytes, "it came back changed");
    Ok(())
}

pub(in super::super) async fn what_is_not_there_cannot_be_copied(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let missing = stage.directory("missing")?.join("nothing");
    for (verb, error) in [
        ("copy_from_host", machine.copy_from_host(&missing, "x").await.expect_err("it is not there")),
        ("copy_from_machine", machine.copy_from_machine("no-such-file", Path::new("")).await.expect_err("nor this")),
        ("copy_from_machine", machine.copy_from_machine("ready", Path::new("../out")).await.expect_err("it leads out")),
    ] {
        let error = error.to_string();
        assert!(error.contains(verb) && error.contains(machine.name()), "{error}");
    }
    Ok(())
}
