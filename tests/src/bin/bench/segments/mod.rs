//! Segments of netbridge: how much passes between each two kinds of ports, and how long a round trip takes, with the same load everywhere.

mod direct;
#[path = "../../../../../netbridge/tests/endpoint/mod.rs"]
#[expect(dead_code, reason = "the tests of netbridge use the rest")]
mod endpoint;
mod load;
mod others;
mod tasks;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use netbridge::{InterfaceName, Namespace, Segment};
use tandem_tests::TestResult;
use tandem_tests::requirement::lacking_program;

use crate::bench::Bench;
use crate::samples::Samples;
use crate::table::Row;
use direct::Direct;
use endpoint::{Endpoint, Kind, transfer};
use others::{Bridge, Vde, VdeSwitch};

/// Measurements of each pair, and of what it is compared to, in turns.
const ROUNDS: usize = 5;

/// How long frames are sent, in one measurement.
const TIME: Duration = Duration::from_millis(250);

/// How many round trips there are in one measurement.
const ROUND_TRIPS: usize = 200;

/// Megabytes of one connection, where the kernel moves them and elsewhere.
const TRANSFER: (u32, u32) = (1024, 128);

/// Sizes of whole frames: the least, and the most that an MTU of 1500 allows.
const SIZES: [usize; 2] = [64, 1514];

/// How many ports share a switch.
const PORTS: [u8; 3] = [2, 8, 32];

const KINDS: [Kind; 7] =
    [Kind::Veth, Kind::Tap, Kind::TapDescriptor, Kind::TapDescriptorVnet, Kind::Dgram, Kind::Stream, Kind::Vde];

/// Those that are sockets: what is at their other end needs no tap.
const SOCKETS: [Kind; 3] = [Kind::Dgram, Kind::Stream, Kind::Vde];

const BRIDGE: &str = "a plain bridge of the kernel's with two veth pairs";

const VDE: &str = "vde_switch --hub with vde_plug2tap";

const VDE_ALONE: &str = "vde_switch --hub";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fabric {
    Bridge,
    Switch,
}

impl Fabric {
    async fn lan(self, with_namespace: bool) -> TestResult<Segment> {
        let name = InterfaceName::new("lan")?;
        let namespace = Arc::new(Namespace::new().await?);
        Ok(match self {
            Self::Bridge => Segment::bridge(namespace, name).await?,
            Self::Switch => Segment::switch(with_namespace.then_some(namespace), name),
        })
    }
}

/// Two kinds of ports on a segment.
#[derive(Clone, Copy, Debug)]
struct Pair(Fabric, Kind, Kind);

impl Pair {
    /// Whether only the kernel moves its frames.
    fn is_of_kernel(self) -> bool {
        self.0 == Fabric::Bridge && self.1.needs_namespace() && self.2.needs_namespace()
    }

    async fn measure(self, measured: &mut Measured) -> TestResult {
        let Self(fabric, one, two) = self;
        let lan = fabric.lan(one.needs_namespace() || two.needs_namespace()).await?;
        let pair = (Endpoint::plug(&lan, one, 1, 1500).await?, Endpoint::plug(&lan, two, 2, 1500).await?);
        measured.take(&[pair], if self.is_of_kernel() { TRANSFER.0 } else { TRANSFER.1 }).await
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(fabric, one, two) = self;
        write!(f, "{}: {one} to {two}", if *fabric == Fabric::Bridge { "bridge" } else { "switch" })
    }
}

/// What is measured between two machines.
#[derive(Default)]
struct Measured {
    stream: Samples,
    frames: [Samples; 2],
    round_trips: [Samples; 2],
}

impl Measured {
    async fn take(&mut self, pair: &[(Endpoint, Endpoint); 1], megabytes: u32) -> TestResult {
        let [(from, to)] = pair;
        for (size, samples) in SIZES.into_iter().zip(&mut self.round_trips) {
            samples.extend(load::round_trips(from, to, size, ROUND_TRIPS).await?);
        }
        for (size, samples) in SIZES.into_iter().zip(&mut self.frames) {
            samples.push(load::frames(pair, size, TIME).await?.rate);
        }
        let time = transfer(from, to, to.v4(), megabytes).await?;
        let bits = f64::from(megabytes) * f64::from(1 << 20) * 8.0;
        self.stream.push(bits / 1e9 / time.as_secs_f64());
        Ok(())
    }

