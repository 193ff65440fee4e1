//! The D-Bus calls that are made of systemd and systemd-machined, with signatures that every version since 252 has
//! (org.freedesktop.systemd1(5), org.freedesktop.machine1(5)).

use zbus::{ObjectPath, OwnedObjectPath, Variant, proxy};

/// systemd's manager.
#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(crate) trait Systemd {
    /// Starts a unit that has no file; returns the job.
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &[(&str, Variant<'_>)],
        aux: &[(&str, &[(&str, Variant<'_>)])],
    ) -> zbus::Result<OwnedObjectPath>;

    /// Asks for signals to be sent to this connection.
    fn subscribe(&self) -> zbus::Result<()>;

    /// A job is over.
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: ObjectPath<'_>, unit: &str, result: &str) -> zbus::Result<()>;
}

/// systemd-machined's manager.
#[proxy(
    interface = "org.freedesktop.machine1.Manager",
    default_service = "org.freedesktop.machine1",
    default_path = "/org/freedesktop/machine1"
)]
pub(crate) trait Machined {
    /// Registers a machine whose leader is in a unit already.
    fn register_machine(
        &self,
        name: &str,
        id: &[u8],
        service: &str,
        class: &str,
        leader: u32,
        root_directory: &str,
    ) -> zbus::Result<OwnedObjectPath>;
}
