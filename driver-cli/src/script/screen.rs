//! Streaming what is read on a machine's screen, one way of reading after another, to a client that stops when it has found its text.

use driver_core::machine::{Machine, ScreenTexts};
use futures::Stream;
use futures::stream::unfold;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use zlink::Reply;

use super::failure::Failure;
use super::reply::Text;

enum Stage {
    Beginning(Machine),
    Reading(ScreenTexts),
    Over,
}

/// The texts of one picture of the screen, then an empty reply; without `more` only the first.
pub(super) fn texts(runtime: Handle, machine: Machine, more: bool) -> impl Stream<Item = Result<Reply<Text>, Failure>> {
    unfold((runtime, Stage::Beginning(machine)), move |(runtime, stage)| async move {
        let work = AbortOnDropHandle::new(match stage {
            Stage::Over => return None,
            Stage::Beginning(machine) => {
                runtime.spawn(async move { read(machine.screen_text_variants().await?).await })
            }
            Stage::Reading(texts) => runtime.spawn(read(texts)),
        });
        let result = work.await.unwrap_or_else(|error| Err(Failure::RunFailed { message: error.to_string() }));
        let (reply, stage) = match result {
            Ok((output @ Some(_), texts)) if more => (Ok(reply(output, true)), Stage::Reading(texts)),
            Ok((output, _)) => (Ok(reply(output, false)), Stage::Over),
            Err(failure) => (Err(failure), Stage::Over),
        };
        Some((reply, (runtime, stage)))
    })
}

async fn read(mut texts: ScreenTexts) -> Result<(Option<String>, ScreenTexts), Failure> {
    let text = texts.next().await.transpose()?;
    Ok((text, texts))
}

fn reply(output: Option<String>, continues: bool) -> Reply<Text> {
    Reply::new(Some(Text { output, waiting: None })).set_continues(Some(continues))
}
