//! The clock of the global timeout. At a prompt it runs only while the test's script does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A clock that can be started, started anew and stopped. It stands at first; clones are the same one.
#[derive(Clone, Debug)]
pub struct Timer(Arc<watch::Sender<Option<Instant>>>);

impl Default for Timer {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Timer {
    /// Starts the clock with so much time on it; `None` stops it.
    pub fn set(&self, time: Option<Duration>) {
        self.0.send_replace(time.and_then(|time| Instant::now().checked_add(time)));
    }

    /// Returns once the time is up.
    pub async fn reached(&self) {
        let mut changes = self.0.subscribe();
        loop {
            let until = *changes.borrow_and_update();
            let time_is_up = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time_is_up => return,
                _ = changes.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_only_between_start_and_stop() {
        let timer = Timer::default();
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, timer.reached()).await.is_err());
        timer.set(Some(hour / 2));
        timer.set(None);
        assert!(tokio::time::timeout(hour, timer.reached()).await.is_err());
        timer.set(Some(hour / 2));
        assert!(tokio::time::timeout(hour, timer.reached()).await.is_ok());
    }
}
