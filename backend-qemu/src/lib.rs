//! Virtual machines: QEMU.

pub mod accel;
pub mod arch;
pub mod argv;
mod backend;
mod boot;
mod channel;
mod console;
mod disks;
mod guest;
pub mod guest_files;
mod image;
pub mod initramfs;
mod input;
mod journal;
pub mod kernel;
pub mod keys;
mod lan;
mod memory;
mod monitor;
mod needs;
mod packed;
mod power;
mod preflight;
mod process;
pub mod qmp;
mod screen;
pub mod shell;
mod signs;
mod start_script;
mod supervise;
mod tar;
mod tools;
mod toplevel;
pub mod volume;

pub use backend::Qemu;
