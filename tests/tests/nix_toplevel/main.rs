//! Machines whose root is a NixOS system: a stand-in for one, with the files that such a system has.

mod bad_input;
mod boots;
