//! Containers without Tandem: systemd-nspawn, started by a short script.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tandem_tests::TestResult;
use tandem_tests::pen::Pen;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE, finish};

const SCRIPT: &str = include_str!("raw.sh");

/// Host uids that the raw containers' namespaces are charged to, above those that runs of Tandem take.
const FIRST_UID: usize = 2_000_000_000;

/// What Tandem writes into a container with the host's root.
const FILES: &str =
    "etc/hostname etc/hosts etc/machine-id etc/shadow etc/fstab etc/crypttab etc/resolv.conf etc/systemd/system";

/// What raw containers are made from.
pub(crate) struct Kit {
    script: PathBuf,
    files: PathBuf,
    directory: PathBuf,
}

impl Kit {
    /// Takes the files from a container of Tandem's, so that both boot the same.
    pub(crate) async fn new(bench: &Bench) -> TestResult<Self> {
        let run = bench.run(1).await?;
        let machine = &run.machines()[0];
        machine.succeed(&format!("tar -C / -cf /root/files.tar {FILES}"), Some(PATIENCE)).await?;
        machine.copy_from_machine("/root/files.tar", Path::new("")).await?;
        finish(run).await?;
        let directory = bench.directory().to_owned();
        let (script, files) = (directory.join("raw.sh"), directory.join("files.tar"));
        fs::write(&script, SCRIPT)?;
        Ok(Self { script, files, directory })
    }

    /// Prepares so many containers.
    pub(crate) async fn containers(&self, count: usize) -> TestResult<Vec<Raw>> {
        let mut containers = Vec::with_capacity(count);
        for number in 0..count {
            containers.push(Raw::prepare(self, number).await?);
        }
        Ok(containers)
    }
}

/// A container of which all is there but systemd-nspawn. Dropping it ends it.
pub(crate) struct Raw {
    process: Child,
    gate: ChildStdin,
    console: JoinHandle<()>,
    notify: UnixDatagram,
    pen: Pen,
}

impl Raw {
    async fn prepare(kit: &Kit, number: usize) -> TestResult<Self> {
        let (directory, socket) =
            (kit.directory.join(format!("raw-{number}")), kit.directory.join(format!("notify-{number}")));
        fs::create_dir_all(&directory)?;
        let _ = fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket)?;
        let pen = Pen::new()?;
        let mut command = std::process::Command::new("bash");
        command.arg(&kit.script).arg("prepare").args([&directory, &kit.files]).arg((FIRST_UID + number).to_string());
        command.env("NOTIFY_SOCKET", socket).env("SYSTEMD_NSPAWN_LOCK", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        pen.confine(&mut command)?;
        let mut process = Command::from(command).process_group(0).kill_on_drop(true).spawn()?;
        let gate = process.stdin.take().ok_or("no stdin")?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no stdout")?).lines();
        if lines.next_line().await?.as_deref() != Some("prepared") {
            let output = process.wait_with_output().await?;
            return Err(format!("no raw container: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let console = tokio::spawn(read(lines));
        Ok(Self { process, gate, console, notify, pen })
    }

    /// Starts systemd-nspawn.
    pub(crate) async fn go(&mut self) -> io::Result<()> {
        self.gate.write_all(b"\n").await
    }

    /// Returns once the container's systemd says that it is ready.
    pub(crate) async fn ready(&self) -> TestResult {
        let mut said = [0; 4096];
        let ready = async {
            loop {
                let length = self.notify.recv(&mut said).await?;
                if said[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                    return io::Result::Ok(());
                }
            }
        };
        Ok(timeout(PATIENCE, ready).await.map_err(|_| "a raw container does not become ready")??)
    }

    /// Kills the container, without waiting for its end.
    pub(crate) fn kill(&self) -> TestResult {
        let outer = self.process.id().ok_or("a raw container has ended by itself")?;
        // systemd-nspawn, the first process of the container's outer pid namespace.
        let inner = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
        let inner =
            inner.trim().parse().ok().and_then(rustix::process::Pid::from_raw).ok_or("it has no systemd-nspawn")?;
        Ok(rustix::process::kill_process(inner, rustix::process::Signal::KILL)?)
    }

    /// Returns once nothing is left of a killed container.
    pub(crate) async fn gone(mut self) -> TestResult {
        self.process.wait().await?;
        drop(self.pen);
        self.console.abort();
        Ok(())
    }
}

/// Reads a console as the driver does, or the container would wait for a reader.
async fn read(mut lines: Lines<BufReader<ChildStdout>>) {
    while let Ok(Some(_)) = lines.next_line().await {}
}
