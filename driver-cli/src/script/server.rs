//! The server: each connection is served apart from the others.
//!
//! zlink's `Server` handles the calls of all its connections one after another, and its future cannot leave its thread. So each connection
//! gets a `Server` of its own on a thread with a runtime of its own; the work is done on the runtime of the run.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use zlink::ReadyListener;

use super::call::Interface;
use super::session::{Session, Test};

/// Serves a test at a unix socket. Dropping it closes all connections, which cancels what they wait for, and removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at `path`, which only this user can connect to. Verbs run on the current runtime.
    pub fn start(path: &Path, test: Test) -> io::Result<Self> {
        Self::serve(path, Arc::new(Session::new(test, None)))
    }

    pub(super) fn serve(path: &Path, session: Arc<Session>) -> io::Result<Self> {
        let listener = StdListener::bind(path)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("tandem-script".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    // An error means that the server was dropped without a word, which comes to the same.
                    _ = stopped => {}
                    () = accept(listener, session) => {}
                }
            });
        })?;
        Ok(Self { path: path.to_owned(), stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Nothing that the thread does takes long; verbs run elsewhere.
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: StdListener, session: Arc<Session>) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen for scripts"),
    };
    loop {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                // Most likely out of descriptors: give those in use time to be closed.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let interface = Interface::new(session.clone());
        spawn_local(async move {
            let served = match zlink::tokio::unix::Stream::try_from(connection) {
                Ok(stream) => zlink::Server::new(ReadyListener::new(stream), interface).run().await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}
