//! Tar streams between the host and a guest.

mod pack;
#[cfg(test)]
mod tests;
mod unpack;

pub(super) use pack::pack;
pub(super) use unpack::{Place, unpack};
