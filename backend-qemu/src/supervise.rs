//! Watching over a VM: what its processes, its console, its shell and QEMU tell of it, put together to where it stands and how it ends.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use driver_core::event::Level;
use driver_core::guest::Exit;
use driver_core::life::Standing;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::channel::State;
use crate::guest::{LAST_WORDS, Shared};
use crate::qmp::Kind;
use crate::signs::Sign;

/// How long a kernel that panicked may take to say why.
const LAST_LINES: Duration = Duration::from_millis(500);

/// How long a shell has to show that a sign means nothing.
const PROOF: Duration = Duration::from_secs(2);

/// How often, and with which pauses, a guest that seems to be stuck has to show that: its shell may be about to be stopped.
const PROOFS: usize = 3;

/// How long a kernel that panicked may take to reboot, where that is allowed.
const REBOOT: Duration = Duration::from_secs(15);

/// How long a machine that cannot go on may take to end by itself.
const OWN_END: Duration = Duration::from_secs(2);

/// How long the last lines of one boot may still be on their way when the next begins.
const LATE_LINES: Duration = Duration::from_millis(100);

/// What of QEMU's own words is told when it dies.
const WORDS: usize = 5;

/// Longest line of that in bytes.
const LINE_MAX: u64 = 4096;

/// The processes of a VM.
pub(crate) struct Processes {
    pub(crate) qemu: Child,
    pub(crate) helpers: Vec<Child>,
}

/// What tells of a VM.
pub(crate) struct Signals {
    pub(crate) signs: mpsc::Receiver<Sign>,
    pub(crate) power: mpsc::Receiver<Kind>,
    /// Follows the console.
    pub(crate) lines: JoinHandle<()>,
    /// Ends with the last handle of the VM.
    pub(crate) handles: watch::Receiver<()>,
}

/// Sees a VM through all of its boots to its end.
pub(crate) async fn supervise(shared: Arc<Shared>, mut processes: Processes, signals: Signals) {
    let Signals { signs, power, lines, handles } = signals;
    let said = tokio::spawn(last_words(processes.qemu.stderr.take()));
    let mut watch = Watch {
        shared: shared.clone(),
        signs,
        power,
        doubt: Doubt::None,
        end: None,
        shutdown: None,
        forbids_reboots: false,
    };
    let exit = watch.see_through(&mut processes, handles).await;
    for helper in &mut processes.helpers {
        let _ = helper.kill().await;
    }
    let console = lines.abort_handle();
    let _ = timeout(LAST_WORDS, lines).await;
    console.abort();
    let said = timeout(LAST_WORDS, said).await.ok().and_then(Result::ok).unwrap_or_default();
    let exit = match exit {
        Exit::Died(why) if !said.is_empty() => Exit::Died(format!("{why}: {said}")),
        exit => exit,
    };
    shared.life.tell(Standing::Ended(exit));
}

struct Watch {
    shared: Arc<Shared>,
    signs: mpsc::Receiver<Sign>,
    power: mpsc::Receiver<Kind>,
    doubt: Doubt,
    /// When the machine is ended, and why.
    end: Option<(Instant, String)>,
    /// Why the machine is off, as QEMU told.
    shutdown: Option<String>,
    /// Once it takes commands again, its reboots are its end again.
    forbids_reboots: bool,
}

/// What is thought of a sign that the guest will not take commands any more.
enum Doubt {
    /// There was none.
    None,
    /// There was one; in the end it is true or not.
    Asking(Sign, BoxFuture<'static, bool>),
    /// It is true.
    Sure(Sign),
}

impl Doubt {
    fn sign(&self) -> Option<&Sign> {
        match self {
            Self::None => None,
            Self::Asking(sign, _) | Self::Sure(sign) => Some(sign),
        }
    }

