//! What ends the program from outside: Ctrl-C and SIGTERM.

use std::io;
use std::pin::pin;

use driver_core::event::{Kind, Level, Outcome, Recorder};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Status;
use crate::output::say;

/// The signals that ask for an end. From its creation on they no longer kill the process.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// The status that the first signal asked for.
    asked: Option<Status>,
}

impl Stop {
    pub(crate) fn listen() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, asked: None })
    }

    /// The status that the first signal asked for, if there was one.
    pub(crate) fn asked(&self) -> Option<Status> {
        self.asked
    }

    /// Waits for a signal and tells the user what it does. The second one ends the process. No signal is lost when the call is cancelled.
    pub(crate) async fn signal(&mut self, recorder: &Recorder) -> Status {
        let (status, word) = tokio::select! {
            Some(()) = self.interrupt.recv() => (Status::Interrupted, "interrupted"),
            Some(()) = self.terminate.recv() => (Status::Terminated, "terminated"),
            else => std::future::pending().await,
        };
        if self.asked.is_some() {
            leave(status, recorder);
        }
        self.asked = Some(status);
        let text = format!("{word}: stopping machines, press Ctrl-C again to leave at once");
        recorder.message(Level::Warning, text);
        status
    }

    /// Waits for work that must not be cancelled, whatever signal comes.
    pub(crate) async fn outlast<T>(&mut self, work: impl Future<Output = T>, recorder: &Recorder) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = self.signal(recorder) => {}
            }
        }
    }
}

/// Ends the process without an end of the run: what is left of it is removed as after any death of the driver.
#[expect(clippy::exit, reason = "returning would wait for what the user does not want to wait for")]
fn leave(status: Status, recorder: &Recorder) -> ! {
    let elapsed = recorder.elapsed().as_secs_f64();
    recorder.record(Kind::RunFinished { outcome: Outcome::Interrupted, elapsed });
    say("left at once: what the test started is being removed in the background");
    std::process::exit(status.code().into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use driver_core::event::{Event, Sink};
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;

    /// Hands on the text of messages.
    struct Messages(Sender<String>);

    impl Sink for Messages {
        fn event(&mut self, event: &Event) {
            if let Kind::Message { text, .. } = &event.kind {
                self.0.send(text.clone()).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn the_first_signal_is_told_and_lets_work_come_to_its_end() {
        let (sender, messages) = channel();
        let recorder = Recorder::new(vec![Box::new(Messages(sender))]);
        let mut stop = Stop::listen().unwrap();
        assert_eq!(stop.asked(), None);
        kill_process(getpid(), Number::TERM).unwrap();

        // Ends only once the signal was told, which is while it is awaited.
        let work = async {
            loop {
                match messages.try_recv() {
                    Ok(message) => return message,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let message = stop.outlast(work, &recorder).await;
        assert_eq!(message, "terminated: stopping machines, press Ctrl-C again to leave at once");
        assert_eq!(stop.asked(), Some(Status::Terminated));
    }
}
