//! Commands: how they end, and that they do.

use std::io::{Read, Write};
use std::time::Duration;

use driver_core::guest::Command;
use futures::future::try_join_all;

use super::super::stage::{SOON, Stage};
use crate::TestResult;
use crate::terminal::pseudo_terminal;

pub(in super::super) async fn status_is_that_of_a_shell(stage: &Stage) -> TestResult {
    stage.up().await?;
    for (script, status) in [("true", 0), ("exit 3", 3), ("kill -9 $$", 137), ("no-such-program", 127)] {
        assert_eq!(stage.command(script).await?.status, status, "{script}");
    }
    Ok(())
}

pub(in super::super) async fn timeout_ends_the_whole_process_group(stage: &Stage) -> TestResult {
    stage.up().await?;
    let script = "sleep 1000 & echo $! > grandchild; sleep 1000 | sleep 1000";
    let command = Command::new(script).timeout(Some(Duration::from_secs(1)));
    let output = tokio::time::timeout(SOON, stage.guest()?.run(command)).await??;
    assert_eq!(output.status, 124);
    stage.until("! kill -0 $(cat grandchild)").await
}

pub(in super::super) async fn timeout_ends_what_ignores_sigterm(stage: &Stage) -> TestResult {
    stage.up().await?;
    let script = "trap '' TERM; echo said; while :; do bash -c 'exec -a stubborn sleep 1000'; done";
    let command = Command::new(script).timeout(Some(Duration::from_secs(1)));
    let output = tokio::time::timeout(SOON, stage.guest()?.run(command)).await??;
    assert_eq!((output.status, &*output.text()), (124, "said\n"));
    stage.until("! pgrep -f stubbor[n]").await
}

pub(in super::super) async fn commands_run_at_the_same_time(stage: &Stage) -> TestResult {
    stage.up().await?;
    // Each waits for all the others.
    let script = |number| {
        format!("touch at-once-{number}; until set -- at-once-*; [ $# = 8 ]; do sleep 0.05; done; echo {number}")
    };
    let scripts: Vec<String> = (0..8).map(script).collect();
    let said = try_join_all(scripts.iter().map(|script| stage.ask(script))).await?;
    assert_eq!(said.concat(), "0\n1\n2\n3\n4\n5\n6\n7\n");
    Ok(())
}

pub(in super::super) async fn a_person_has_a_shell_with_job_control(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let (mut master, terminal) = pseudo_terminal()?;
    // What it says would fill the terminal otherwise.
    let mut from = master.try_clone()?;
    std::thread::spawn(move || while from.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {});
    master.write_all(b"echo $TERM $- > shell; sleep 1000 & jobs -p >> shell; exit 5\n")?;
    assert_eq!(tokio::time::timeout(SOON, machine.shell(terminal, "a kind")).await??, 5);
    let said = stage.ask("cat shell").await?;
    let (first, job) = said.split_once('\n').ok_or("it says too little")?;
    assert!(first.starts_with("a kind ") && first.contains('m') && first.contains('i'), "{said}");
    assert!(job.trim().parse::<u32>().is_ok(), "{said}");

    // It ends with its terminal.
    let (master, terminal) = pseudo_terminal()?;
    let shell = machine.shell(terminal, "dumb");
    let hang_up = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(master);
    };
    tokio::time::timeout(SOON, async { tokio::join!(shell, hang_up) }).await?.0?;
    Ok(())
}

pub(in super::super) async fn a_cancelled_command_is_gone_and_others_go_on(stage: &Stage) -> TestResult {
    stage.up().await?;
    let other = stage.ask("until [ -e go-on ]; do sleep 0.05; done; echo went on");
    let guest = stage.guest()?;
    let cancelled = async {
        let command = guest.run(Command::new("echo $$ > cancelled; sleep 1000"));
        tokio::select! {
            _ = command => Err("nothing should have ended it".into()),
            started = stage.until("[ -s cancelled ]") => started,
        }?;
        stage.until("! kill -0 $(cat cancelled)").await?;
        stage.ask("touch go-on").await
    };
    let (said, cancelled) = tokio::join!(other, cancelled);
    cancelled?;
    assert_eq!(said?, "went on\n");
    Ok(())
}

