//! What is known of the command that runs, and when something is to be done about it.

use std::time::Duration;

use tokio::time::Instant;

use super::wire::Piece;

/// A command in the guest, from the line that starts it to its last mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    /// Once it has begun, the pids of its wrapper and its courier.
    pub(super) begun: Option<(u32, u32)>,
    pub(super) end: End,
    /// What was done about a courier that had not ended with its command.
    pub(super) courier: Courier,
    pub(super) deadline: Option<Instant>,
    pub(super) ending: Ending,
    /// When the ending takes its next step.
    pub(super) next: Option<Instant>,
    /// Its status, once all has come that will.
    pub(super) over: Option<i32>,
}

/// How much is known of a command's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It runs.
    Ahead,
    /// It has ended, and some of its output may be on its way.
    Told,
    /// All of its output is here, since then.
    Reached(Instant),
}

/// What was done about a courier that goes on after its command's end, because something else holds the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Courier {
    Free,
    /// It was made to send what it held back, and then filling.
    Flushed,
    Dismissed,
}

/// How far a command's forced end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    None,
    /// `SIGTERM` was sent, or will be once the wrapper's pid is known.
    Wanted,
    Terminated,
    Killed,
}

/// What happened to a running command.
pub(super) enum Progress {
    Output(Vec<u8>),
    Over(i32),
    Quiet,
}

impl Running {
    /// When a courier that is still about must be seen to. `heard` is when it said something last.
    pub(super) fn seen_to(&self, heard: Instant, lingers: Duration) -> Option<Instant> {
        match (self.end, self.courier) {
            (End::Ahead, _) | (_, Courier::Dismissed) | (End::Told, Courier::Flushed) => None,
            (End::Told, Courier::Free) => Some(heard + lingers),
            // It may go on as long as it likes to; this is not waited for.
            (End::Reached(at), _) => Some((heard + lingers).min(at + 4 * lingers)),
        }
    }

    /// Understands a piece of what came by the pipe.
    pub(super) fn output(&mut self, piece: Piece) -> Progress {
        match piece {
            Piece::Data(data) if self.says() => return Progress::Output(data),
            Piece::Mark(id) if id.parse() == Ok(self.id) => self.reach(End::Reached(Instant::now())),
            _ => {}
        }
        Progress::Quiet
    }

    /// Whether what comes by the pipe is the command's, and not the filling that follows its end.
    pub(super) fn says(&self) -> bool {
        !(self.courier == Courier::Flushed && matches!(self.end, End::Reached(_)))
    }

    pub(super) fn reach(&mut self, end: End) {
        if !matches!(self.end, End::Reached(_)) {
            self.end = end;
        }
        match self.ending {
            // Its time cannot run out any more.
            Ending::None => self.next = None,
            // Of its output nothing more is to come.
            Ending::Terminated if self.courier == Courier::Flushed && end != End::Told => {
                self.next = Some(Instant::now());
            }
            _ => {}
        }
    }
}
