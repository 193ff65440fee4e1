use std::os::unix::fs::FileTypeExt;

use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs `work` in mount and network namespaces of its own, if this process may make them.
fn apart(work: impl FnOnce() + Send) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mount namespaces need root");
        return;
    }
    std::thread::scope(|scope| {
        let apart = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).unwrap();
            mount(Path::new("none"), Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None).unwrap();
            work();
        });
        apart.join().unwrap();
    });
}

fn empty(directory: &str) -> &Path {
    let directory = Path::new(directory);
    mount(Path::new("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), None).unwrap();
    directory
}

#[test]
fn all_is_there_and_none_of_it_is_the_hosts() {
    let state = tempfile::tempdir().unwrap();
    let host = fs::metadata("/run").unwrap();
    apart(|| {
        let run = empty("/run");
        fs::write(run.join("file"), "kept").unwrap();
        fs::create_dir_all(run.join("netns/theirs")).unwrap();
        fs::create_dir_all(run.join("systemd/system")).unwrap();
        fs::create_dir(run.join("programs")).unwrap();
        let below = run.join("programs/below");
        fs::create_dir(&below).unwrap();
        mount(Path::new("tmpfs"), &below, Some("tmpfs"), MsFlags::empty(), None).unwrap();
        fs::write(below.join("deep"), "").unwrap();
        symlink("programs", run.join("link")).unwrap();
        nix::unistd::mkfifo(&run.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        make(state.path()).unwrap();

        assert_eq!(fs::read_to_string("/run/file").unwrap(), "kept");
        assert!(Path::new("/run/link/below/deep").exists());
        assert!(fs::metadata("/run/fifo").unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir("/run/netns").unwrap().count(), 0);
        assert!(!Path::new("/run/systemd/system").exists());
        assert_eq!(fs::metadata("/var/run").unwrap().ino(), fs::metadata("/run").unwrap().ino());
        let interfaces: Vec<_> =
            fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(interfaces, ["lo"]);
        assert!(rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|found| found.f_type == CGROUP2));
        assert!(!fs::read_to_string(MACHINE_ID).unwrap().is_empty() && Path::new("/etc/os-release").exists());
        fs::write("/run/new", "").unwrap();
    });
    assert_eq!(fs::metadata("/run").unwrap().ino(), host.ino());
    assert!(!Path::new("/run/new").exists());
}

#[test]
fn an_identity_is_made_only_where_there_is_none() {
    for (id, release) in
        [(None, None), (Some(""), None), (Some("mine"), None), (None, Some("ID=x")), (Some("mine"), Some("ID=x"))]
    {
        apart(|| {
            let etc = empty("/etc");
            fs::write(etc.join("other"), "kept").unwrap();
            for (name, text) in [("machine-id", id), ("os-release", release)] {
                if let Some(text) = text {
                    fs::write(etc.join(name), text).unwrap();
                }
            }
            let before = fs::metadata(etc).unwrap().dev();
            identify().unwrap();
            let made = fs::read_to_string(MACHINE_ID).unwrap();
            match id {
                Some("mine") => assert_eq!(made, "mine"),
                _ => assert!(made.trim().len() == 32 && made.trim().bytes().all(|byte| byte.is_ascii_hexdigit())),
            }
            assert_eq!(fs::read_to_string("/etc/os-release").unwrap(), release.unwrap_or_default());
            assert_eq!(fs::read_to_string("/etc/other").unwrap(), "kept");
            assert_eq!(fs::metadata(etc).unwrap().dev() == before, id == Some("mine") && release.is_some());
        });
    }
}

#[test]
fn var_run_becomes_run() {
    for there in [None, Some("run")] {
        apart(|| {
            let var = empty("/var");
            fs::create_dir(var.join("lib")).unwrap();
            if let Some(there) = there {
                fs::create_dir(var.join(there)).unwrap();
            }
            show_run_in_var().unwrap();
            let (run, seen) = (fs::metadata("/run").unwrap(), fs::metadata("/var/run").unwrap());
            assert_eq!((run.dev(), run.ino()), (seen.dev(), seen.ino()));
            assert!(var.join("lib").is_dir());
            // What follows in one is in the other.
            empty("/run/lock");
            show_run_in_var().unwrap();
        });
    }
}
