//! What VMs boot from, and what they are made of.

mod bad_input;
mod boots;