pub(in super::super) async fn a_cancelled_command_does_not_break_the_next(stage: &Stage) -> TestResult {
    stage.up().await?;
    let guest = stage.guest()?;
    let command = guest.run(Command::new("echo $$ > given-up; seq 100000; sleep 1000"));
    assert!(tokio::time::timeout(Duration::from_millis(500), command).await.is_err(), "nothing should have ended it");
    assert_eq!(stage.ask("echo next").await?, "next\n");
    stage.until("! kill -0 $(cat given-up)").await
}

pub(in super::super) async fn a_background_child_does_not_hold_its_command(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let said = stage.ask("sleep 1000 & echo $! > child; echo done").await?;
    assert_eq!(said, "done\n");
    stage.ask("kill $(cat child)").await?;
    let output = machine.execute("nohup sleep 1000 >/dev/null 2>&1 & echo $! >detached", Some(SOON)).await?;
    assert_eq!(output.status, 0, "{output:?}");
    stage.ask("kill $(cat detached)").await.map(drop)
}

pub(in super::super) async fn environment_is_that_of_roots_login(stage: &Stage) -> TestResult {
    stage.up().await?;
    assert_eq!(stage.ask("echo $USER $HOME $OF_THE_MACHINE $(id -u)").await?, "root /root its own 0\n");
    stage.ask("[[ :$PATH: == *:/usr/bin:* ]] && [ -z \"${NOTIFY_SOCKET-}${TANDEM-}${CARGO-}\" ]").await?;
    Ok(())
}

pub(in super::super) async fn a_profile_that_changes_is_read_again(stage: &Stage) -> TestResult {
    stage.up().await?;
    stage.ask("echo 'export LATER=seen' > /etc/profile.d/later.sh").await?;
    assert_eq!(stage.ask("echo $LATER").await?, "seen\n");
    Ok(())
}

pub(in super::super) async fn commands_are_not_in_the_way_of_systemd(stage: &Stage) -> TestResult {
    stage.up().await?;
    // They would be if they sat in the cgroups of its units, or if it could not see some process in its cgroups.
    let output = stage.command("sleep 1000 & systemctl status --no-pager; kill $!").await?;
    let status = output.text();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let (before, after) = status.split_once("init.scope").ok_or("it shows no processes")?;
    let commands = before.split_once("commands").ok_or_else(|| format!("commands have no cgroup: {status}"))?.1;
    assert!(commands.contains("sleep 1000") && !after.contains("sleep 1000"), "{status}");
    Ok(())
}

pub(in super::super) async fn execute_tells_status_and_output(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let output = machine.execute("echo words; exit 7", Some(SOON)).await?;
    assert_eq!((output.status, &*output.text()), (7, "words\n"));
    let output = machine.execute("echo words; sleep 1000", Some(Duration::from_secs(1))).await?;
    assert_eq!((output.status, &*output.text()), (124, "words\n"));
    Ok(())
}

pub(in super::super) async fn succeed_and_fail_say_what_was_not_so(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    assert_eq!(machine.succeed("echo \"it's\" '$HOME'", Some(SOON)).await?, "it's $HOME\n");
    assert_eq!(machine.fail("echo why; exit 3", Some(SOON)).await?, "why\n");
    let error = machine.succeed("exit 3", Some(SOON)).await.expect_err("it fails").to_string();
    assert_eq!(error, "command `exit 3` failed (exit code 3)");
    let error = machine.fail("true", Some(SOON)).await.expect_err("it succeeds").to_string();
    assert_eq!(error, "command `true` unexpectedly succeeded");
    Ok(())
}

pub(in super::super) async fn pipes_and_sequences_are_strict(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    machine.fail("false; true", Some(SOON)).await?;
    machine.fail("false | true", Some(SOON)).await?;
    machine.fail("echo $NO_SUCH_VARIABLE", Some(SOON)).await?;
    machine.succeed("false || true", Some(SOON)).await?;
    Ok(())
}

pub(in super::super) async fn time_passes_in_the_guest(stage: &Stage) -> TestResult {
    let machine = stage.up().await?;
    let uptime = async || -> TestResult<f64> {
        let text = stage.ask("cut -d' ' -f1 /proc/uptime").await?;
        Ok(text.trim().parse()?)
    };
    let before = uptime().await?;
    machine.sleep(Duration::from_millis(1500)).await?;
    let passed = uptime().await? - before;
    assert!(passed >= 1.4, "{passed} s");
    Ok(())
}
