//! A verb at work: replies while it goes on, its answer at the end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::Stream;
use futures::stream::unfold;
use tokio::runtime::Handle;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tokio_util::task::AbortOnDropHandle;
use zlink::Reply;

use super::failure::Failure;
use super::reply::{Answer, Waiting};

/// How often a client hears that its call goes on. As soon as it cannot be told so, the call is cancelled.
pub(super) const PULSE: Duration = Duration::from_millis(250);

enum Stage<T> {
    Working { task: AbortOnDropHandle<Result<T, Failure>>, pulse: Interval, began: Instant, what: String },
    Answering(VecDeque<T>),
    Finished,
}

/// Runs `verb` on `runtime` and streams its replies. Dropping the stream cancels the verb.
///
/// A client that did not ask for more than one reply gets the answer alone.
pub(super) fn replies<T: Answer, F>(
    runtime: &Handle,
    more: bool,
    what: String,
    verb: F,
) -> impl Stream<Item = Result<Reply<T>, Failure>> + Unpin + use<T, F>
where
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let task = AbortOnDropHandle::new(runtime.spawn(verb));
    let mut pulse = interval_at((Instant::now() + PULSE).into(), PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stage = Stage::Working { task, pulse, began: Instant::now(), what };
    Box::pin(unfold(stage, move |stage| next(stage, more)))
}

async fn next<T: Answer>(stage: Stage<T>, more: bool) -> Option<(Result<Reply<T>, Failure>, Stage<T>)> {
    let mut parts = match stage {
        Stage::Finished => return None,
        Stage::Answering(parts) => parts,
        Stage::Working { mut task, mut pulse, began, what } => {
            let result = tokio::select! {
                biased;
                result = &mut task => Some(result),
                _ = pulse.tick(), if more => None,
            };
            let Some(result) = result else {
                let waiting = Waiting { what: what.clone(), seconds: began.elapsed().as_secs_f64() };
                let reply = Reply::new(Some(T::interim(waiting))).set_continues(Some(true));
                return Some((Ok(reply), Stage::Working { task, pulse, began, what }));
            };
            match result {
                Ok(Ok(answer)) if more => answer.parts().into(),
                Ok(Ok(answer)) => [answer].into(),
                Ok(Err(failure)) => return Some((Err(failure), Stage::Finished)),
                Err(error) => {
                    let message = format!("{what}: {error}");
                    return Some((Err(Failure::RunFailed { message }), Stage::Finished));
                }
            }
        }
    };
    let part = parts.pop_front()?;
    let goes_on = !parts.is_empty();
    let reply = Reply::new(Some(part)).set_continues(Some(goes_on));
    Some((Ok(reply), if goes_on { Stage::Answering(parts) } else { Stage::Finished }))
}
