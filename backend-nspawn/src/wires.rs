//! What joins the driver to the processes of one boot.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use driver_core::console::Console;
use tokio::task::JoinHandle;

use crate::channel::Channel;
use crate::console::{self, Keyboard};

/// The driver's ends.
pub(crate) struct Ours {
    /// Commands, once the door is open.
    pub(crate) channel: Arc<Channel>,
    /// Where the console's input comes from.
    pub(crate) keyboard: Arc<Keyboard>,
    /// Ends with the console's last line.
    pub(crate) console: JoinHandle<()>,
    /// A byte into it opens the gate.
    pub(crate) opener: OwnedFd,
}

/// The processes' ends.
#[derive(Debug)]
pub(crate) struct Theirs {
    /// The write end of what the console says.
    pub(crate) console: OwnedFd,
    /// The read end of what is typed at the console.
    pub(crate) typed: OwnedFd,
    /// The door's end of its socket pair.
    pub(crate) door: OwnedFd,
    /// Taken once from this descriptor before anything starts; its other end's owner may move the process elsewhere first.
    pub(crate) gate: OwnedFd,
}

/// Makes them; lines go to `console` from then on.
pub(crate) fn draw(console: &Console) -> io::Result<(Ours, Theirs)> {
    let (ours, door) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let ((output, said), (typed, keyboard), (gate, opener)) = (pipe()?, pipe()?, pipe()?);
    let ours = Ours {
        channel: Arc::new(Channel::new(ours)?),
        keyboard: Arc::new(Keyboard::new(keyboard)?),
        console: console::follow(output, console.clone())?,
        opener,
    };
    Ok((ours, Theirs { console: said, typed, door, gate }))
}
