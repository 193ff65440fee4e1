//! Commands in a VM, through the root shell that reads its console `hvc0`.
//!
//! The shell is bash, started by upstream's backdoor service or by ours; it says a line when it is there. `script.rs` has what is said to it,
//! `wire.rs` what comes back. One command runs at a time. All waiting is on this side, and none of it is without an end: while a command is
//! silent, the shell is asked now and then whether it is still there.

mod error;
mod link;
mod running;
mod script;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

pub use error::ShellError;
use link::Link;
use running::{Courier, End, Ending, Progress, Running};
use wire::Piece;

/// What the service says when the shell is there.
const BANNER: &[u8] = b"Spawning backdoor root shell...";

/// Status of a command whose time was up, as timeout(1) has it.
const TIMED_OUT: i32 = 124;

/// How much of a command's input is sent at once.
const PORTION: usize = 256 * 1024;

/// How often a command is said to a shell that was started again before it could hear it.
const TRIES: u32 = 3;

/// Longer than anyone waits: thirty years.
const EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A silent shell is asked whether it is there after this time.
    pub asks: Duration,
    /// A shell that says nothing at all for this time, though it was asked, is given up.
    pub gives_up: Duration,
    /// How long output is still taken after a command has ended, counted from the last of it: something that it left behind may hold the pipe.
    pub lingers: Duration,
    /// How long a command's process group has between `SIGTERM` and `SIGKILL` once its time is up.
    pub grace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            asks: Duration::from_secs(5),
            gives_up: Duration::from_secs(60),
            lingers: Duration::from_millis(250),
            grace: Duration::from_secs(2),
        }
    }
}

/// A root shell in a guest.
///
/// A shell that somebody kills and the guest starts again is prepared again and goes on with the next command. After an error that
/// [is final](ShellError::is_final) no command can run until [`awake`](Shell::awake) returns. A call that is cancelled leaves its command
/// running in the guest until [`settle`](Shell::settle) or the next command ends it.
#[derive(Debug)]
pub struct Shell<S> {
    link: Link<S>,
    patience: Patience,
    commands: u64,
    pings: u64,
    /// The running command's output, as far as it may hold the mark of its end. That comes through a pipe, and so in parts.
    output: Vec<u8>,
    /// What a cancelled call may have left.
    unfinished: Option<Running>,
    /// Input in the guest that belongs to no command yet.
    spool: Spool,
    /// The shell at the other end is another than was prepared.
    stale: bool,
    /// The process groups of a command that the shell before has left behind.
    left: Option<(u32, u32)>,
    /// The end of what came outside of marks, in which a banner may have begun.
    tail: Vec<u8>,
    pulse: Arc<Pulse>,
}

/// Whether a shell lives, to be asked while it is in use.
#[derive(Debug, Default)]
pub struct Pulse {
    ask: Notify,
    answers: watch::Sender<u64>,
}

impl Pulse {
    /// Asks the shell and returns whether it answers within so long.
    pub async fn beats(&self, within: Duration) -> bool {
        let mut answers = self.answers.subscribe();
        answers.mark_unchanged();
        self.ask.notify_one();
        matches!(tokio::time::timeout(within, answers.changed()).await, Ok(Ok(())))
    }
}

/// A command to run.
pub struct Request<'a> {
    /// What bash runs.
    pub script: &'a str,
    /// Ends its process group after this time, with status 124.
    pub timeout: Option<Duration>,
    /// What it reads instead of nothing. It is read to its end before the command starts, and kept in a file in the guest until it is over.
    pub input: Option<&'a mut (dyn AsyncRead + Send + Unpin)>,
    /// Where its output goes.
    pub output: Sink<'a>,
}

/// Where a command's output goes.
pub enum Sink<'a> {
    /// Into [`Ended::stdout`]. A command that says more than so many bytes is ended, with an error.
    Capture(usize),
    /// To a writer, as it comes. Once that fails the command finds its pipe closed.
    Stream(&'a mut (dyn AsyncWrite + Send + Unpin)),
}

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit status as a shell would have it: 128 + n for signal n, 124 for the command's timeout.
    pub status: i32,
    /// Captured output.
    pub stdout: Vec<u8>,
}