    /// Returns once it is known whether the sign is true; never without a sign.
    async fn resolved(&mut self) -> bool {
        match self {
            Self::Asking(_, truth) => truth.await,
            Self::None | Self::Sure(_) => std::future::pending().await,
        }
    }
}

impl Watch {
    /// Returns once QEMU has ended, with what that means.
    async fn see_through(&mut self, processes: &mut Processes, mut handles: watch::Receiver<()>) -> Exit {
        let Processes { qemu, helpers } = processes;
        let mut helpers: FuturesUnordered<_> = helpers.iter_mut().map(beside).collect();
        let shared = self.shared.clone();
        let (mut shell, mut deadline) = (shared.channel.state(), shared.deadline.subscribe());
        let status = loop {
            let due = *deadline.borrow_and_update();
            let booting = shared.life.standing() == Standing::Booting;
            let end = self.end.as_ref().map_or(due, |(at, _)| *at);
            tokio::select! {
                biased;
                status = qemu.wait() => break status,
                () = shared.life.to_be_killed() => { let _ = qemu.start_kill(); break qemu.wait().await; }
                // Nobody can use the machine any more.
                _ = handles.changed() => shared.life.kill(),
                Some(sign) = self.signs.recv() => self.seen(sign, false),
                Some(kind) = self.power.recv() => self.told(kind).await,
                Ok(()) = shell.changed() => {
                    let state = shell.borrow_and_update().clone();
                    self.shell(&state).await;
                }
                truth = self.doubt.resolved() => self.resolved(truth),
                Some(words) = helpers.next(), if !helpers.is_empty() => self.end_after(LAST_WORDS, words),
                Ok(()) = deadline.changed() => {}
                () = sleep_until(end), if self.end.is_some() => { let _ = qemu.start_kill(); break qemu.wait().await; }
                () = sleep_until(due), if booting && self.end.is_none() => self.end_after(Duration::ZERO, self.late()),
            }
        };
        // What QEMU and the console told last is still on its way.
        let late = Instant::now() + LAST_WORDS;
        while let Ok(Some(kind)) = timeout_at(late, self.power.recv()).await {
            self.off(&kind);
        }
        while let Ok(Some(sign)) = timeout_at(late, self.signs.recv()).await {
            self.seen(sign, false);
        }
        match (status, &self.end) {
            _ if shared.life.is_to_be_killed() => Exit::Killed,
            (_, Some((at, why))) if *at <= Instant::now() => Exit::Died(why.clone()),
            (Ok(status), _) => exit(status, self.shutdown.as_deref(), self.doubt.sign()),
            (Err(error), _) => Exit::Died(format!("QEMU cannot be waited for: {error}")),
        }
    }

    /// A line of the console told something, or QEMU did, which is `proven`.
    fn seen(&mut self, sign: Sign, proven: bool) {
        let booting = self.shared.life.standing() == Standing::Booting;
        match &mut self.doubt {
            // QEMU was faster, but only the console tells why.
            Doubt::Asking(Sign::Panic(reason), _) if reason.is_empty() => {
                if let Sign::Panic(told) = sign {
                    *reason = told;
                }
            }
            Doubt::None if booting || !matches!(sign, Sign::NoRoot(_)) => {
                let truth = is_true(self.shared.clone(), sign.clone(), proven);
                self.doubt = Doubt::Asking(sign, Box::pin(truth));
            }
            _ => {}
        }
    }

    /// What a line told turned out to be so or not.
    fn resolved(&mut self, truth: bool) {
        let Doubt::Asking(sign, _) = std::mem::replace(&mut self.doubt, Doubt::None) else { return };
        if !truth {
            let text = format!("the console says so, but it still takes commands: {}", sign.told());
            self.shared.life.console().recorder().message(Level::Debug, text);
            return;
        }
        self.shared.life.tell(Standing::Lost(sign.told()));
        let stays = matches!(sign, Sign::Stuck(_)) || self.shared.may_reboot();
        if !stays {
            self.end_after(OWN_END, sign.told());
        }
        self.doubt = Doubt::Sure(sign);
    }

