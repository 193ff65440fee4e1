//! The deadline of a whole run, which a script can lift.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A run's deadline. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Deadline {
    lifted: Arc<AtomicBool>,
}

impl Deadline {
    /// Lets the run go on for as long as it takes.
    pub fn lift(&self) {
        self.lifted.store(true, Ordering::Relaxed);
    }

    /// Returns when the time is up, or never if the deadline was lifted by then.
    pub async fn expired(&self, limit: Duration) {
        tokio::time::sleep(limit).await;
        if self.lifted.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_that_is_lifted_never_comes() {
        let limit = Duration::from_millis(5);
        let (kept, lifted) = (Deadline::default(), Deadline::default());
        lifted.clone().lift();
        kept.expired(limit).await;
        tokio::time::timeout(20 * limit, lifted.expired(limit)).await.unwrap_err();
    }
}
