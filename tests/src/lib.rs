//! The test harness.
//!
//! [`requirement`] says what a test needs of the host. A [`stage::Stage`] is a run of the test's own process; a [`program::Program`] is one
//! of another process, which lives in a [`pen::Pen`] so that everything it starts can be told from the rest of the host. [`leftovers`] finds
//! what a run left behind or changed, [`conformance`] is what every backend promises, [`roots`] are file systems for machines and [`images`]
//! disks with them, [`pcapng`] reads captures, [`systemd_host`] boots a host with systemd and [`nix`] one with Nix, a
//! [`terminal::Terminal`] has a program and a person on it, [`toplevel`] stands in for a NixOS system, [`upstream`] has start scripts of
//! upstream's kind.

pub mod conformance;
pub mod host_lock;
pub mod images;
pub mod leftovers;
pub mod nix;
pub mod pcapng;
pub mod pen;
pub mod program;
pub mod requirement;
pub mod roots;
pub mod stage;
pub mod systemd_host;
pub mod terminal;
pub mod toplevel;
pub mod tree;
pub mod upstream;

/// What a test returns: any error is a failure.
pub type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