/// Input that was sent ahead of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spool {
    Empty,
    /// The guest is taking a portion of it.
    Moving,
    Filled,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shell<S> {
    /// The host's end of a console on which no shell has come yet.
    pub fn new(stream: S, patience: Patience) -> io::Result<Self> {
        Ok(Self {
            link: Link::new(stream)?,
            patience,
            commands: 0,
            pings: 0,
            output: Vec::new(),
            unfinished: None,
            spool: Spool::Empty,
            stale: true,
            left: None,
            tail: Vec::new(),
            pulse: Arc::default(),
        })
    }

    /// Waits for the shell to come and prepares it. `stream` is the host's end of the console.
    pub async fn connect(stream: S, timeout: Duration, patience: Patience) -> Result<Self, ShellError> {
        let mut shell = Self::new(stream, patience)?;
        match timeout_at(Instant::now() + timeout, shell.come()).await {
            Ok(came) => came.map(|()| shell),
            Err(_elapsed) => Err(ShellError::NoShell { waited: timeout, last: shell.link.last_words() }),
        }
    }

    /// Waits for the shell to say that it is there, however long that takes, and prepares it.
    pub async fn come(&mut self) -> Result<(), ShellError> {
        while !self.link.skip_past(BANNER) {
            self.link.transfer(Instant::now() + EVER).await?;
        }
        self.prepare().await
    }

    /// The guest begins anew: all that is known of it is forgotten. The next call must be [`come`](Self::come).
    pub fn forget(&mut self) {
        self.link.clear();
        self.output.clear();
        self.tail.clear();
        (self.unfinished, self.left, self.spool, self.stale) = (None, None, Spool::Empty, true);
    }

    /// Asks whether the shell lives while it is in use: in [`run`](Self::run), [`settle`](Self::settle) and [`watch`](Self::watch).
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Looks at a shell that has nothing to do, and returns once another one came in its place; [`settle`](Self::settle) prepares that.
    /// Cancel-safe.
    pub async fn watch(&mut self) -> Result<(), ShellError> {
        while !self.stale {
            let pulse = self.pulse.clone();
            tokio::select! {
                piece = self.link.piece(Instant::now() + EVER) => match piece? {
                    Some(Piece::Mark(words)) => drop(self.answered(&words)),
                    Some(Piece::Data(data)) => self.stale = self.has_banner(&data),
                    None => {}
                },
                () = pulse.ask.notified() => self.ping(None),
            }
        }
        Ok(())
    }

    /// Waits until a shell that was silent says something after all.
    pub async fn awake(&mut self) -> Result<(), ShellError> {
        while self.link.piece(Instant::now() + EVER).await?.is_none() {}
        self.stale = true;
        Ok(())
    }

    /// Runs a command to its end or its timeout.
    pub async fn run(&mut self, mut request: Request<'_>) -> Result<Ended, ShellError> {
        let deadline = request.timeout.map(|timeout| Instant::now() + timeout);
        if request.script.contains('\0') {
            return Err(ShellError::HasNul);
        }
        self.settle().await?;
        self.commands += 1;
        let has_input = request.input.is_some();
        if let Some(input) = request.input.take()
            && !self.send_input(input, deadline).await?
        {
            return Ok(Ended { status: TIMED_OUT, stdout: Vec::new() });
        }
        let line = script::command(self.link.nonce(), self.commands, request.script, has_input);
        for _ in 0..TRIES {
            // What was asked about the command before says nothing of this one.
            self.pings += 1;
            self.link.say(&line);
            self.output.clear();
            self.spool = Spool::Empty;
            self.unfinished = Some(Running {
                id: self.commands,
                begun: None,
                end: End::Ahead,
                courier: Courier::Free,
                deadline,
                ending: Ending::None,
                next: deadline,
                over: None,
            });
            match self.collect(&mut request.output).await {
                Err(ShellError::Unheard) => self.prepare().await?,
                ended => return ended,
            }
        }
        Err(ShellError::Unheard)
    }

    /// Prepares a new shell, and ends what a cancelled call left running in the guest. Cancel-safe.
    pub async fn settle(&mut self) -> Result<(), ShellError> {
        if self.stale {
            self.prepare().await?;
        }
        if self.spool == Spool::Moving {
            match self.portion_taken().await {
                Ok(()) | Err(ShellError::NoRoom) => {}
                Err(ShellError::Lost) => self.prepare().await?,
                Err(error) => return Err(error),
            }
        }
        if self.spool != Spool::Empty {
            let line = script::forget_input(self.link.nonce(), self.commands);
            self.link.say(&line);
            self.spool = Spool::Empty;
        }
        if let Some(running) = &mut self.unfinished {
            if running.ending == Ending::None {
                running.next = Some(Instant::now());
            }
            loop {
                match self.progress().await {
                    Ok(Progress::Over(_)) => break,
                    Ok(_) => {}
                    // Its end is all that was wanted.
                    Err(ShellError::Lost | ShellError::Unheard) => return self.prepare().await,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Makes a shell that has just come ready for commands.
    async fn prepare(&mut self) -> Result<(), ShellError> {
        self.stale = true;
        let setup = script::setup(self.link.nonce(), self.left);
        self.link.ask(&setup);
        let until = Instant::now() + self.patience.gives_up;
        loop {
            match self.link.piece(until).await? {
                Some(Piece::Mark(words)) if words == "r" => break,
                Some(_) => {}
                None => return Err(ShellError::Silent(self.patience.gives_up)),
            }
        }
        (self.stale, self.left) = (false, None);
        self.tail.clear();
        Ok(())
    }

    /// Takes the running command's output until it is over.
    async fn collect(&mut self, sink: &mut Sink<'_>) -> Result<Ended, ShellError> {
        let mut stdout = Vec::new();
        let mut too_long = None;
        loop {
            match self.progress().await? {
                Progress::Quiet => {}
                Progress::Over(status) => {
                    return match too_long {
                        Some(limit) => Err(ShellError::TooLong(limit)),
                        None => Ok(Ended { status, stdout }),
                    };
                }
                Progress::Output(data) => match sink {
                    Sink::Capture(limit) if stdout.len() + data.len() > *limit => {
                        too_long = Some(*limit);
                        stdout = Vec::new();
                        self.end_now();
                    }
                    Sink::Capture(_) if too_long.is_none() => stdout.extend_from_slice(&data),
                    Sink::Capture(_) => {}
                    Sink::Stream(writer) => self.pass_on(*writer, &data).await,
                },
            }
        }
    }

    /// Gives output to a writer, until the command's deadline if that takes long. A writer that fails is a pipe that nobody reads any more.
    async fn pass_on(&mut self, writer: &mut (dyn AsyncWrite + Send + Unpin), data: &[u8]) {
        let Some(running) = &mut self.unfinished else { return };
        if running.courier == Courier::Dismissed {
            return;
        }
        let write = writer.write_all(data);
        let written = match running.deadline {
            Some(deadline) => timeout_at(deadline, write).await.unwrap_or(Ok(())),
            None => write.await,
        };
        if let (Err(_), Some((_, courier))) = (written, running.begun) {
            self.link.say(&script::dismiss(courier));
            running.courier = Courier::Dismissed;
        }
    }

    /// Has the running command ended at once.
    fn end_now(&mut self) {
        if let Some(running) = &mut self.unfinished
            && running.ending == Ending::None
        {
            running.next = Some(Instant::now());
        }
    }

    /// Waits for the next thing that the running command says or that is to be done about it.
    async fn progress(&mut self) -> Result<Progress, ShellError> {
        let Some(mut running) = self.unfinished else { return Ok(Progress::Over(0)) };
        if let Some(piece) = wire::take(&mut self.output, &script::within(self.link.nonce())) {
            let progress = running.output(piece);
            self.unfinished = Some(running);
            return Ok(progress);
        }
        if let Some(status) = running.over {
            // What looked like the beginning of a mark was none.
            let rest = std::mem::take(&mut self.output);
            if !rest.is_empty() && running.says() {
                return Ok(Progress::Output(rest));
            }
            self.unfinished = None;
            return Ok(Progress::Over(status));
        }
        let quiet_from = self.link.heard().max(self.link.asked());
        let mut until = quiet_from + self.patience.asks;
        if let Some(due) = running.seen_to(self.link.heard(), self.patience.lingers) {
            until = until.min(due);
        }
        if let Some(next) = running.next {
            until = until.min(next);
        }
        let pulse = self.pulse.clone();
        let piece = tokio::select! {
            piece = self.link.piece(until) => piece?,
            () = pulse.ask.notified() => {
                self.ping(running.begun);
                return Ok(Progress::Quiet);
            }
        };
        match piece {
            Some(Piece::Mark(words)) => {
                if let Err(error) = self.marked(&words, &mut running) {
                    (self.unfinished, self.left, self.stale) = (None, running.begun.or(self.left), true);
                    return Err(error);
                }
            }
            Some(Piece::Data(data)) => {
                // A command may say it, too.
                if self.has_banner(&data) {
                    self.ping(running.begun);
                }
                // What comes before it has begun is not the command's.
                if running.begun.is_some() {
                    self.output.extend_from_slice(&data);
                }
            }
            None => self.act(&mut running)?,
        }
        self.unfinished = Some(running);
        Ok(Progress::Quiet)
    }

    /// Asks whether the shell is there and, if a command runs, whether its wrapper is.
    fn ping(&mut self, begun: Option<(u32, u32)>) {
        self.pings += 1;
        let line = script::ping(self.link.nonce(), self.pings, begun.map(|(wrapper, _)| wrapper));
        self.link.ask_again(&line);
    }

    /// Understands the answer to a ping: whether what was asked about is there. None if it answers no ping, or one before the last.
    fn answered(&self, words: &str) -> Option<bool> {
        let mut words = words.strip_prefix("p ")?.split(' ');
        self.pulse.answers.send_modify(|answers| *answers += 1);
        let last = words.next()?.parse() == Ok(self.pings);
        last.then(|| words.next() == Some("0"))
    }

    /// Whether the banner of a new shell is in what came outside of marks; `data` is the next of it.
    fn has_banner(&mut self, data: &[u8]) -> bool {
        self.tail.extend_from_slice(data);
        let found = self.tail.windows(BANNER.len()).position(|there| there == BANNER);
        let keep = match found {
            Some(at) => at + BANNER.len(),
            None => self.tail.len().saturating_sub(BANNER.len() - 1),
        };
        self.tail.drain(..keep);
        found.is_some()
    }

    /// Understands a mark.
    fn marked(&mut self, words: &str, running: &mut Running) -> Result<(), ShellError> {
        // An answer that comes after its question is the last word on the wrapper, unless that has said more since.
        if self.answered(words) == Some(false) {
            return Err(if running.begun.is_some() { ShellError::Lost } else { ShellError::Unheard });
        }
        let words: Vec<&str> = words.split(' ').collect();
        let number = |word: &str| word.parse().unwrap_or(0);
        match words[..] {
            [id, ..] if id.parse() != Ok(running.id) => {}
            [_, "x"] => return Err(ShellError::Unheard),
            [_, "b", wrapper, courier] => {
                running.begun = Some((number(wrapper), number(courier)));
                if running.ending == Ending::Wanted {
                    running.next = Some(Instant::now());
                }
            }
            [id, "a"] => self.link.reply(&script::leave(number(id).into())),
            // Nothing can be done about a courier that is not known.
            [_, "o"] if running.begun.is_some() => running.reach(End::Told),
            [_, "e", status] => {
                let timed_out = running.ending != Ending::None;
                running.over = Some(if timed_out { TIMED_OUT } else { status.parse().unwrap_or(255) });
            }
            _ => {}
        }
        Ok(())
    }

    /// Does what is due about the running command.
    fn act(&mut self, running: &mut Running) -> Result<(), ShellError> {
        let now = Instant::now();
        if running.next.is_some_and(|next| next <= now) {
            match (running.begun, running.ending) {
                (None, _) => {
                    running.ending = Ending::Wanted;
                    running.next = None;
                }
                (Some((wrapper, _)), Ending::None | Ending::Wanted) => {
                    self.link.say(&script::terminate(wrapper));
                    running.ending = Ending::Terminated;
                    running.next = Some(now + self.patience.grace);
                }
                (Some((_, courier)), Ending::Terminated) if running.courier == Courier::Free => {
                    // It does not outlive the kill, and may hold the command's last words.
                    self.flush(running, courier);
                    running.next = Some(now + self.patience.grace);
                }
                (Some((wrapper, courier)), Ending::Terminated | Ending::Killed) => {
                    let line = script::kill(self.link.nonce(), running.id, wrapper, courier);
                    self.link.say(&line);
                    running.ending = Ending::Killed;
                    running.next = None;
                }
            }
        } else if let Some((_, courier)) = running.begun
            && running.seen_to(self.link.heard(), self.patience.lingers).is_some_and(|due| due <= now)
        {
            if running.end == End::Told {
                self.flush(running, courier);
            } else {
                self.link.say(&script::dismiss(courier));
                running.courier = Courier::Dismissed;
            }
        } else if now >= self.link.heard() + self.patience.gives_up && self.link.asked() > self.link.heard() {
            return Err(ShellError::Silent(self.patience.gives_up));
        } else {
            self.ping(running.begun);
        }
        Ok(())
    }

    /// Makes the courier send everything.
    fn flush(&mut self, running: &mut Running, courier: u32) {
        let line = script::flush(self.link.nonce(), running.id, courier);
        self.link.say(&line);
        running.courier = Courier::Flushed;
    }

    /// Sends a command's input to a file in the guest. False if its time was up before.
    async fn send_input(
        &mut self,
        input: &mut (dyn AsyncRead + Send + Unpin),
        deadline: Option<Instant>,
    ) -> Result<bool, ShellError> {
        let mut buffer = vec![0; PORTION];
        let mut first = true;
        loop {
            let read = input.read(&mut buffer);
            let length = match deadline {
                Some(deadline) => match timeout_at(deadline, read).await {
                    Ok(length) => length?,
                    Err(_) => return Ok(false),
                },
                None => read.await?,
            };
            if length == 0 && !first {
                return Ok(true);
            }
            let line = script::input(self.link.nonce(), self.commands, length, first);
            first = false;
            self.link.say(&line);
            self.link.send(&buffer[..length]);
            self.spool = Spool::Moving;
            self.portion_taken().await?;
        }
    }

    /// Waits until the guest has taken what was sent.
    async fn portion_taken(&mut self) -> Result<(), ShellError> {
        loop {
            let until = self.link.moved() + self.patience.gives_up;
            let Some(piece) = self.link.piece(until).await? else {
                return Err(ShellError::Silent(self.patience.gives_up));
            };
            match piece {
                Piece::Mark(words) => {
                    if let Some(status) = words.strip_prefix("c ") {
                        self.spool = Spool::Filled;
                        return if status == "0" { Ok(()) } else { Err(ShellError::NoRoom) };
                    }
                }
                // The new shell must not take the rest for commands.
                Piece::Data(data) if self.has_banner(&data) => {
                    self.link.unsay();
                    (self.stale, self.spool) = (true, Spool::Filled);
                    return Err(ShellError::Lost);
                }
                Piece::Data(_) => {}
            }
        }
    }
}
