//! Virtual machines: QEMU.

pub mod accel;
pub mod arch;
pub mod argv;
mod backend;
mod boot;
mod disks;
mod guest;
pub mod guest_files;
mod image;
pub mod initramfs;
pub mod kernel;
pub mod keys;
mod preflight;
mod process;
pub mod qmp;
pub mod shell;
mod start_script;
mod tar;
mod tools;
pub mod volume;

pub use backend::Qemu;
