//! Test scripts: a Python interpreter of their own, and the interface by which they drive machines.
//!
//! An [`Interpreter`] checks its script first and then waits for the word to go. It is started in the run's namespaces, so that all that a
//! script leaves behind ends with the run; [`check`] starts another one, which is cheaper, before there is a run. Scripts, and whoever else
//! wants to, talk to a [`Server`] by [Varlink](https://varlink.org).
//!
//! From the inside out: `session` is what all connections share, `interface` has the methods, `call`, `verb`, `lan` and `console` what they do
//! and reply, `server` the connections; `package` is the Python side, `output` what a script prints, `interpreter` the process,
//! `word` what it is told when it may go, `prompt` what makes it ask a person what to do instead of the script.

mod call;
mod capture;
mod console;
mod failure;
mod interact;
mod interface;
mod interpreter;
mod lan;
mod make;
mod output;
mod package;
mod problem;
mod process;
mod prompt;
mod python;
mod reply;
mod screen;
mod server;
mod session;
mod symbols;
mod timer;
mod types;
mod verb;
mod word;

use std::path::Path;

use driver_core::spec::{Problem, TestSpec};

pub use capture::Captures;
pub use interpreter::{Interpreter, Options, ScriptOutcome};
pub use prompt::Prompt;
pub(crate) use python::python;
pub use server::Server;
pub use session::Test;
pub(crate) use symbols::symbols;
pub use timer::Timer;
pub use types::check_types;

/// Reports what is wrong with a test's script, and what the interpreter lacks for it. `python` is what the user named instead of `python3`.
pub async fn check(spec: &TestSpec, python: Option<&Path>) -> Vec<Problem> {
    let directory = match tempfile::tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            let message = format!("cannot make a temporary directory: {error}");
            return vec![Problem::host("", message, "name a directory that can be written to in $TMPDIR")];
        }
    };
    match Interpreter::start_for_check(Options::new(spec, python, directory.path())).await {
        Ok(mut interpreter) => interpreter.problems().await,
        Err(problem) => vec![problem],
    }
}
