//! Ports for VDE clients.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Inner;
use crate::switch::io::Io;
use crate::vde::{Client, Listener};
use crate::{Error, Port, PortName};

/// Lets clients plug in by a directory, until the port is dropped.
pub(super) async fn listen(segment: &Arc<Inner>, name: &PortName, directory: &Path) -> Result<Port, Error> {
    let listener = Listener::bind(directory).map_err(|errno| Error::Port {
        port: name.link.clone(),
        operation: "listen for VDE clients",
        errno,
        cure: "",
    })?;
    let mut port = Port::new(segment, &name.link, None);
    let refused = listener.refused();
    segment.state.lock().await.links.entry(name.link.as_str().into()).or_default().refused.push(refused);
    let serving = segment.runtime().spawn(serve(Arc::downgrade(segment), port.number(), name.link.clone(), listener));
    port.task = Some(serving.abort_handle());
    Ok(port)
}

/// Takes clients in, and lets them go. All end when this is dropped.
async fn serve(segment: std::sync::Weak<Inner>, port: u64, link: String, mut listener: Listener) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            client = listener.accept() => match (client, segment.upgrade()) {
                (Ok(client), Some(segment)) => {
                    clients.spawn(attend(segment, port, link.clone(), client));
                }
                (Err(error), _) => {
                    tracing::warn!(link, %error, "no VDE client can plug in any more");
                    // Those that are there stay.
                    while clients.join_next().await.is_some() {}
                    return;
                }
                (_, None) => return,
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// Has a client plugged in for as long as it is there.
async fn attend(segment: Arc<Inner>, port: u64, link: String, client: Client) {
    let Client { data, mut control, description } = client;
    if let Err(errno) = super::plug::enlarge(&data) {
        tracing::debug!(link, %errno, "a VDE client has little room for frames");
    }
    match segment.plug_io_as(port, &link, Io::Dgram(data)).await {
        Ok(id) => {
            tracing::debug!(link, description, "a VDE client plugged in");
            control.gone().await;
            if let Err(error) = segment.unplug_io(&link, id).await {
                tracing::warn!(link, %error, "could not unplug a VDE client");
            }
        }
        Err(error) => tracing::warn!(link, description, %error, "a VDE client could not be plugged in"),
    }
}
