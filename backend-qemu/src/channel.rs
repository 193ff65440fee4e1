//! The command channel of a VM: a task that holds the guest's shell and runs one command after the other, in the order in which they were asked
//! for.
//!
//! What a cancelled call leaves running is ended as soon as it is cancelled, and a shell that the guest starts again is prepared when it
//! comes, so that no later command pays for that.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driver_core::guest::{Command, Output};
use tokio::fs::File;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::shell::{Ended, Patience, Pulse, Request, Shell, ShellError, Sink};

/// Most that a captured command may say.
const OUTPUT_MAX: usize = 256 * 1024 * 1024;

/// How many commands wait for their turn before their callers are held back.
const QUEUED: usize = 16;

/// The host's end of a guest's shell. Dropping it closes the console.
#[derive(Debug)]
pub(crate) struct Channel {
    jobs: mpsc::Sender<Job>,
    boots: watch::Sender<u64>,
    state: watch::Receiver<State>,
    shells: Arc<AtomicU64>,
    pulse: Arc<Pulse>,
    _task: AbortOnDropHandle<()>,
}

/// What a guest's shell does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not come yet, since the start or the last [`Channel::begin_anew`].
    Awaited,
    /// It takes commands.
    There,
    /// It has not answered for so long.
    Silent(Duration),
    /// The console is gone, and no shell comes any more.
    Gone,
}

#[derive(Debug)]
struct Job {
    command: Command,
    reply: oneshot::Sender<Result<Output, ShellError>>,
}

impl Channel {
    /// Waits for a shell on `stream`, the host's end of its console, from now on.
    pub(crate) fn open(stream: UnixStream) -> io::Result<Self> {
        let shell = Shell::new(stream, Patience::default())?;
        let pulse = shell.pulse().clone();
        let (jobs, queue) = mpsc::channel(QUEUED);
        let (boots, boot) = watch::channel(0);
        let (tell, state) = watch::channel(State::Awaited);
        let shells = Arc::<AtomicU64>::default();
        let task = tokio::spawn(serve(shell, queue, boot, Tell { state: tell, shells: shells.clone() }));
        Ok(Self { jobs, boots, state, shells, pulse, _task: AbortOnDropHandle::new(task) })
    }

    /// Runs a command when its turn has come. None if the guest began anew before it was over. A call that is dropped has its command ended.
    pub(crate) async fn run(&self, command: Command) -> Option<Result<Output, ShellError>> {
        let (reply, output) = oneshot::channel();
        self.jobs.send(Job { command, reply }).await.ok()?;
        output.await.ok()
    }

    /// The guest boots again: what is under way fails, and a new shell is waited for.
    pub(crate) fn begin_anew(&self) {
        self.boots.send_modify(|boot| *boot += 1);
    }

    /// What the shell does, as it changes.
    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// How many shells have come since the start.
    pub(crate) fn shells(&self) -> u64 {
        self.shells.load(Ordering::Relaxed)
    }

    /// Whether the shell answers within so long, also while a command runs.
    pub(crate) async fn answers(&self, within: Duration) -> bool {
        *self.state.borrow() == State::There && self.pulse.beats(within).await
    }
}

/// How others learn what the shell does.
struct Tell {
    state: watch::Sender<State>,
    shells: Arc<AtomicU64>,
}

impl Tell {
    /// A new shell takes commands.
    fn there(&self) {
        self.shells.fetch_add(1, Ordering::Relaxed);
        self.state.send_replace(State::There);
    }
}

async fn serve(
    mut shell: Shell<UnixStream>,
    mut queue: mpsc::Receiver<Job>,
    mut boots: watch::Receiver<u64>,
    tell: Tell,
) {
    loop {
        tokio::select! {
            biased;
            begun = boots.changed() => {
                if begun.is_err() {
                    return;
                }
            }
            error = one_boot(&mut shell, &mut queue, &tell) => {
                tracing::debug!(%error, "the shell's console is gone");
                tell.state.send_replace(State::Gone);
                return;
            }
        }
        // What waits for its turn was meant for the boot that is over.
        while queue.try_recv().is_ok() {}
        shell.forget();
        tell.state.send_replace(State::Awaited);
    }
}

/// Runs commands from the shell's coming to the console's end.
async fn one_boot(shell: &mut Shell<UnixStream>, queue: &mut mpsc::Receiver<Job>, tell: &Tell) -> ShellError {
    let mut outcome = shell.come().await;
    loop {
        match outcome {
            Ok(()) => outcome = work(shell, queue, tell).await,
            Err(ShellError::Silent(time)) => {
                tell.state.send_replace(State::Silent(time));
                outcome = match shell.awake().await {
                    Ok(()) => shell.settle().await,
                    Err(error) => Err(error),
                };
            }
            Err(error) => return error,
        }
    }
}

