//! Commands of the test: bash with root's environment, output captured, ended in time.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use driver_core::guest::{Command, Output};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::channel::{Channel, Running, Stale};
use crate::door::Profile;

/// How long output is still read after a command has ended, counted from the last of it: something that it left behind may hold the pipe.
const LINGER: Duration = Duration::from_millis(100);

/// How long a command's process group has between `SIGTERM` and `SIGKILL` once its time is up.
const GRACE: Duration = Duration::from_millis(500);

/// Status of a command whose time was up, as timeout(1) has it.
const TIMED_OUT: i32 = 124;

/// Status of a program that is not there.
pub(crate) const NO_SHELL: i32 = 127;

/// What a pipe holds (pipe(7), "Pipe capacity").
const PIPE: usize = 64 * 1024;

/// Scripts longer than this travel by descriptor: the kernel bounds one argument to 128 KiB (execve(2)).
const SCRIPT_MAX: usize = 96 * 1024;

/// What root's environment starts from before the profile is read.
const BASE: [&str; 5] = [
    "USER=root",
    "HOME=/root",
    "DISPLAY=:0.0",
    "LANG=C.UTF-8",
    "PATH=/run/wrappers/bin:/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
];

/// Starts programs with root's environment as a login would have it, and the machine's own variables.
#[derive(Debug)]
pub(crate) struct Shell {
    base: Vec<Vec<u8>>,
    own: Vec<Vec<u8>>,
    root: Mutex<Root>,
}

/// Root's environment and the profile that it was read from.
#[derive(Debug, Default)]
struct Root {
    profile: Profile,
    env: Vec<Vec<u8>>,
}

impl Shell {
    /// A shell whose programs also have these variables. `more` is what root's environment starts from beside the usual.
    pub(crate) fn new<'a>(more: &[&str], env: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let base = BASE.iter().chain(more).map(|text| text.as_bytes().to_vec()).collect();
        let own = env.into_iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect();
        // No file has this identity, so the profile is read at the first command.
        Self { base, own, root: Mutex::new(Root { profile: [u64::MAX; 4], env: Vec::new() }) }
    }

    /// Runs a command to its end or its timeout.
    pub(crate) async fn run(&self, channel: &Channel, command: Command) -> io::Result<Output> {
        let deadline = command.timeout.map(|timeout| Instant::now() + timeout);
        let mut fds = vec![command.stdin.map_or_else(|| File::open("/dev/null").map(OwnedFd::from), Ok)?];
        let stdout = match command.stdout {
            Some(stdout) => {
                fds.push(stdout);
                None
            }
            None => Some(captured(&mut fds)?),
        };
        let stderr = captured(&mut fds)?;
        let argv = bash(&command.script, &mut fds)?;
        let mut running = self.start(channel, argv, &fds).await?;
        // Our copies of the write ends would keep the pipes open.
        drop(fds);
        collect(&mut running, deadline, stdout, stderr).await
    }

    /// Starts a program with these descriptors as 0, 1, 2, ...
    pub(crate) async fn start(&self, channel: &Channel, argv: Vec<Vec<u8>>, fds: &[OwnedFd]) -> io::Result<Running> {
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        loop {
            let (profile, env) = {
                let root = self.root.lock().await;
                (root.profile, root.env.iter().chain(&self.own).cloned().collect())
            };
            match channel.start(argv.clone(), env, Some(profile), &borrowed).await? {
                Ok(running) => return Ok(running),
                Err(Stale(profile)) => {
                    let mut root = self.root.lock().await;
                    // Another command may have read it meanwhile.
                    if root.profile == profile {
                        continue;
                    }
                    if let Some(env) = read_profile(channel, &self.base).await? {
                        *root = Root { profile, env };
                        continue;
                    }
                    // An init may still be filling the root; whoever comes later reads it.
                    let env = self.base.iter().chain(&self.own).cloned().collect();
                    if let Ok(running) = channel.start(argv.clone(), env, None, &borrowed).await? {
                        return Ok(running);
                    }
                }
            }
        }
    }
}

