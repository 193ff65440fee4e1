//! VMs without Tandem: the QEMU and the virtiofsd that it started, started once more with the same arguments, and a reader as simple as
//! upstream's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream as Socket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use driver_core::run::{Run, within};
use tandem_tests::TestResult;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bench::Bench;

/// What a command is given at most. Upstream gives `execute` as much.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(900);

/// How long a guest may take to boot or to say anything: as long as Tandem gives it.
const BOOT: Duration = Duration::from_secs(300);

/// How much of the console an error shows, in bytes.
const LAST: usize = 4096;

/// What the guest's service says when its shell is there.
const BANNER: &str = "Spawning backdoor root shell...\n";

/// What the driver's QEMU and virtiofsd of one machine were started with.
#[derive(Clone)]
pub(crate) struct Recipe {
    qemu: Program,
    /// In the order of QEMU's shares.
    virtiofsds: Vec<Program>,
    /// Files that QEMU has by descriptor, each with the argument that names it.
    files: Vec<(String, Arc<File>)>,
}

/// How QEMU is told of a file that it has by descriptor.
const BY_DESCRIPTOR: &str = "/proc/self/fd/";

#[derive(Clone)]
struct Program {
    /// Its directory in /proc.
    process: PathBuf,
    words: Vec<String>,
    /// Where it began, and where paths in its arguments begin.
    directory: PathBuf,
}

impl Recipe {
    /// Looks at the only VM of a run, which must run.
    pub(crate) fn of(run: &Run) -> TestResult<Self> {
        let own = run.directory();
        let its = |words: &[String], directory: &Path| {
            directory.starts_with(own) || words.iter().skip(1).any(|word| word.contains(&*own.to_string_lossy()))
        };
        let mut processes = Vec::new();
        let mut numbers: Vec<u32> =
            fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        // The driver starts what shows a share in the order of the shares.
        numbers.sort_unstable();
        for number in numbers {
            let process = Path::new("/proc").join(number.to_string());
            // Whatever has ended meanwhile, and what is no process.
            let Ok(line) = fs::read_to_string(process.join("cmdline")) else { continue };
            let Ok(directory) = fs::read_link(process.join("cwd")) else { continue };
            let words: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
            if its(&words, &directory) {
                processes.push(Program { process, words, directory });
            }
        }
        let called = |name: &'static str| {
            processes.iter().filter(move |program| {
                let file = program.words.first().and_then(|path| Path::new(path).file_name());
                file.is_some_and(|file| file.to_string_lossy().starts_with(name))
            })
        };
        let qemu = called("qemu-system-").next().cloned().ok_or("the run has no QEMU")?;
        let virtiofsds: Vec<Program> = called("virtiofsd").cloned().collect();
        let mut files = Vec::new();
        for word in &qemu.words {
            if let Some(number) = word.strip_prefix(BY_DESCRIPTOR) {
                files.push((word.clone(), Arc::new(File::open(qemu.process.join("fd").join(number))?)));
            }
        }
        Ok(Self { qemu, virtiofsds, files })
    }

    /// Empties the disks that an earlier boot wrote to, as they were before it.
    pub(crate) async fn empty_disks(&self, run: &Run) -> TestResult {
        let value =
            |words: &str, key: &str| words.split(',').find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        let disks: Vec<String> = self.qemu.words.iter().filter_map(|words| value(words, "file=")).collect();
        let disks: Vec<PathBuf> = disks.iter().map(|disk| self.qemu.directory.join(disk)).collect();
        within(run.init(), move || disks.iter().try_for_each(|disk| empty(disk))).await?;
        Ok(())
    }

    /// Starts virtiofsd and QEMU where the driver had them.
    pub(crate) async fn boot(&self, bench: &Bench, run: &Run) -> TestResult<RawVm> {
        let log = bench.directory().join("raw-vm.log");
        let (recipe, said) = (self.clone(), File::create(&log)?);
        let its = said.try_clone()?;
        let Processes { virtiofsds, qemu, sockets } = within(run.init(), move || recipe.spawn(&its)).await?;
        let (mut shell, mut others) = (None, Vec::new());
        for (words, socket) in sockets {
            socket.set_nonblocking(true)?;
            let socket = UnixStream::from_std(socket)?;
            if words.contains("id=shell") {
                shell = Some(socket);
            } else {
                others.push(tokio::spawn(drain(socket, said.try_clone()?)));
            }
        }
        let shell = shell.ok_or("QEMU has no shell's socket")?;
        let mut vm = RawVm { qemu, virtiofsds, shell, others, log };
        vm.read_until(|said| String::from_utf8_lossy(said).contains(BANNER)).await?;
        Ok(vm)
    }

    fn spawn(&self, said: &File) -> io::Result<Processes> {
        let (mut sockets, mut inherited) = (Vec::new(), Vec::new());
        let mut qemu = Vec::new();
        for words in &self.qemu.words {
            if let Some((_, file)) = self.files.iter().find(|(word, _)| word == words) {
                inherited.push(inheritable(file.try_clone()?.into())?);
                qemu.push(format!("{BY_DESCRIPTOR}{}", inherited[inherited.len() - 1].as_raw_fd()));
                continue;
            }
            qemu.push(match words.strip_prefix("socket,").and_then(|options| options.split_once("fd=")) {
                None => words.clone(),
                Some((options, _)) => {
                    let (ours, theirs) = Socket::pair()?;
                    let theirs = inheritable(theirs.into())?;
                    sockets.push((options.to_owned(), ours));
                    inherited.push(theirs);
                    format!("socket,{options}fd={}", inherited[inherited.len() - 1].as_raw_fd())
                }
            });
        }
        let start = |words: &[String], directory: &Path| {
            let mut command = Command::new(&words[0]);
            command
                .current_dir(directory)
                .args(&words[1..])
                .stdin(Stdio::null())
                .stdout(said.try_clone()?)
                .stderr(said.try_clone()?);
            command.process_group(0).kill_on_drop(true).spawn()
        };
        let shares = qemu.iter().filter_map(|words| words.strip_prefix("socket,")?.split_once("path="));
        let mut virtiofsds = Vec::new();
        for ((_, share), virtiofsd) in shares.zip(&self.virtiofsds) {
            let listener = listen(&self.qemu.directory.join(share))?;
            let word = |word: &String| match word.strip_prefix("--fd=") {
                Some(_) => format!("--fd={}", listener.as_raw_fd()),
                None => word.clone(),
            };
            let words: Vec<String> = virtiofsd.words.iter().map(word).collect();
            virtiofsds.push(start(&words, &virtiofsd.directory)?);
        }
        Ok(Processes { virtiofsds, qemu: start(&qemu, &self.qemu.directory)?, sockets })
    }
}

