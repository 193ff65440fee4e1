//! The program `nixos-test-driver`, called as whatever uses nixpkgs' test driver calls it.

mod at_a_terminal;
mod bad_input;
mod both;
mod ends;
mod ground;
mod lines;
#[path = "../qemu_start_script/machines.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod machines;
mod places;
mod prompt;
mod vm;
