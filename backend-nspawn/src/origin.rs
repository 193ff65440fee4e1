//! What boots a container, and what becomes of the container when that ends.

use std::io;
use std::path::PathBuf;

use driver_core::backend::{Descriptors, StartRequest};
use driver_core::console::Console;
use driver_core::guest::Exit;

use crate::boot::{self, Boot};
use crate::start_script::{self, ENDED_EARLY};

/// Exit status of systemd-nspawn after the container asked for a reboot (its `--keep-unit`, as systemd-nspawn@.service relies on).
const REBOOT: i32 = 133;

/// What boots a container.
pub(crate) enum Origin {
    /// The systemd-nspawn at this path, started by us.
    Nspawn(PathBuf),
    /// A start script at this path.
    Script(PathBuf),
}

/// What the driver has asked a container for that then ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) reboot: bool,
    pub(crate) power_off: bool,
}

impl Origin {
    /// Whether it is a start script.
    pub(crate) fn is_script(&self) -> bool {
        matches!(self, Self::Script(_))
    }

    /// Boots the container as far as the program's execution.
    pub(crate) async fn boot(
        &self,
        request: &StartRequest,
        descriptors: &Descriptors,
        console: &Console,
    ) -> io::Result<Boot> {
        match self {
            Self::Nspawn(program) => boot::start(program, request, descriptors, console).await,
            Self::Script(script) => start_script::boot(script, request, descriptors, console).await,
        }
    }

    /// How the container ended whose program ended with this status by itself; none if it reboots.
    pub(crate) fn ended(&self, status: i32, asked: Asked, allow_reboot: bool) -> Option<Exit> {
        match status {
            // What a start script makes of systemd-nspawn's status is its own affair.
            _ if self.is_script() && asked.reboot => None,
            _ if self.is_script() && asked.power_off => Some(Exit::PoweredOff),
            0 => Some(Exit::PoweredOff),
            // Above 128, but a status of its own.
            REBOOT if asked.reboot || allow_reboot => None,
            REBOOT => Some(Exit::PoweredOff),
            status if self.is_script() => Some(Exit::Died(format!("{ENDED_EARLY} (status {status})"))),
            status @ 129.. => {
                let signal = status - 128;
                Some(Exit::Died(format!("something outside of the run killed it (systemd-nspawn, signal {signal})")))
            }
            status => Some(Exit::Died(format!("systemd-nspawn ended with status {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Asked = Asked { reboot: false, power_off: false };

    fn died(how: &str) -> Exit {
        Exit::Died(how.to_owned())
    }

    #[test]
    fn the_end_of_ours_is_what_systemd_nspawn_says() {
        let ours = Origin::Nspawn(PathBuf::new());
        let reboot = Asked { reboot: true, ..NOTHING };
        for (status, asked, allowed, expected) in [
            (0, NOTHING, false, Some(Exit::PoweredOff)),
            (0, reboot, false, Some(Exit::PoweredOff)),
            (REBOOT, NOTHING, false, Some(Exit::PoweredOff)),
            (REBOOT, NOTHING, true, None),
            (REBOOT, reboot, false, None),
            (1, Asked { power_off: true, ..NOTHING }, false, Some(died("systemd-nspawn ended with status 1"))),
            (137, NOTHING, false, Some(died("something outside of the run killed it (systemd-nspawn, signal 9)"))),
        ] {
            assert_eq!(ours.ended(status, asked, allowed), expected, "{status} {asked:?} {allowed}");
        }
    }

    #[test]
    fn the_end_of_a_script_is_what_was_asked_for() {
        let script = Origin::Script(PathBuf::new());
        for status in [0, 1, REBOOT, 143] {
            assert_eq!(script.ended(status, Asked { reboot: true, ..NOTHING }, false), None);
            assert_eq!(script.ended(status, Asked { power_off: true, ..NOTHING }, false), Some(Exit::PoweredOff));
        }
        assert_eq!(script.ended(0, NOTHING, false), Some(Exit::PoweredOff));
        assert_eq!(script.ended(REBOOT, NOTHING, true), None);
        let unexpected = died("systemd-nspawn process exited unexpectedly (status 137)");
        assert_eq!(script.ended(137, NOTHING, true), Some(unexpected));
    }
}
