//! Which ports' frames the switch carries, and how a port comes there and goes back to the bridge.
//!
//! A segment that is a bridge has a switch beside it for what the bridge cannot do. The two are joined by a veth pair, the trunk. A port of
//! the kernel leaves the bridge for the switch while its link has faults or is captured.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::Inner;
use super::inner::{How, KernelPort, Plugged, State};
use crate::kernel::device::{Device, Owned};
use crate::kernel::{netem, veth};
use crate::stats::LinkStats;
use crate::switch::io::{Io, packet};
use crate::switch::{PortId, Switch};
use crate::{Direction, Error, InterfaceName};

/// Both directions, as impairments are kept.
pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Out, Direction::In];

/// What joins a switch to a bridge.
#[derive(Debug)]
pub(super) struct Trunk {
    /// A port of the bridge; its other end goes with it.
    near: Owned,
    id: PortId,
}

impl Inner {
    /// Whether the switch has to carry the frames of a link's ports.
    pub(super) fn wants_switch(&self, state: &State, link: &str) -> bool {
        let impaired = || {
            let mut impairments =
                state.links.get(link).into_iter().flat_map(|entry| &entry.impairments).zip(state.netem);
            impairments.any(|(impairment, netem)| {
                impairment.as_ref().is_some_and(|impairment| netem != Some(true) || netem::can(impairment).is_err())
            })
        };
        let captured = || state.captures.iter().any(|open| open.link.as_deref().is_none_or(|name| name == link));
        self.bridge.is_none() || state.rules.concern(link) || captured() || impaired()
    }

