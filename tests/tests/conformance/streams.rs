//! What goes into commands and what comes out of them.

use std::fs::File;
use std::io::{Read, Write, pipe};

use driver_core::guest::Command;
use tandem_tests::TestResult;
use tandem_tests::ground::{Ground, SOON};

pub(crate) async fn stdout_and_stderr_are_apart(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    assert!(machine.guest.channel().stderr_apart);
    let output = machine.run("echo out; echo err >&2; echo out again; exit 5").await?;
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (5, &b"out\nout again\n"[..], &b"err\n"[..]));
    Ok(())
}

pub(crate) async fn bytes_come_back_as_they_are(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let output = machine.run(r"printf 'a\xff\xfe\0b\xc3'").await?;
    assert_eq!(output.stdout, b"a\xff\xfe\0b\xc3");
    assert_eq!(output.text(), "a\u{fffd}\u{fffd}\0b\u{fffd}");
    Ok(())
}

pub(crate) async fn large_output_is_complete(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let output = machine.run("head -c 10000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait").await?;
    assert_eq!((output.status, output.stdout.len(), output.stderr.len()), (0, 10_000_000, 1_000_000));
    Ok(())
}

pub(crate) async fn long_scripts_run(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let long = "x".repeat(200_000);
    let output = machine.run(&format!("text='{long}'\necho ${{#text}}\ncat\nls /proc/self/fd | wc -l\nexit 4")).await?;
    let short = machine.ask("ls /proc/self/fd | wc -l").await?;
    assert_eq!((output.status, output.text()), (4, format!("200000\n{short}")));
    Ok(())
}

pub(crate) async fn nothing_is_read_without_stdin(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    assert_eq!(machine.ask("cat | wc -c").await?, "0\n");
    Ok(())
}

pub(crate) async fn streams_can_be_descriptors(ground: &Ground) -> TestResult {
    let machine = ground.boot().await?;
    let content = vec![b'x'; 300_000];
    let path = ground.directory().join("input");
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
    let output = machine.guest.run(command).await?;
    let read = tokio::time::timeout(SOON, reading).await???;
    assert_eq!((output.status, &*output.stdout, &*output.stderr), (0, &b""[..], &b"aside\n"[..]));
    assert_eq!(read, content);
    Ok(())
}