struct Processes {
    virtiofsds: Vec<Child>,
    qemu: Child,
    /// The other ends of the sockets that QEMU has, each with the options that name it.
    sockets: Vec<(String, Socket)>,
}

/// Makes an empty file system as large as the file was.
fn empty(disk: &Path) -> io::Result<()> {
    let size = fs::metadata(disk)?.len();
    File::create(disk)?.set_len(size)?;
    let made = std::process::Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(disk).status()?;
    if made.success() { Ok(()) } else { Err(io::Error::other(format!("mke2fs {}: {made}", disk.display()))) }
}

fn listen(path: &Path) -> io::Result<OwnedFd> {
    let _ = fs::remove_file(path);
    inheritable(UnixListener::bind(path)?.into())
}

/// The same descriptor as one that programs inherit, which the standard library's are not.
fn inheritable(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::dup(descriptor)?)
}

/// A VM that runs. Dropping it ends it.
pub(crate) struct RawVm {
    qemu: Child,
    virtiofsds: Vec<Child>,
    /// The guest's hvc0.
    shell: UnixStream,
    /// Readers of the serial console and of QMP.
    others: Vec<JoinHandle<()>>,
    /// What these and QEMU said.
    log: PathBuf,
}

impl RawVm {
    /// Runs a command as upstream does, and returns its status.
    pub(crate) async fn execute(&mut self, command: &str) -> TestResult<i32> {
        let line = format!(
            "timeout {:?} bash -c 'set -euo pipefail; {command}' | (base64 -w 0; echo)\n",
            TIMEOUT.as_secs_f64()
        );
        self.shell.write_all(line.as_bytes()).await?;
        self.read_until(|said| said.ends_with(b"\n")).await?;
        self.shell.write_all(b"echo ${PIPESTATUS[0]}\n").await?;
        let status = self.read_until(|said| said.ends_with(b"\n")).await?;
        Ok(String::from_utf8(status)?.trim().parse()?)
    }

    /// Kills it and returns once it is gone.
    pub(crate) async fn end(mut self) -> TestResult {
        self.qemu.kill().await?;
        for mut virtiofsd in self.virtiofsds {
            virtiofsd.kill().await?;
        }
        for other in self.others {
            other.await?;
        }
        Ok(())
    }

    async fn read_until(&mut self, done: impl Fn(&[u8]) -> bool) -> TestResult<Vec<u8>> {
        let mut said = Vec::new();
        let read = async {
            while !done(&said) {
                if self.shell.read_buf(&mut said).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        match timeout(BOOT, read).await.map_err(io::Error::from).flatten() {
            Ok(()) => Ok(said),
            Err(error) => {
                let log = fs::read(&self.log)?;
                let log = String::from_utf8_lossy(&log[log.len().saturating_sub(LAST)..]);
                Err(format!(
                    "a raw VM: {error}; its shell said {:?}; its console and QEMU, at last: {log}",
                    String::from_utf8_lossy(&said)
                )
                .into())
            }
        }
    }
}

/// Reads to the end, or QEMU would wait for a reader.
async fn drain(mut socket: UnixStream, mut log: File) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = socket.read(&mut buffer).await {
        let _ = log.write_all(&buffer[..length]);
    }
}