    /// The switch, which is started at the first call.
    pub(super) async fn ensure_switch<'a>(&self, state: &'a mut State) -> Result<&'a Switch, Error> {
        if state.switch.is_none() {
            let switch = Switch::start(&format!("lan-{}", self.name)).map_err(self.broken("start a switch"))?;
            let rules = state.rules.clone();
            let links: Vec<_> =
                state.links.iter().map(|(name, entry)| (name.clone(), entry.impairments.clone(), entry.down)).collect();
            let told = switch.call(move |engine| {
                engine.set_rules(rules);
                for (name, impairments, down) in links {
                    for (direction, impairment) in DIRECTIONS.into_iter().zip(&impairments) {
                        engine.impair_link(&name, direction, impairment.as_ref());
                    }
                    engine.set_link(&name, !down);
                }
            });
            told.await.map_err(self.broken("start a switch"))?;
            state.switch = Some(switch);
        }
        state.switch.as_ref().ok_or_else(|| self.broken("start a switch")(std::io::Error::other("it has ended")))
    }

    /// Joins the switch to the bridge, if there is one.
    pub(super) async fn ensure_trunk(&self, state: &mut State) -> Result<(), Error> {
        let Some(bridge) = self.bridge.as_ref().filter(|_| state.trunk.is_none()) else { return Ok(()) };
        let name = |side| InterfaceName::new(format!("nb{side}{}", bridge.index()));
        let (near, far) = veth::trunk(bridge, &name('b')?, &name('s')?).await?;
        let packet = self.packet_socket(&far).await?;
        let switch = self.ensure_switch(state).await?;
        let added = switch.call(move |engine| engine.add(Io::Packet(packet), None)).await.flatten();
        let id = added.map_err(self.broken("join a bridge and a switch"))?;
        state.trunk = Some(Trunk { near, id });
        Ok(())
    }

    /// Takes the trunk away where the switch has no other port, so that the bridge floods nothing to it.
    pub(super) async fn settle_trunk(&self, state: &mut State) -> Result<(), Error> {
        let switched = |plugged: &Plugged| match &plugged.how {
            How::Kernel(port) => port.switched.is_some(),
            How::Switch(_) => true,
        };
        if state.links.values().flat_map(|entry| &entry.ports).any(switched) {
            return Ok(());
        }
        let Some(Trunk { near, id }) = state.trunk.take() else { return Ok(()) };
        if let Some(switch) = &state.switch {
            switch.call(move |engine| engine.remove(id)).await.map_err(self.broken("leave the switch"))?;
        }
        near.remove().await
    }

    /// Brings the ports of a link to where they shall be, by its faults and captures.
    pub(super) async fn settle(&self, state: &mut State, link: &Arc<str>) -> Result<(), Error> {
        let wanted = self.wants_switch(state, link);
        let Some(entry) = state.links.get_mut(link) else { return Ok(()) };
        // Apart from the state while the switch is.
        let mut ports = std::mem::take(&mut entry.ports);
        let settled = self.settle_ports(state, link, &mut ports, wanted).await;
        let entry = state.links.entry(link.clone()).or_default();
        entry.ports = ports;
        settled?;
        self.settle_trunk(state).await
    }

    async fn settle_ports(
        &self,
        state: &mut State,
        link: &Arc<str>,
        ports: &mut [Plugged],
        wanted: bool,
    ) -> Result<(), Error> {
        for plugged in ports {
            let How::Kernel(port) = &mut plugged.how else { continue };
            let settled = self.settle_port(state, link, port, wanted).await;
            unless_gone(&port.device, settled).await?;
        }
        Ok(())
    }

    async fn settle_port(
        &self,
        state: &mut State,
        link: &Arc<str>,
        port: &mut KernelPort,
        wanted: bool,
    ) -> Result<(), Error> {
        if wanted {
            return if port.switched.is_none() { self.to_switch(state, link, port).await } else { Ok(()) };
        }
        if port.switched.is_some() {
            self.to_bridge(state, port).await?;
        }
        self.settle_netem(state, link, port).await
    }

    /// Has the switch carry a port's frames.
    async fn to_switch(&self, state: &mut State, link: &Arc<str>, port: &mut KernelPort) -> Result<(), Error> {
        self.ensure_trunk(state).await?;
        let packet = self.unbound_packet_socket(&port.device).await?;
        let mut carried = carried(port).await;
        let [out, into] = &mut port.shaped;
        // What waits in the one arrives. In front of the other the switch takes over, so that what waits there has nowhere to go.
        if let Some(into) = into {
            into.clear().await?;
            // It goes on to count.
            carried.r#in.overflowed = 0;
        }
        if let Some(out) = out.take() {
            out.remove().await?;
        }
        // From here on its frames get lost, until the switch has it: none is treated twice, or past its link's faults.
        port.device.leave().await?;
        match self.enter_switch(state, link, &port.device, packet).await {
            Ok(id) => port.switched = Some(id),
            Err(error) => {
                if let Some(bridge) = &self.bridge {
                    port.device.join(bridge).await?;
                }
                return Err(error);
            }
        }
        if let Some(entry) = state.links.get_mut(link) {
            add(&mut entry.carried, carried);
        }
        Ok(())
    }

    /// Makes an interface that is in no bridge a port of the switch.
    async fn enter_switch(
        &self,
        state: &mut State,
        link: &Arc<str>,
        device: &Device,
        packet: OwnedFd,
    ) -> Result<PortId, Error> {
        packet::bind(packet.as_fd(), device.index()).map_err(self.broken("open a packet socket on a port"))?;
        let trunk = state.trunk.as_ref().map(|trunk| trunk.id);
        let name = link.clone();
        let switch = self.ensure_switch(state).await?;
        let added = switch.call(move |engine| {
            if let Some(trunk) = trunk {
                // The hosts behind the port were behind the bridge.
                engine.forget(trunk);
            }
            engine.add(Io::Packet(packet), Some(&name))
        });
        added.await.flatten().map_err(self.broken("add a port to the switch"))
    }

    /// Has the bridge carry a port's frames again.
    async fn to_bridge(&self, state: &State, port: &mut KernelPort) -> Result<(), Error> {
        let (Some(id), Some(switch), Some(bridge)) = (port.switched, &state.switch, &self.bridge) else {
            return Ok(());
        };
        port.base = port.device.counters().await.unwrap_or_default();
        switch.call(move |engine| engine.remove(id)).await.map_err(self.broken("leave the switch"))?;
        port.switched = None;
        port.device.join(bridge).await?;
        if let Some(trunk) = &state.trunk {
            trunk.near.forget_hosts().await?;
        }
        Ok(())
    }

    /// Has the kernel impair a port that the bridge carries.
    async fn settle_netem(&self, state: &State, link: &Arc<str>, port: &mut KernelPort) -> Result<(), Error> {
        let Some(entry) = state.links.get(link) else { return Ok(()) };
        for ((direction, impairment), shaped) in DIRECTIONS.into_iter().zip(&entry.impairments).zip(&mut port.shaped) {
            match (impairment, &shaped) {
                (Some(impairment), Some(shaped)) => shaped.change(impairment).await?,
                (Some(impairment), None) => *shaped = Some(netem::set(&port.device, direction, impairment).await?),
                // What waits in it arrives, which it would not if it were removed.
                (None, Some(shaped)) => shaped.clear().await?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Lets go of what a port that goes has in the switch and in the counts.
    pub(super) async fn let_go(&self, state: &mut State, link: &Arc<str>, plugged: Plugged) {
        let id = match plugged.how {
            How::Switch(id) => Some(id),
            How::Kernel(mut port) => {
                let carried = carried(&port).await;
                if let Some(entry) = state.links.get_mut(link) {
                    add(&mut entry.carried, carried);
                }
                if let Err(error) = clear_netem(&mut port).await {
                    tracing::debug!(link = &**link, %error, "the impairment of a port goes with its interface");
                }
                port.switched
            }
        };
        if let (Some(id), Some(switch)) = (id, &state.switch) {
            // A switch that has ended has let go of everything.
            let _ = switch.call(move |engine| engine.remove(id)).await;
        }
    }

    /// A packet socket on `device`.
    pub(super) async fn packet_socket(&self, device: &Device) -> Result<OwnedFd, Error> {
        let socket = self.unbound_packet_socket(device).await?;
        packet::bind(socket.as_fd(), device.index()).map_err(self.broken("open a packet socket on a port"))?;
        Ok(socket)
    }

    async fn unbound_packet_socket(&self, device: &Device) -> Result<OwnedFd, Error> {
        let port = device.name().to_string();
        device.namespace().run(packet::open).await?.map_err(|errno| Error::Port {
            port,
            operation: "open a packet socket",
            errno,
            cure: "it needs CAP_NET_RAW over the network namespace, and a kernel with CONFIG_PACKET",
        })
    }
}

/// What became of a change of an interface. One that has vanished needs none, and keeps nobody from changing the others.
pub(super) async fn unless_gone(device: &Device, changed: Result<(), Error>) -> Result<(), Error> {
    match changed {
        Err(error) if device.is_gone().await => {
            tracing::debug!(interface = %device.name(), %error, "an interface has vanished");
            Ok(())
        }
        changed => changed,
    }
}

/// What the kernel has carried since it took over a port; while the switch carries it, only what the kernel dropped before.
pub(super) async fn carried(port: &KernelPort) -> LinkStats {
    let mut carried = LinkStats::default();
    for (flow, shaped) in [&mut carried.out, &mut carried.r#in].into_iter().zip(&port.shaped) {
        if let Some(shaped) = shaped {
            flow.overflowed = shaped.dropped().await.unwrap_or_default();
        }
    }
    if port.switched.is_some() {
        return carried;
    }
    // Of an interface that is gone there is nothing to be known.
    let Ok(now) = port.device.counters().await else { return carried };
    for (flow, now, base) in
        [(&mut carried.out, now.received, port.base.received), (&mut carried.r#in, now.sent, port.base.sent)]
    {
        flow.frames = now.0.saturating_sub(base.0);
        flow.bytes = now.1.saturating_sub(base.1);
    }
    carried
}

/// Takes away what the kernel does to a port's frames.
async fn clear_netem(port: &mut KernelPort) -> Result<(), Error> {
    for shaped in &mut port.shaped {
        if let Some(shaped) = shaped.take() {
            shaped.remove().await?;
        }
    }
    Ok(())
}

pub(super) fn add(to: &mut LinkStats, more: LinkStats) {
    for (to, more) in [(&mut to.out, more.out), (&mut to.r#in, more.r#in)] {
        to.frames += more.frames;
        to.bytes += more.bytes;
        to.lost += more.lost;
        to.duplicated += more.duplicated;
        to.reordered += more.reordered;
        to.corrupted += more.corrupted;
        to.overflowed += more.overflowed;
        to.blocked += more.blocked;
        to.malformed += more.malformed;
    }
}
