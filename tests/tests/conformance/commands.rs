//! Commands: how they end, and that they do.

use std::time::Duration;

use driver_core::guest::Command;
use futures::future::try_join_all;
use tandem_tests::TestResult;
use tandem_tests::ground::{Ground, SOON};

pub(crate) async fn status_is_that_of_a_shell(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    for (script, status) in [("true", 0), ("exit 3", 3), ("kill -9 $$", 137), ("no-such-program", 127)] {
        assert_eq!(machine.run(script).await?.status, status, "{script}");
    }
    Ok(())
}

pub(crate) async fn timeout_ends_the_whole_process_group(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let script = "sleep 1000 & echo $! > child; sleep 1000 | sleep 1000";
    let command = Command::new(script).timeout(Some(Duration::from_millis(300)));
    let output = tokio::time::timeout(SOON, machine.guest.run(command)).await??;
    assert_eq!(output.status, 124);
    machine.until("! kill -0 $(cat child)").await
}

pub(crate) async fn timeout_ends_what_ignores_sigterm(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let command =
        Command::new("trap '' TERM; echo said; while :; do sleep 1000; done").timeout(Some(Duration::from_millis(300)));
    let output = tokio::time::timeout(SOON, machine.guest.run(command)).await??;
    assert_eq!((output.status, &*output.text()), (124, "said\n"));
    machine.until("! pgrep -x sleep").await
}

pub(crate) async fn commands_run_at_the_same_time(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    // Each waits for all the others.
    let script = |number| {
        format!("touch at-once-{number}; until set -- at-once-*; [ $# = 8 ]; do sleep 0.05; done; echo {number}")
    };
    let scripts: Vec<String> = (0..8).map(script).collect();
    let said = try_join_all(scripts.iter().map(|script| machine.ask(script))).await?;
    assert_eq!(said.concat(), "0\n1\n2\n3\n4\n5\n6\n7\n");
    Ok(())
}

pub(crate) async fn a_cancelled_command_is_gone_and_others_go_on(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let other = machine.ask("until [ -e go-on ]; do sleep 0.05; done; echo went on");
    let cancelled = async {
        let command = machine.guest.run(Command::new("echo $$ > cancelled; sleep 1000"));
        tokio::select! {
            _ = command => Err("nothing should have ended it".into()),
            started = machine.until("[ -s cancelled ]") => started,
        }?;
        machine.until("! kill -0 $(cat cancelled)").await?;
        machine.ask("touch go-on").await
    };
    let (said, cancelled) = tokio::join!(other, cancelled);
    cancelled?;
    assert_eq!(said?, "went on\n");
    Ok(())
}

pub(crate) async fn a_background_child_does_not_hold_its_command(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let said = machine.ask("sleep 1000 & echo $! > child; echo done").await?;
    assert_eq!(said, "done\n");
    machine.ask("kill -0 $(cat child)").await.map(drop)
}

pub(crate) async fn environment_is_that_of_roots_login(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    assert_eq!(machine.ask("echo $USER $HOME $OF_THE_MACHINE $(id -u)").await?, "root /root its own 0\n");
    machine.ask("[[ :$PATH: == *:/usr/bin:* ]] && [ -z \"${NOTIFY_SOCKET-}${TANDEM-}${CARGO-}\" ]").await?;
    machine.ask("echo 'export LATER=seen' > /etc/profile.d/later.sh").await?;
    assert_eq!(machine.ask("echo $LATER").await?, "seen\n");
    Ok(())
}

pub(crate) async fn commands_are_not_in_the_way_of_systemd(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    // They would be if they sat in the cgroups of its units, or if it could not see some process in its cgroups.
    let output = machine.run("sleep 1000 & systemctl status --no-pager; kill $!").await?;
    let status = output.text();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let (before, after) = status.split_once("init.scope").ok_or("it shows no processes")?;
    let commands = before.split_once("commands").ok_or_else(|| format!("commands have no cgroup: {status}"))?.1;
    assert!(commands.contains("sleep 1000") && !after.contains("sleep 1000"), "{status}");
    Ok(())
}
