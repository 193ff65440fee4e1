//! Waiting for a condition that nothing announces: look, pause, look again, until a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Error;

/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_millis(75);
/// What the last look, made when time is up, may still take.
const LAST: Duration = Duration::from_secs(1);

/// A wait of one machine with a deadline.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    machine: &'a str,
    what: &'a str,
    timeout: Duration,
    began: Instant,
}

/// What a look is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// How long it may take.
    pub(crate) limit: Duration,
    /// Time is up: nothing comes after it.
    pub(crate) last: bool,
}

/// What a look found.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// The condition holds.
    Holds(T),
    /// It does not; what was seen instead, in a few words, may be empty.
    Instead(String),
}

impl<'a> Wait<'a> {
    /// Begins a wait; `what` reads like "waiting for unit nginx.service".
    pub(crate) fn new(machine: &'a str, what: &'a str, timeout: Duration) -> Self {
        Self { machine, what, timeout, began: Instant::now() }
    }

    /// What is left of the time.
    pub(crate) fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.began.elapsed())
    }

    /// Looks until the condition holds, with one last look when time is up. Ends at once with what `gone` says.
    ///
    /// A look must keep to its limit; one that hangs holds up the whole wait.
    pub(crate) async fn until<T, F>(
        &self,
        gone: impl Future<Output = Error>,
        mut look: impl FnMut(Look) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Found<T>, Error>>,
    {
        let mut gone = std::pin::pin!(gone);
        loop {
            let began = Instant::now();
            let last = self.remaining().is_zero();
            let limit = if last { LAST } else { self.remaining() };
            let found = tokio::select! {
                biased;
                found = look(Look { limit, last }) => found?,
                error = &mut gone => return Err(error),
            };
            let seen = match found {
                Found::Holds(value) => return Ok(value),
                Found::Instead(seen) => seen,
            };
            if last {
                return Err(self.timed_out(&seen));
            }
            let pause = pause(began.elapsed(), self.began.elapsed()).min(self.remaining());
            tokio::select! {
                error = &mut gone => return Err(error),
                () = sleep(pause) => {}
            }
        }
    }

    /// The error of a wait whose time is up. `seen` may be empty.
    pub(crate) fn timed_out(&self, seen: &str) -> Error {
        let elapsed = self.began.elapsed().as_secs_f64();
        let timeout = self.timeout.as_secs_f64();
        let mut message = format!("{}: action timed out after {elapsed:.2} seconds (timeout={timeout:?})", self.what);
        if !seen.is_empty() {
            message.push_str("; last seen: ");
            message.push_str(seen);
        }
        Error::Refused { machine: self.machine.into(), message }
    }
}

/// How long to pause after a look that took `cost`, `waited` since the wait began.
///
/// A wait must return within 20 ms of its condition in a container, where a look takes 2 to 6 ms, and within 150 ms in an emulated VM, where
/// it takes some 75 ms: pause and look together must fit. Twice the cost keeps an idle wait below a third of one core, and less where the
/// machine is busy, since looks get slower then. After a minute nobody minds a few more milliseconds.
fn pause(cost: Duration, waited: Duration) -> Duration {
    (cost * 2).max(waited / 1000).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::error::MachineError;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn pauses_follow_the_cost_of_a_look() {
        assert_eq!(pause(ms(0), ms(0)), ms(10));
        assert_eq!(pause(ms(2), ms(100)), ms(10));
        assert_eq!(pause(ms(20), ms(100)), ms(40));
        assert_eq!(pause(ms(500), ms(100)), ms(75));
        assert_eq!(pause(ms(2), ms(30_000)), ms(30));
        assert_eq!(pause(ms(2), ms(900_000)), ms(75));
    }

    #[tokio::test(start_paused = true)]
    async fn returns_soon_after_the_condition_holds() {
        let began = Instant::now();
        let wait = Wait::new("m", "waiting", Duration::from_secs(900));
        let look = |_| async {
            let holds = began.elapsed() >= Duration::from_secs(5);
            Ok(if holds { Found::Holds(began.elapsed()) } else { Found::Instead(String::new()) })
        };
        let seen = wait.until(pending(), look).await.unwrap();
        assert!(seen < Duration::from_secs(5) + ms(12), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn looks_once_more_when_time_is_up() {
        let wait = Wait::new("m", "waiting for rain", Duration::from_secs(2));
        let (mut looks, mut last) = (0, 0);
        let look = |look: Look| {
            looks += 1;
            last += i32::from(look.last);
            assert!(!look.limit.is_zero() && look.limit <= Duration::from_secs(2));
            async { Ok(Found::<()>::Instead("a blue sky".into())) }
        };
        let error = wait.until(pending(), look).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "waiting for rain: action timed out after 2.00 seconds (timeout=2.0); last seen: a blue sky"
        );
        assert_eq!(last, 1);
        assert!((100..=201).contains(&looks), "{looks}");
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_the_machine_is_gone() {
        let wait = Wait::new("m", "waiting", Duration::from_secs(900));
        let began = Instant::now();
        let gone = async {
            sleep(Duration::from_secs(3)).await;
            Error::from(MachineError::new("m", "waiting", "it died").gone())
        };
        let error = wait.until(gone, |_| async { Ok(Found::<()>::Instead(String::new())) }).await.unwrap_err();
        assert_eq!(error.to_string(), "machine m: waiting: it died");
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }
}
