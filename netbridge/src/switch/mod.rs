//! A learning switch in user space, on a thread of its own: the one path on which frames are relayed, impaired and captured.

mod delayed;
mod engine;
pub(crate) mod io;
mod port;
mod rules;
pub(crate) mod stream;
mod table;
#[cfg(test)]
mod tests;

use std::io as stdio;
use std::sync::{Arc, mpsc};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

pub(crate) use engine::{Engine, PortId};
pub(crate) use rules::Rules;

/// Something for the thread to do.
type Command = Box<dyn FnOnce(&mut Engine) + Send>;

/// A switch. Its thread ends when this is dropped, and the descriptors of its ports are closed.
#[derive(Debug)]
pub(crate) struct Switch {
    /// Dropped first: the thread ends when it is woken and nobody can command it any more.
    commands: Option<mpsc::Sender<Command>>,
    wake: Arc<EventFd>,
}

impl Switch {
    /// Starts a switch without ports. `name` is the thread's.
    pub(crate) fn start(name: &str) -> stdio::Result<Self> {
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (commands, receiver) = mpsc::channel();
        let engine = Engine::new(wake.clone(), receiver)?;
        std::thread::Builder::new().name(name.to_owned()).spawn(move || engine.run())?;
        Ok(Self { commands: Some(commands), wake })
    }

    /// Has the thread do `work` between two batches of frames, and waits for the result.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> stdio::Result<T> {
        let (sender, receiver) = oneshot::channel();
        let command: Command = Box::new(move |engine| {
            // Nobody listens if the caller gave up.
            let _ = sender.send(work(engine));
        });
        let ended = || stdio::Error::other("the switch has ended");
        self.commands.as_ref().ok_or_else(ended)?.send(command).map_err(|_| ended())?;
        self.wake.write(1)?;
        receiver.await.map_err(|_| ended())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.wake.write(1);
    }
}
