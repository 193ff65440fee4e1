//! A whole test with a VM, as nixpkgs runs it, over several runs.

use std::fs;
use std::time::Duration;

use tandem_tests::program::Ended;
use tandem_tests::{TestResult, host_lock, requirement};

use super::ground::{Ground, in_order};
use super::machines::Guest;

/// An emulated machine takes long to boot on a busy host.
const PATIENCE: Duration = Duration::from_secs(300);

fn run(ground: &Ground, args: &[&str], script: &str) -> TestResult<Ended> {
    ground.script(script)?;
    let ended = ground.start(args)?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    in_order(&ended.stderr, &["test script finished in "])?;
    Ok(ended)
}

#[test]
fn a_vm_lives_on_in_its_state_directory_if_that_is_kept() -> TestResult {
    if !requirement::virtual_machines() {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let guest = Guest::make()?;
    let machine = guest.machine("server", &format!("{}.9d", std::process::id()))?;
    let mut ground = Ground::new()?;
    ground.start_script("server", machine.start_script.as_deref().ok_or("it has a start script")?);
    ground.set("vlans", vec![1]);

    // Without a sync of the script's own: the driver sees to it that what was written is on the disk.
    let first = run(&ground, &["-K"], "server.succeed('echo kept > /root/file')\nserver.screenshot('seen')\n")?;
    in_order(&first.stderr, &["server # ", "Disk image do not exist", "must succeed: echo kept > /root/file"])?;
    assert_eq!(
        (ground.names("out"), ground.names("state")),
        (vec!["seen.png".into()], vec!["shared-xchg".to_owned(), "vm-state-server".to_owned()])
    );
    assert_eq!(guest.seen("server", "directory")?.concat(), ground.text("state/vm-state-server"));
    assert_eq!(fs::read_to_string(ground.path("state/shared-xchg/server"))?, "server was here\n");

    let second = run(&ground, &["-K"], "assert server.succeed('cat /root/file') == 'kept\\n'\n")?;
    assert!(!second.stderr.contains("Disk image do not exist"), "{}", second.stderr);

    let third = run(&ground, &[], "server.fail('cat /root/file')\nserver.shutdown()\n")?;
    in_order(&third.stderr, &["deleting machine state directory ", "Disk image do not exist"])?;
    assert_eq!(ground.names("state"), [""; 0]);
    Ok(())
}
