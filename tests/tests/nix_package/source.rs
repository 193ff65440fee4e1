//! What of the project goes into a build.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tandem_tests::TestResult;

use crate::nix::{Nix, project};

pub(crate) const SOURCES: &str = "import /project/nix/source.nix";

/// Paths of the files below a directory, relative to it.
pub(crate) fn files(directory: &Path) -> TestResult<BTreeSet<String>> {
    let (mut found, mut rest) = (BTreeSet::new(), vec![directory.to_owned()]);
    while let Some(path) = rest.pop() {
        if path.symlink_metadata()?.is_dir() {
            for entry in fs::read_dir(&path)? {
                rest.push(entry?.path());
            }
        } else {
            found.insert(path.strip_prefix(directory)?.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

#[test]
fn a_build_gets_what_it_needs_and_nothing_else() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let evaluated = nix.evaluate(&[], SOURCES)?;
    let place = |name: &str| evaluated.value[name].as_str().map(|path| evaluated.place(path)).ok_or("no path");
    let workspace = files(&place("workspace")?)?;

    let crates = ["netbridge", "driver-core", "backend-nspawn", "backend-qemu", "driver-cli"];
    let mut expected = BTreeSet::from(["Cargo.toml", "Cargo.lock", "tests/Cargo.toml"].map(str::to_owned));
    let mut add = |directory: &str| -> TestResult {
        let found =
            if project().join(directory).exists() { files(&project().join(directory))? } else { BTreeSet::new() };
        expected.extend(found.into_iter().map(|file| format!("{directory}/{file}")));
        Ok(())
    };
    for name in crates {
        add(&format!("{name}/src"))?;
    }
    add("backend-qemu/init")?;
    add("nix/nix.conf")?;
    let python = files(&project().join("driver-cli/python/test_driver"))?;
    let python: BTreeSet<_> = python.into_iter().filter(|file| !file.contains("cache")).collect();
    expected.extend(python.iter().map(|file| format!("driver-cli/python/test_driver/{file}")));
    expected.extend(crates.map(|name| format!("{name}/Cargo.toml")));
    expected.extend(["backend-qemu/build.rs", "driver-cli/python/test-script-prepend.py"].map(str::to_owned));
    assert_eq!(workspace, expected);

    let package = place("python")?.join("driver-cli/python/test_driver");
    assert_eq!(files(&package)?, python);
    assert_eq!(files(&place("python")?)?.len(), python.len());
    // As it was, to the byte.
    for file in &workspace {
        assert_eq!(fs::read(place("workspace")?.join(file))?, fs::read(project().join(file))?, "{file}");
    }
    Ok(())
}

#[test]
fn what_is_not_built_rebuilds_nothing() -> TestResult {
    let Some(nix) = Nix::find() else { return Ok(()) };
    let copy = tempfile::tempdir()?;
    let first = nix.evaluate(&[], SOURCES)?;
    let workspace = first.value["workspace"].as_str().map(|path| first.place(path)).ok_or("no path")?;
    let put = |file: &str, text: &[u8]| -> TestResult {
        let path = copy.path().join(file);
        fs::create_dir_all(path.parent().ok_or("a file lies nowhere")?)?;
        Ok(fs::write(path, text)?)
    };
    for file in files(&workspace)? {
        put(&file, &fs::read(workspace.join(&file))?)?;
    }
    put("nix/source.nix", &fs::read(project().join("nix/source.nix"))?)?;
    let source = |name: &str| -> TestResult<String> {
        let expression = format!("import {}/nix/source.nix", copy.path().display());
        let value = nix.evaluate(&[copy.path()], &expression)?.value;
        Ok(value[name].as_str().ok_or("no path")?.to_owned())
    };
    let before = [source("workspace")?, source("python")?];
    // Of a checkout at another place it is the same.
    assert_eq!(before.first().map(String::as_str), first.value["workspace"].as_str());
    for file in [
        "README.md",
        "CHANGELOG.md",
        "docs/nix.md",
        "driver-cli/README.md",
        "driver-cli/tests/more.rs",
        "driver-cli/python/tests/test_more.py",
        "driver-cli/python/test_driver/__pycache__/words.pyc",
        "driver-cli/python/test_driver/.mypy_cache/x.json",
        "tests/src/lib.rs",
        "target/release/tandem",
        ".git/HEAD",
        "nix/package.nix",
        "flake.nix",
        "srcs/x",
    ] {
        put(file, b"changed")?;
        assert_eq!([source("workspace")?, source("python")?], before, "{file}");
    }
    put("driver-cli/src/more.rs", b"")?;
    assert_ne!(source("workspace")?, before[0]);
    assert_eq!(source("python")?, before[1]);
    put("driver-cli/python/test_driver/more.py", b"")?;
    assert_ne!(source("python")?, before[1]);
    Ok(())
}