    fn rows(&self, what: impl fmt::Display, against: Option<(&'static str, &Self)>) -> Vec<Option<Row>> {
        let compared = |row: Option<Row>, of: &dyn Fn(&Self) -> &Samples| {
            row.map(|row| match against {
                Some((name, other)) => row.against(name, of(other)),
                None => row,
            })
        };
        let mut rows =
            vec![compared(Row::rates(format!("{what}, one TCP stream"), &self.stream), &|other| &other.stream)];
        for (at, size) in SIZES.into_iter().enumerate() {
            let frames = Row::frame_rates(format!("{what}, frames of {size}"), &self.frames[at]);
            rows.push(compared(frames, &|other| &other.frames[at]));
            let round_trips = Row::short_times(format!("{what}, round trip of {size}"), &self.round_trips[at]);
            rows.push(compared(round_trips, &|other| &other.round_trips[at]));
        }
        rows
    }
}

pub(crate) async fn measure(bench: &Bench) -> TestResult<Vec<Option<Row>>> {
    let lacking_vde = lacking_program("vde_switch").or_else(|| lacking_program("vde_plug2tap"));
    let mut pairs: Vec<(Pair, Measured)> = pairs(lacking_vde.is_some()).map(|pair| (pair, <_>::default())).collect();
    let (mut bridge, mut vde) = (Measured::default(), Measured::default());
    let mut many = PORTS.map(Many::new);
    let mut alone = Alone::default();
    for _ in 0..bench.rounds(ROUNDS) {
        bridge.take(&Bridge::new().await?.pair, TRANSFER.0).await?;
        if lacking_vde.is_none() {
            let lan = Vde::new(2).await?;
            vde.take(lan.pairs.as_slice().try_into()?, TRANSFER.1).await?;
        }
        for (pair, measured) in &mut pairs {
            pair.measure(measured).await.map_err(|error| format!("{pair}: {error}"))?;
        }
        for many in &mut many {
            many.measure(lacking_vde.is_none()).await?;
        }
        alone.measure(lacking_vde.is_none()).await?;
    }
    let mut rows = match lacking_vde {
        None => vde.rows(VDE, Some((BRIDGE, &bridge))),
        Some(why) => vec![Some(Row::lacking(VDE, why))],
    };
    for (pair, measured) in pairs {
        let against = if pair.is_of_kernel() { (BRIDGE, &bridge) } else { (VDE, &vde) };
        rows.extend(measured.rows(pair, Some(against)));
    }
    rows.extend(many.iter().flat_map(Many::rows));
    rows.extend(alone.rows());
    Ok(rows)
}

/// All pairs that can be measured, on both kinds of segments.
fn pairs(without_vde: bool) -> impl Iterator<Item = Pair> {
    let kinds = move || KINDS.into_iter().filter(move |&kind| !(without_vde && kind == Kind::Vde)).enumerate();
    let pairs = move || kinds().flat_map(move |(at, one)| kinds().skip(at).map(move |(_, two)| (one, two)));
    [Fabric::Bridge, Fabric::Switch]
        .into_iter()
        .flat_map(move |fabric| pairs().map(move |(one, two)| Pair(fabric, one, two)))
}

/// Many ports of one switch, which send two and two.
struct Many {
    ports: u8,
    rates: [Samples; 2],
    costs: [Samples; 2],
}

impl Many {
    fn new(ports: u8) -> Self {
        Self { ports, rates: <_>::default(), costs: <_>::default() }
    }

    async fn measure(&mut self, with_vde: bool) -> TestResult {
        let lan = Fabric::Switch.lan(false).await?;
        let mut pairs = Vec::new();
        for node in (1..self.ports).step_by(2) {
            let [one, two] = [node, node + 1].map(|node| Endpoint::plug(&lan, Kind::TapDescriptor, node, 1500));
            pairs.push((one.await?, two.await?));
        }
        self.take(0, &pairs).await?;
        if with_vde {
            self.take(1, &Vde::new(self.ports).await?.pairs).await?;
        }
        Ok(())
    }

    async fn take(&mut self, at: usize, pairs: &[(Endpoint, Endpoint)]) -> TestResult {
        let flow = load::frames(pairs, SIZES[1], TIME).await?;
        self.rates[at].push(flow.rate);
        self.costs[at].push(flow.cost);
        Ok(())
    }

    fn rows(&self) -> [Option<Row>; 2] {
        let Self { ports, rates, costs } = self;
        let what = format!("switch with {ports} ports (tap_descriptor)");
        [
            Row::frame_rates(format!("{what}, frames of {}", SIZES[1]), &rates[0])
                .map(|row| row.against(VDE, &rates[1])),
            Row::short_times(format!("{what}, processor time of each"), &costs[0])
                .map(|row| row.against(VDE, &costs[1])),
        ]
    }
}

/// A switch whose ports are the load's own sockets: nobody else takes part.
#[derive(Default)]
struct Alone {
    ours: [[Frames; SIZES.len()]; SOCKETS.len()],
    vde: [Frames; SIZES.len()],
}

/// Frames of one size.
#[derive(Default)]
struct Frames {
    rates: Samples,
    costs: Samples,
}

impl Alone {
    async fn measure(&mut self, with_vde: bool) -> TestResult {
        for (kind, sizes) in SOCKETS.into_iter().zip(&mut self.ours) {
            let lan = Fabric::Switch.lan(false).await?;
            Self::take(&Direct::plug(&lan, kind).await?, sizes).await?;
        }
        if with_vde {
            let switch = VdeSwitch::start(2).await?;
            Self::take(&Direct::of_vde_switch(&switch.directory).await?, &mut self.vde).await?;
        }
        Ok(())
    }

    async fn take(pair: &Direct, sizes: &mut [Frames; SIZES.len()]) -> TestResult {
        for (size, frames) in SIZES.into_iter().zip(sizes) {
            let flow = pair.frames(size, TIME).await?;
            frames.rates.push(flow.rate);
            frames.costs.push(flow.cost);
        }
        Ok(())
    }

    fn rows(&self) -> Vec<Option<Row>> {
        let mut rows = Vec::new();
        for (kind, sizes) in SOCKETS.into_iter().zip(&self.ours) {
            for ((size, ours), vde) in SIZES.into_iter().zip(sizes).zip(&self.vde) {
                let what = format!("switch alone: {kind} to {kind}");
                let rates = Row::frame_rates(format!("{what}, frames of {size}"), &ours.rates);
                rows.push(rates.map(|row| row.against(VDE_ALONE, &vde.rates)));
                let costs = Row::short_times(format!("{what}, processor time of each frame of {size}"), &ours.costs);
                rows.push(costs.map(|row| row.against(VDE_ALONE, &vde.costs)));
            }
        }
        rows
    }
}
