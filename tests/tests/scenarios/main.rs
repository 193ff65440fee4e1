//! Stories of whole runs with containers, one idea a file.

mod attacks;
mod bad_input;
mod death;
mod faults;
mod interrupted;
mod killed;
mod lan;
mod leftovers;
mod many;
mod misbehaving;
mod reports;
mod resources;
mod roots;
mod units;