    /// QEMU told something.
    async fn told(&mut self, kind: Kind) {
        match kind {
            Kind::Reset { .. } => self.begins_anew().await,
            Kind::GuestPanicked => self.seen(Sign::Panic(String::new()), true),
            kind => self.off(&kind),
        }
    }

    fn off(&mut self, kind: &Kind) {
        if let Kind::Shutdown { reason, .. } = kind {
            self.shutdown = Some(reason.clone());
        }
    }

    /// The machine begins to boot again.
    async fn begins_anew(&mut self) {
        sleep(LATE_LINES).await;
        while let Ok(sign) = self.signs.try_recv() {
            self.seen(sign, false);
        }
        let shared = &self.shared;
        let asked = shared.rebooting.swap(false, Ordering::SeqCst);
        if let Some(sign @ Sign::Panic(_)) = self.doubt.sign()
            && !asked
            && !shared.request.allow_reboot
        {
            let why = sign.told();
            return self.end_after(Duration::ZERO, why);
        }
        (self.doubt, self.end) = (Doubt::None, None);
        // One that never gets to be ready has no more time for each of its attempts.
        if asked || shared.life.standing() != Standing::Booting {
            shared.deadline.send_replace(Instant::now() + shared.request.boot_timeout);
        }
        shared.channel.begin_anew();
        shared.life.tell(Standing::Booting);
        // Not yet: SeaBIOS resets the machine once more when it finds that it was not powered off (`tryReboot`).
        self.forbids_reboots |= asked;
    }

    /// The shell does something else.
    async fn shell(&mut self, state: &State) {
        // What it does on its way down is of no interest.
        if self.shared.rebooting.load(Ordering::SeqCst) {
            return;
        }
        match state {
            State::Awaited => {}
            State::There => {
                if std::mem::take(&mut self.forbids_reboots) {
                    self.shared.reboots_are_its_end().await;
                }
                self.doubt = Doubt::None;
                self.shared.life.tell(Standing::Ready);
            }
            State::Silent(time) => {
                let time = time.as_secs();
                let why = format!("it hangs, or its shell was killed: no answer for {time} s");
                self.shared.life.tell(Standing::Lost(why));
            }
            State::Gone => self.end_after(LAST_WORDS, "QEMU closed the connection to its shell".into()),
        }
    }

    fn late(&self) -> String {
        let limit = self.shared.request.boot_timeout.as_secs_f64();
        format!("it was not ready {limit} s after its start (`boot-timeout`)")
    }

