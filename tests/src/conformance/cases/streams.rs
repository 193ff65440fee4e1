//! What goes into commands and what comes out of them.

use std::fs::File;
use std::io::{Read, Write, pipe};

use driver_core::guest::Command;

use super::super::Power;
use super::super::stage::{SOON, Stage};
use crate::TestResult;

pub(in super::super) async fn stdout_and_stderr_are_apart(stage: &Stage) -> TestResult {
    stage.up().await?;
    let output = stage.command("echo out; echo err >&2; echo out again; exit 5").await?;
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (5, &b"out\nout again\n"[..], &b"err\n"[..]));
    let output = stage.command("head -c 1000000 /dev/zero >&2").await?;
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 1_000_000));
    Ok(())
}

pub(in super::super) async fn bytes_come_back_as_they_are(stage: &Stage) -> TestResult {
    stage.up().await?;
    let output = stage.command(r"printf 'a\xff\xfe\0b\xc3'").await?;
    assert_eq!(output.stdout, b"a\xff\xfe\0b\xc3");
    assert_eq!(output.text(), "a\u{fffd}\u{fffd}\0b\u{fffd}");
    Ok(())
}

pub(in super::super) async fn large_output_is_complete(stage: &Stage) -> TestResult {
    stage.up().await?;
    let many = stage.many_bytes();
    let output = stage.command(&format!("head -c {many} /dev/zero; exit 4")).await?;
    assert_eq!((output.status, output.stdout.len()), (4, many));
    assert!(output.stdout.iter().all(|byte| *byte == 0));
    Ok(())
}

pub(in super::super) async fn long_scripts_run(stage: &Stage) -> TestResult {
    stage.up().await?;
    let long = "x".repeat(200_000);
    let output =
        stage.command(&format!("text='{long}'\necho ${{#text}}\ncat\nls /proc/self/fd | wc -l\nexit 4")).await?;
    let short = stage.ask("ls /proc/self/fd | wc -l").await?;
    assert_eq!((output.status, output.text()), (4, format!("200000\n{short}")));
    Ok(())
}

pub(in super::super) async fn nothing_is_read_without_stdin(stage: &Stage) -> TestResult {
    stage.up().await?;
    assert_eq!(stage.ask("cat | wc -c").await?, "0\n");
    Ok(())
}

pub(in super::super) async fn streams_can_be_descriptors(stage: &Stage) -> TestResult {
    stage.up().await?;
    let content = vec![b'x'; 300_000];
    let path = stage.directory("streams")?.join("input");
    File::create(&path)?.write_all(&content)?;
    let (mut reader, writer) = pipe()?;
    let mut command = Command::new("cat; echo aside >&2").timeout(Some(SOON));
    command.stdin = Some(File::open(&path)?.into());
    command.stdout = Some(writer.into());
    // Ends only when no copy of the pipe's other end is left.
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes)
    });
    let output = stage.guest()?.run(command).await?;
    let read = tokio::time::timeout(SOON, reading).await???;
    let aside = if stage.can(Power::StderrApart) { &b"aside\n"[..] } else { b"" };
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (0, &b""[..], aside));
    assert!(read == content, "{} bytes came back, not those {} that went in", read.len(), content.len());
    Ok(())
}