/// Reads the machine's profile; none if there is no bash. A profile that fails or hangs leaves the environment as it is without.
async fn read_profile(channel: &Channel, base: &[Vec<u8>]) -> io::Result<Option<Vec<Vec<u8>>>> {
    // bash sets SHELL, and would look it up in the user database at each start if nobody handed it on.
    const READ: &str =
        "set +eu; exec 3>&1 >/dev/null; [ -r /etc/profile ] && . /etc/profile; export SHELL; exec env -0 >&3";
    let mut fds = vec![File::open("/dev/null")?.into()];
    let stdout = captured(&mut fds)?;
    let stderr = captured(&mut fds)?;
    let argv = bash(READ, &mut fds)?;
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let started = channel.start(argv, base.to_vec(), None, &borrowed).await?;
    drop(fds);
    let Ok(mut running) = started else { return Ok(Some(base.to_vec())) };
    let output = collect(&mut running, Some(Instant::now() + Duration::from_secs(10)), Some(stdout), stderr).await?;
    if output.status == NO_SHELL {
        return Ok(None);
    }
    // Variables of this one shell are nothing for the next.
    let passing: [&[u8]; 4] = [b"_=", b"SHLVL=", b"PWD=", b"OLDPWD="];
    let env: Vec<Vec<u8>> = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|text| text.contains(&b'=') && !passing.iter().any(|name| text.starts_with(name)))
        .map(<[u8]>::to_vec)
        .collect();
    Ok(Some(if output.status == 0 && !env.is_empty() { env } else { base.to_vec() }))
}

/// Waits for a command's end and collects what it says; once its time is up, ends its process group.
async fn collect(
    running: &mut Running,
    deadline: Option<Instant>,
    stdout: Option<pipe::Receiver>,
    stderr: pipe::Receiver,
) -> io::Result<Output> {
    let mut streams = [Stream::new(stdout), Stream::new(Some(stderr))];
    let mut timed_out = false;
    let mut limit = deadline;
    let status = loop {
        let [out, err] = &mut streams;
        tokio::select! {
            // Output first: what was said before the end is then all there.
            biased;
            () = out.more() => {}
            () = err.more() => {}
            status = running.ended() => break status?,
            () = reached(limit) => {
                running.signal(if timed_out { libc::SIGKILL } else { libc::SIGTERM });
                limit = Some(Instant::now() + GRACE);
                timed_out = true;
            }
        }
    };
    for stream in &mut streams {
        stream.rest().await;
    }
    let [out, err] = streams;
    Ok(Output { status: if timed_out { TIMED_OUT } else { status }, stdout: out.bytes, stderr: err.bytes })
}

async fn reached(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

/// One captured stream.
#[derive(Debug)]
struct Stream {
    /// None once it has ended.
    pipe: Option<pipe::Receiver>,
    bytes: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<pipe::Receiver>) -> Self {
        Self { pipe, bytes: Vec::new() }
    }

    /// Reads what there is; never returns once the stream has ended. Cancel-safe.
    async fn more(&mut self) {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        if self.bytes.capacity() - self.bytes.len() < PIPE / 4 {
            self.bytes.reserve(PIPE);
        }
        match pipe.read_buf(&mut self.bytes).await {
            Ok(length) if length > 0 => {}
            _ => self.pipe = None,
        }
    }

    /// Takes what is left, until the stream ends or stays silent.
    async fn rest(&mut self) {
        while self.pipe.is_some() {
            if timeout_at(Instant::now() + LINGER, self.more()).await.is_err() {
                break;
            }
        }
    }
}

/// Adds a pipe's write end to `fds` and reads the other.
fn captured(fds: &mut Vec<OwnedFd>) -> io::Result<pipe::Receiver> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    fds.push(write);
    pipe::Receiver::from_owned_fd(read)
}

/// The arguments that have bash run a script. A long one is read from descriptor 3.
fn bash(script: &str, fds: &mut Vec<OwnedFd>) -> io::Result<Vec<Vec<u8>>> {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    if script.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a command cannot contain a NUL character"));
    }
    if script.len() <= SCRIPT_MAX {
        return Ok(words(&["bash", "--norc", "-c", script]));
    }
    let mut file = File::from(rustix::fs::memfd_create(c"command", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(script.as_bytes())?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    fds.push(file.into());
    // `source` reads it whole before it runs the first line; the descriptor is closed for what the script starts.
    Ok(words(&["bash", "--norc", "-c", "IFS= read -rd '' -u 3 script || true; exec 3<&-; eval \"$script\""]))
}
