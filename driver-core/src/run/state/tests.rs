use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn directories_are_private_and_where_upstream_has_them() {
    let root = tempfile::tempdir().unwrap();
    let state = StateDirectories::claim(root.path(), false, ["a"]).unwrap();
    state.make([("a", false)], |_| panic!("nothing was there")).unwrap();
    assert_eq!(names(root.path()), ["shared-xchg", "tandem.lock", "vm-state-a"]);
    for path in [state.machine("a"), state.shared()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let leftovers = ["a-nspawn.sock", "vm-state-a", "shared-xchg"].map(|name| root.path().join(name));
    assert_eq!(state.leftovers(["a"]), leftovers);
    drop(state);
    assert_eq!(names(root.path()), ["shared-xchg", "vm-state-a"]);
}

#[test]
fn a_root_is_open_to_its_users_but_not_to_those_of_the_host() {
    let root = tempfile::tempdir().unwrap();
    for (private, expected) in [(0o700, 0o755), (0o710, 0o700), (0o1777, 0o700)] {
        fs::set_permissions(root.path(), fs::Permissions::from_mode(private)).unwrap();
        let state = StateDirectories::claim(root.path(), false, ["a", "b"]).unwrap();
        state.make([("a", true), ("b", false)], |_| {}).unwrap();
        let mode = |name| fs::metadata(state.machine(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a"), mode("b")), (expected, 0o700), "{private:o}");
    }
}

#[test]
fn what_an_earlier_run_left_is_deleted_unless_it_is_kept() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("vm-state-a/deep")).unwrap();
    fs::create_dir_all(root.path().join("vm-state-b")).unwrap();
    let kept = StateDirectories::claim(root.path(), true, ["a"]).unwrap();
    kept.make([("a", false)], |_| panic!("it is kept")).unwrap();
    assert!(root.path().join("vm-state-a/deep").exists());
    assert_eq!(kept.leftovers(["a"]), [root.path().join("a-nspawn.sock")]);
    drop(kept);
    let mut deleted = Vec::new();
    let state = StateDirectories::claim(root.path(), false, ["a"]).unwrap();
    state.make([("a", false)], |path| deleted.push(path.to_owned())).unwrap();
    assert_eq!(deleted, [root.path().join("vm-state-a")]);
    assert!(!root.path().join("vm-state-a/deep").exists());
    assert!(root.path().join("vm-state-b").exists(), "that is no machine of this run");
}

#[test]
fn a_second_one_has_a_directory_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let first = StateDirectories::claim(root.path(), true, ["a"]).unwrap();
    let refused = StateDirectories::claim(root.path(), true, ["a"]).unwrap_err().to_string();
    let expected = format!("another driver, process {}, uses it; wait for its end", std::process::id());
    assert!(refused.contains(&expected), "{refused}");

    let second = StateDirectories::claim(root.path(), false, ["a"]).unwrap();
    assert_eq!(second.root().parent(), Some(root.path()));
    let third = StateDirectories::claim(root.path(), false, ["a"]).unwrap();
    assert_ne!(second.root(), third.root());
    drop(third);
    assert_eq!(names(root.path()).len(), 2, "{:?}", names(root.path()));
    // What is left in the second one lasts until the next claim.
    let own = second.root().to_owned();
    fs::create_dir(own.join("record")).unwrap();
    drop(second);
    assert!(own.join("record").exists());
    drop(first);
    drop(StateDirectories::claim(root.path(), false, ["a"]).unwrap());
    assert_eq!(names(root.path()), [""; 0]);
}

#[test]
fn what_is_not_ours_is_not_followed() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(other.path().join("file"), "precious").unwrap();
    symlink(other.path(), root.path().join("vm-state-a")).unwrap();
    let kept = StateDirectories::claim(root.path(), true, ["a"]).unwrap();
    let error = kept.make([("a", false)], |_| {}).unwrap_err().to_string();
    assert!(error.contains("vm-state-a: it is not a directory of this user's"), "{error}");
    drop(kept);
    let state = StateDirectories::claim(root.path(), false, ["a"]).unwrap();
    state.make([("a", false)], |_| {}).unwrap();
    assert!(!state.machine("a").is_symlink() && other.path().join("file").exists());
    // Neither is a lock.
    drop(state);
    symlink(other.path().join("file"), root.path().join(LOCK)).unwrap();
    assert!(StateDirectories::claim(root.path(), false, ["a"]).is_err());
    assert_eq!(fs::read_to_string(other.path().join("file")).unwrap(), "precious");
}

#[test]
fn what_is_another_users_is_left_alone() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else could give a file away.
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for name in ["vm-state-a", "shared-xchg", "tandem-record"] {
        let path = root.path().join(name);
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        let refused = StateDirectories::claim(root.path(), true, ["a"]).unwrap_err().to_string();
        assert!(refused.contains(&format!("{name} is another user's")), "{refused}");
        let state = StateDirectories::claim(root.path(), false, ["a"]).unwrap();
        assert_ne!(state.root(), root.path());
        drop(state);
        assert_eq!(names(root.path()), [name]);
        fs::remove_dir(path).unwrap();
    }
    let path = root.path().join("vm-state-b");
    fs::create_dir(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    // That is no machine of this run.
    assert_eq!(StateDirectories::claim(root.path(), true, ["a"]).unwrap().root(), root.path());
}

#[test]
fn other_directories_are_not_swept() {
    let root = tempfile::tempdir().unwrap();
    for name in ["tandem-out", "tandem-22334455", "tandem-state-ABCDEFGH"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    fs::create_dir(root.path().join("tandem-state-abcdefg2")).unwrap();
    drop(StateDirectories::claim(root.path(), false, ["a"]).unwrap());
    assert_eq!(names(root.path()), ["tandem-22334455", "tandem-out", "tandem-state-ABCDEFGH"]);
}
