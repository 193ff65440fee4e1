//! Ports of the host that lead to a machine, for work by hand.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use netbridge::Segment;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::Machine;
use super::listener::owner;
use super::power::NO_NETWORK;
use super::start::OVER;
use crate::error::Error;
use crate::event::{Level, Recorder};

/// How long connecting to the guest may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The forwards of a machine by the host's port.
pub(super) type Forwards = BTreeMap<u16, Forward>;

/// A port that leads to a machine, until it is dropped.
#[derive(Debug)]
pub(super) struct Forward {
    guest_port: u16,
    _listener: AbortOnDropHandle<()>,
}

/// Where connections go to.
#[derive(Clone)]
pub(super) struct Target {
    segment: Arc<Segment>,
    /// The host's own address on the LAN.
    own: IpAddr,
    pub(super) guest: SocketAddr,
    recorder: Recorder,
}

impl Target {
    /// Connects to the guest. The error is what people are told.
    pub(super) async fn connect(&self) -> Result<TcpStream, String> {
        match timeout(CONNECT, self.segment.connect((self.own, 24), self.guest)).await {
            Ok(Ok(guest)) => Ok(guest),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer after {} s", CONNECT.as_secs())),
        }
    }
}

impl Machine {
    /// Lets connections to a TCP port of the host's 127.0.0.1 lead to a port of the guest's address on its first LAN, and returns where the
    /// host listens. With `host_port` 0 it is any port that is free.
    ///
    /// The machine need not run. The forward stays until the end of the run, over all starts of the machine.
    ///
    /// A machine with a start script that is on no LAN has it by QEMU's own network, which the script gives it: from a start to its end.
    pub async fn forward_port(&self, host_port: u16, guest_port: u16) -> Result<SocketAddr, Error> {
        const VERB: &str = "forward_port";
        let refuse = |why: &str| self.cannot(VERB, why);
        if guest_port == 0 {
            return Err(refuse("0 is no port of a guest"));
        }
        if self.spec().start_script.is_some() && self.spec().vlans.is_empty() {
            return self.forward_by_qemu(VERB, host_port, guest_port).await;
        }
        let target = self.target(guest_port).map_err(|why| refuse(&why))?;
        if let Some(forward) = self.forwards().get(&host_port) {
            let to = forward.guest_port;
            return Err(refuse(&format!("port {host_port} of the host already leads to the machine's port {to}")));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, host_port)).await;
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return Err(refuse(&not_bound(host_port, &error).await)),
        };
        let address = listener.local_addr().map_err(|error| refuse(&error.to_string()))?;
        let message = format!("forwarding {address} to port {guest_port}");
        self.recorder.message(Level::Info, message);
        let listener = AbortOnDropHandle::new(tokio::spawn(listen(listener, target)));
        let mut forwards = self.forwards();
        if self.is_released() {
            return Err(refuse(OVER));
        }
        forwards.insert(address.port(), Forward { guest_port, _listener: listener });
        Ok(address)
    }

    /// Has QEMU forward connections to its guest.
    async fn forward_by_qemu(&self, verb: &str, host_port: u16, guest_port: u16) -> Result<SocketAddr, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, host_port));
        let free = match TcpListener::bind(address).await {
            Ok(listener) => listener.local_addr(),
            Err(error) => return Err(self.cannot(verb, &not_bound(host_port, &error).await)),
        };
        let address = free.map_err(|error| self.cannot(verb, &error.to_string()))?;
        let answer = self.monitor_command(&format!("hostfwd_add tcp:{address}-:{guest_port}")).await?;
        match answer.trim() {
            "" => Ok(address),
            why => Err(self.cannot(verb, &format!("QEMU's own network does not do it: {why}"))),
        }
    }

    /// Ends all forwards with their connections.
    pub(super) fn end_forwards(&self) {
        self.forwards().clear();
    }

    /// A port of the guest's on its first LAN. The error is what people are told.
    pub(super) fn target(&self, guest_port: u16) -> Result<Target, String> {
        let Some((segment, attachment)) = self.shared.launch.attachment(0) else { return Err(NO_NETWORK.into()) };
        let own = IpAddr::from(Ipv4Addr::new(192, 168, attachment.vlan.number(), 254));
        if own == attachment.ipv4 || self.shared.launch.is_taken(own) {
            return Err(format!("the host needs the address {own}, which a machine has; have fewer machines"));
        }
        let guest = (attachment.ipv4, guest_port).into();
        Ok(Target { segment, own, guest, recorder: self.shared.recorder.clone() })
    }

    fn forwards(&self) -> std::sync::MutexGuard<'_, Forwards> {
        self.shared.forwards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn not_bound(port: u16, error: &io::Error) -> String {
    let more = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let owner = spawn_blocking(move || owner(port)).await.ok().flatten();
            let owner = owner.map(|owner| format!("; it is taken by {owner}")).unwrap_or_default();
            format!("{owner}; choose another port of the host, or 0 for any that is free")
        }
        io::ErrorKind::PermissionDenied => "; choose a port above 1023".into(),
        _ => String::new(),
    };
    format!("cannot listen on port {port} of 127.0.0.1: {error}{more}")
}

/// Takes connections and relays them. All end when this is dropped.
async fn listen(listener: TcpListener, target: Target) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(relay(client, target.clone()));
                }
                // Too many are open; some will end.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, target: Target) {
    let refused = match target.connect().await {
        // Whoever breaks off, the other one notices.
        Ok(mut guest) => return drop(copy_bidirectional(&mut client, &mut guest).await),
        Err(refused) => refused,
    };
    target.recorder.message(Level::Warning, format!("forward_port: connecting to {} failed: {refused}", target.guest));
}
