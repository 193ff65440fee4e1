//! Virtual machines: QEMU.

pub mod accel;
pub mod arch;
pub mod argv;
mod backend;
mod boot;
mod channel;
mod console;
mod guest;
pub mod guest_files;
pub mod initramfs;
mod input;
mod journal;
pub mod kernel;
pub mod keys;
mod monitor;
mod power;
mod process;
pub mod qmp;
mod screen;
pub mod shell;
mod signs;
mod supervise;

pub use backend::Qemu;
