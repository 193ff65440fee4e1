//! A live VM: its power, what ends it, its console, its screen and its monitor.

mod death;
mod devices;
mod ground;
mod power;
