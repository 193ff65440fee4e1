//! What a start script is told.

use std::fs;

use tandem_tests::stage::Stage;
use tandem_tests::{TestResult, requirement};

use super::machines::Scripts;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nspawn_start_scripts_have_three_variables_and_no_arguments() -> TestResult {
    if !requirement::containers() {
        return Ok(());
    }
    let scripts = Scripts::make()?;
    let mut one = scripts.machine("one", 1, &[1])?;
    let seen = |what: &str| scripts.path().join(what).display().to_string();
    // Through a name that a shell would take apart, were there one.
    let path = scripts.path().join("run 'n $HOME-nspawn");
    let script = format!(
        "#!/bin/sh\ntr '\\0' '\\n' </proc/$$/environ >{}\npwd >{}\necho $# >{}\nreadlink /proc/$$/fd/* >{}\n\
         ls /run/netns /run/nixos-nspawn /run/systemd /sys/class/net >{}\n\
         test /run -ef /var/run && stat -f -c %T /sys/fs/cgroup >{}\nexec {}\n",
        seen("environment"),
        seen("directory"),
        seen("count"),
        seen("descriptors"),
        seen("places"),
        seen("cgroup"),
        one.start_script.as_ref().ok_or("no script")?.display()
    );
    Scripts::executable(&path, &script)?;
    one.start_script = Some(path);
    let stage = Stage::boot(vec![one]).await?;
    let own = stage.run().directory().join("state/one").display().to_string();
    let read = |what: &str| fs::read_to_string(seen(what));
    let shared = stage.run().directory().join("state/shared_xchg");
    let expected = format!(
        "RUN_NSPAWN_ROOT_DIR={own}\nRUN_NSPAWN_SHARED_DIR={}\nNOTIFY_SOCKET={own}-nspawn.sock\n",
        shared.display()
    );
    assert_eq!(read("environment")?, expected);
    assert_eq!((read("directory")?, read("count")?), (format!("{own}\n"), "0\n".into()));
    // Output went to a file for this. The shell has its script as another one.
    let descriptors = read("descriptors")?;
    assert_eq!(descriptors.lines().filter(|line| line.starts_with("pipe:")).count(), 2, "{descriptors}");
    assert!(!descriptors.contains("socket:"), "{descriptors}");
    let expected = "/run/netns:\n\n/run/nixos-nspawn:\n\n/run/systemd:\nnspawn\n\n/sys/class/net:\nlo\nvde-tap1\n";
    assert_eq!(read("places")?, expected);
    assert_eq!(read("cgroup")?, "cgroup2fs\n");
    stage.machine("one").release().await?;
    let said = stage.events().into_iter().filter_map(|event| match event.kind {
        driver_core::event::Kind::Message { text, .. } => Some(text),
        _ => None,
    });
    let said: Vec<String> = said.collect();
    let pids = |before: &str| -> Vec<String> {
        said.iter().filter_map(|text| Some(text.strip_prefix(before)?.strip_suffix(')')?.to_owned())).collect()
    };
    let running = pids("systemd-nspawn running (pid ");
    assert_eq!(running.len(), 1, "{said:?}");
    assert_eq!(pids("kill NspawnMachine (pid "), running, "{said:?}");
    stage.finish().await
}