/// Runs commands until the shell is of no more use.
async fn work(shell: &mut Shell<UnixStream>, queue: &mut mpsc::Receiver<Job>, tell: &Tell) -> Result<(), ShellError> {
    tell.there();
    loop {
        // What a cancelled command left is ended now.
        shell.settle().await?;
        let job = tokio::select! {
            came = shell.watch() => {
                came?;
                shell.settle().await?;
                tell.there();
                continue;
            }
            job = queue.recv() => job,
        };
        // Without callers the whole task is about to end.
        let Some(Job { command, mut reply }) = job else { return Err(ShellError::Closed) };
        let result = tokio::select! {
            biased;
            () = reply.closed() => continue,
            result = execute(shell, command) => result,
        };
        let end = match &result {
            Err(ShellError::Silent(time)) => Err(ShellError::Silent(*time)),
            Err(error) if error.is_final() => Err(ShellError::Closed),
            _ => Ok(()),
        };
        let _ = reply.send(result);
        end?;
    }
}

/// Runs a command. Its descriptors are closed when this returns.
async fn execute(shell: &mut Shell<UnixStream>, command: Command) -> Result<Output, ShellError> {
    let mut input = command.stdin.map(|fd| File::from_std(fd.into()));
    let mut output = command.stdout.map(|fd| File::from_std(fd.into()));
    let request = Request {
        script: &command.script,
        timeout: command.timeout,
        input: input.as_mut().map(|file| file as _),
        output: match &mut output {
            Some(file) => Sink::Stream(file),
            None => Sink::Capture(OUTPUT_MAX),
        },
    };
    let Ended { status, stdout } = shell.run(request).await?;
    Ok(Output { status, stdout, stderr: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command as Program, Stdio};

    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A channel to a bash of this host's, whose script says the banner before it runs.
    fn channel(script: &str) -> (Channel, Child) {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let input = OwnedFd::from(theirs.try_clone().unwrap());
        let mut sh = Program::new("sh");
        sh.args(["-c", script]).stdin(Stdio::from(input)).stdout(Stdio::from(OwnedFd::from(theirs)));
        let child = sh.stderr(Stdio::null()).spawn().unwrap();
        (Channel::open(UnixStream::from_std(ours).unwrap()).unwrap(), child)
    }

    const ONE: &str = "echo 'Spawning backdoor root shell...'; exec bash --norc";

    async fn there(channel: &Channel) {
        let mut state = channel.state();
        timeout(LONG, state.wait_for(|state| *state == State::There)).await.unwrap().unwrap();
    }

    fn end(mut child: Child) {
        let _ = child.kill();
        let _ = child.wait();
    }

    #[tokio::test]
    async fn commands_run_in_the_order_in_which_they_were_asked_for() {
        let (channel, child) = channel(ONE);
        there(&channel).await;
        let log = tempfile::NamedTempFile::new().unwrap();
        let path = log.path().display();
        let scripts: Vec<String> = (0..5).map(|number| format!("sleep 0.1; echo {number} >>{path}")).collect();
        let runs = scripts.iter().map(|script| channel.run(Command::new(script)));
        timeout(LONG, futures::future::join_all(runs)).await.unwrap();
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "0\n1\n2\n3\n4\n");
        end(child);
    }

    #[tokio::test]
    async fn a_cancelled_command_is_ended_though_no_other_follows() {
        let (channel, child) = channel(ONE);
        there(&channel).await;
        let mark = tempfile::NamedTempFile::new().unwrap();
        let script = format!("echo $BASHPID >{}; exec sleep 1000", mark.path().display());
        let pid = || std::fs::read_to_string(mark.path()).unwrap().trim().to_owned();
        let begun = async {
            while pid().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            ended = channel.run(Command::new(script)) => panic!("{ended:?}"),
            () = begun => {}
        }
        let gone = async {
            while std::path::Path::new("/proc").join(pid()).exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LONG, gone).await.unwrap();
        end(child);
    }

    #[tokio::test]
    async fn a_boot_that_ends_takes_its_commands_along() {
        let (channel, child) = channel(ONE);
        there(&channel).await;
        assert!(channel.answers(LONG).await);
        let (one, two) = (channel.run(Command::new("sleep 1000")), channel.run(Command::new("true")));
        let anew = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            channel.begin_anew();
        };
        let (one, two, ()) = timeout(LONG, async { tokio::join!(one, two, anew) }).await.unwrap();
        assert!(one.is_none() && two.is_none());
        assert_eq!(*channel.state().borrow(), State::Awaited);
        assert!(!channel.answers(LONG).await);
        end(child);
    }

    #[tokio::test]
    async fn a_console_that_is_closed_is_told() {
        let (channel, child) = channel(ONE);
        there(&channel).await;
        let mut state = channel.state();
        end(child);
        timeout(LONG, state.wait_for(|state| *state == State::Gone)).await.unwrap().unwrap();
        assert!(channel.run(Command::new("true")).await.is_none());
    }
}