    /// Ends the machine after some time, in which it may end by itself.
    fn end_after(&mut self, time: Duration, why: String) {
        self.end.get_or_insert((Instant::now() + time, why));
    }
}

impl Shared {
    /// Whether a reboot of the guest's is none of its ends.
    fn may_reboot(&self) -> bool {
        self.request.allow_reboot || self.rebooting.load(Ordering::SeqCst)
    }
}

/// Whether the guest is as the sign tells. A program may have printed that line; then the shell still answers.
async fn is_true(shared: Arc<Shared>, sign: Sign, proven: bool) -> bool {
    match sign {
        Sign::NoRoot(_) => {
            sleep(LAST_LINES).await;
            true
        }
        Sign::Panic(_) => {
            sleep(LAST_LINES).await;
            if !proven && shared.channel.answers(PROOF).await {
                return false;
            }
            if shared.may_reboot() {
                sleep(REBOOT).await;
            }
            true
        }
        Sign::Stuck(_) => {
            for _ in 0..PROOFS {
                if !shared.channel.answers(PROOF).await {
                    return true;
                }
                sleep(PROOF).await;
            }
            false
        }
    }
}

/// What QEMU's end means. `shutdown` is the reason that it told (QEMU's `ShutdownCause`), `sign` what the console told and nothing disproved.
fn exit(status: ExitStatus, shutdown: Option<&str>, sign: Option<&Sign>) -> Exit {
    let outside = |how: &str| Exit::Died(format!("something outside of the run ended QEMU ({how})"));
    match (shutdown, sign) {
        // A kernel that panicked reboots or stands still; it does not power off.
        (_, Some(sign @ Sign::NoRoot(_))) | (Some("guest-reset" | "guest-panic"), Some(sign @ Sign::Panic(_))) => {
            Exit::Died(sign.told())
        }
        (Some("guest-panic"), _) => Exit::Died(Sign::Panic(String::new()).told()),
        (Some("guest-shutdown" | "guest-reset" | "host-qmp-system-reset"), _) => Exit::PoweredOff,
        // The test did that by the monitor.
        (Some("host-qmp-quit"), _) => Exit::Killed,
        (Some("host-signal"), _) => outside("a signal"),
        (reason, _) => match (status.signal(), reason) {
            (Some(signal), _) => outside(&format!("signal {signal}")),
            (None, Some(reason)) => Exit::Died(format!("QEMU ended with {status} ({reason})")),
            (None, None) => Exit::Died(format!("QEMU ended with {status}")),
        },
    }
}

/// Waits for the end of a program that QEMU needs, and tells of it.
async fn beside(program: &mut Child) -> String {
    let said = last_words(program.stderr.take()).await;
    match program.wait().await {
        Ok(status) => format!("a program that QEMU needs ended with {status}: {said}"),
        Err(error) => format!("a program that QEMU needs cannot be waited for: {error}"),
    }
}

/// The last lines of a stream, once it has ended.
async fn last_words(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(stream) = stream else { return String::new() };
    let mut reader = BufReader::new(stream);
    let (mut lines, mut line) = (VecDeque::new(), Vec::new());
    loop {
        line.clear();
        match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if !text.is_empty() {
            lines.push_back(text);
        }
        if lines.len() > WORDS {
            lines.pop_front();
        }
    }
    lines.make_contiguous().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_for_an_end_are_told_apart() {
        let panic = Sign::Panic("oops".into());
        let no_root = Sign::NoRoot("no disk".into());
        let died = |why: &str| Exit::Died(why.into());
        // Statuses as wait(2) has them.
        for (status, shutdown, sign, expected) in [
            (0, Some("guest-shutdown"), None, Exit::PoweredOff),
            (0, Some("guest-reset"), None, Exit::PoweredOff),
            (0, Some("guest-reset"), Some(&panic), died("its kernel panicked: oops")),
            (0, Some("guest-panic"), Some(&panic), died("its kernel panicked: oops")),
            (0, Some("guest-panic"), None, died("its kernel panicked")),
            (0, Some("guest-shutdown"), Some(&panic), Exit::PoweredOff),
            (0, Some("guest-shutdown"), Some(&no_root), died("its root could not be set up: no disk")),
            (0, Some("guest-shutdown"), Some(&Sign::Stuck("it is stuck")), Exit::PoweredOff),
            (0, Some("host-qmp-quit"), None, Exit::Killed),
            (0, Some("host-signal"), None, died("something outside of the run ended QEMU (a signal)")),
            (9, None, None, died("something outside of the run ended QEMU (signal 9)")),
            (9, Some("guest-shutdown"), None, Exit::PoweredOff),
            (0x100, None, None, died("QEMU ended with exit status: 1")),
            (0, None, None, died("QEMU ended with exit status: 0")),
            (0, Some("host-error"), None, died("QEMU ended with exit status: 0 (host-error)")),
        ] {
            assert_eq!(exit(ExitStatus::from_raw(status), shutdown, sign), expected, "{status} {shutdown:?} {sign:?}");
        }
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let text = (0..9).fold(String::new(), |text, number| format!("{text}line {number}\n\n"));
        assert_eq!(last_words(Some(text.as_bytes())).await, "line 4 | line 5 | line 6 | line 7 | line 8");
        assert_eq!(last_words(None::<&[u8]>).await, "");
    }
}
