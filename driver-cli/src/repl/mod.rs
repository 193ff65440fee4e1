//! `tandem repl`: a Python prompt with a test's machines. Nothing is started, and the script runs when `test_script()` is called.

mod foreground;

use std::path::PathBuf;
use std::sync::Arc;

use driver_core::backend::Backend;

use crate::args::ReplArgs;
use crate::exit::Status;
use crate::report::Report;
use crate::run;
use crate::script::Prompt;

pub(crate) use foreground::Foreground;

/// Checks a test, makes its run and opens the prompt.
pub(crate) async fn repl(args: &ReplArgs, backends: Vec<Arc<dyn Backend>>) -> Result<Status, Report> {
    run::with_prompt(&args.as_run(), backends, Some(Prompt::new(history()))).await
}

/// Where the lines typed at a prompt are kept (XDG Base Directory Specification, `XDG_STATE_HOME`).
fn history() -> PathBuf {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = directory("XDG_STATE_HOME").or_else(|| directory("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(|| PathBuf::from("/root/.local/state")).join("tandem/repl-history")
}
