//! Virtual machines: QEMU.

pub mod accel;
pub mod arch;
pub mod argv;
mod backend;
mod boot;
mod guest;
pub mod guest_files;
pub mod initramfs;
pub mod kernel;
pub mod keys;
mod process;
pub mod qmp;
pub mod shell;
mod start_script;

pub use backend::Qemu;
