//! Containers: systemd-nspawn in namespaces of their own.
//!
//! A container is safe to be root in: it lives in a user namespace with 65536 ids of its own, above layers whose owners are mapped to them,
//! in a pid namespace that ends with it, in cgroups of its own, and below a root that shows nothing of the host but its programs.
//! `launch.rs` tells how it gets there, `door.rs` how commands get in.
//!
//! ```no_run
//! use std::sync::Arc;
//! use driver_core::backend::Backend;
//!
//! let containers: Arc<dyn Backend> = Arc::new(backend_nspawn::Nspawn::new());
//! for problem in containers.preflight(&[]) {
//!     eprintln!("{problem}");
//! }
//! ```

mod argv;
mod backend;
mod boot;
mod bus;
mod channel;
mod console;
mod disk;
mod door;
mod exec;
mod guest;
mod guest_files;
mod journal;
mod launch;
mod needs;
mod nix_build;
mod notify;
mod origin;
mod ownerless;
mod preflight;
mod process;
mod scope;
mod spawn;
mod start_script;
mod toplevel;
mod tree;
mod userns;
mod wires;

pub use backend::Nspawn;
