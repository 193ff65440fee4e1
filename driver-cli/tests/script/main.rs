//! Test scripts against fake machines, with a real interpreter.

mod stage;
mod verbs;
