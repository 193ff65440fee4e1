//! Stories of whole runs with containers, one idea a file.

mod attacks;
mod death;
mod killed;
mod lan;
mod leftovers;
mod many;
mod resources;
mod roots;
mod units;
