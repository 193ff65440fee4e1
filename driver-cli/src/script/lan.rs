//! The verbs of LANs and links: what calls of the interface ask for, and what they are answered with.

use std::collections::BTreeMap;
use std::path::Path;

use driver_core::lan::{self, CaptureOptions, Direction, Distribution, Impairment, Link, Vlan};
use driver_core::machine::Machine;
use driver_core::spec::VlanId;
use serde::{Deserialize, Serialize};
use zlink::introspect::{CustomType, Type};

use super::capture::Captures;
use super::failure::Failure;
use super::reply::{Answer, Done, Waiting};

/// Which way frames go, as the machine sees it.
#[derive(Clone, Copy, Debug, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub(super) enum LinkDirection {
    /// From the machine and to it.
    Both,
    /// From the machine to the LAN.
    Out,
    /// From the LAN to the machine.
    In,
}

/// How delays deviate.
#[derive(Clone, Copy, Debug, Deserialize, CustomType)]
#[serde(rename_all = "snake_case")]
#[zlink(rename_all = "snake_case")]
pub(super) enum Spread {
    /// Every deviation up to the jitter is as likely as another.
    Uniform,
    /// The jitter is the standard deviation.
    Normal,
    /// Most are a little early, few are very late.
    Pareto,
}

/// What is wrong with a link; nothing where nothing is said.
#[derive(Clone, Debug, Deserialize, CustomType)]
pub(super) struct Faults {
    /// How long each frame takes, such as `50ms`.
    delay: Option<String>,
    /// How far that deviates, such as `10ms`.
    jitter: Option<String>,
    /// How deviations are distributed.
    distribution: Option<Spread>,
    /// The share of frames that are lost, such as `1%`.
    loss: Option<String>,
    /// How many are lost in a row on average.
    burst: Option<f64>,
    /// The share of frames that arrive twice.
    duplicate: Option<String>,
    /// The share of frames that overtake those before them.
    reorder: Option<String>,
    /// The share of frames with a bit flipped.
    corrupt: Option<String>,
    /// Bits a second, such as `10mbit`.
    rate: Option<String>,
    /// How many frames can wait.
    limit: Option<u64>,
    /// Makes what happens to the n-th frame the same in each run.
    seed: Option<u64>,
}

/// What passed a link.
#[derive(Clone, Debug, Serialize, CustomType)]
pub(super) struct LinkCounts {
    /// From the machine to the LAN.
    sent: FlowCounts,
    /// From the LAN to the machine.
    received: FlowCounts,
}

/// What passed a link in one direction, and what did not.
#[derive(Clone, Debug, Serialize, CustomType)]
pub(super) struct FlowCounts {
    /// Frames that passed.
    frames: u64,
    /// Their bytes.
    bytes: u64,
    /// Frames that the link's faults lost.
    lost: u64,
    /// Frames that they doubled.
    duplicated: u64,
    /// Frames that they sent ahead of others.
    reordered: u64,
    /// Frames that they flipped a bit of.
    corrupted: u64,
    /// Frames dropped because a queue was full.
    overflowed: u64,
    /// Frames dropped because the link was down, or by a partition.
    blocked: u64,
    /// Frames dropped because they are none, or too long.
    malformed: u64,
}

/// The counts of links.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Counts {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    /// The counts of each machine's link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) machines: Option<BTreeMap<String, LinkCounts>>,
}

impl Answer for Counts {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), machines: None }
    }
}

pub(super) async fn partition(vlan: Vlan, groups: Vec<Vec<String>>, one_way: bool) -> Result<Done, Failure> {
    match &groups[..] {
        [from, to] if one_way => vlan.partition_one_way(from, to).await?,
        _ if one_way => return Err(refused(format!("{vlan}: partition: one way goes from one group to one other"))),
        _ => vlan.partition(&groups).await?,
    }
    Ok(Done::default())
}

pub(super) async fn isolate(vlan: Vlan, machine: String) -> Result<Done, Failure> {
    vlan.isolate(&machine).await?;
    Ok(Done::default())
}

pub(super) async fn heal(vlan: Vlan) -> Result<Done, Failure> {
    vlan.heal().await?;
    Ok(Done::default())
}

pub(super) async fn vlan_stats(vlan: Vlan) -> Result<Counts, Failure> {
    let counts = vlan.stats().await?.into_iter().map(|(name, stats)| (name, stats.into()));
    Ok(Counts { machines: Some(counts.collect()), waiting: None })
}

pub(super) async fn impair(
    machine: Machine,
    vlan: i64,
    direction: Option<LinkDirection>,
    faults: Faults,
) -> Result<Done, Failure> {
    let link = link(&machine, vlan)?;
    let asked = faults.read().map_err(|why| refused(format!("{link}: impair: {why}")))?;
    link.impair(direction.map_or(Direction::Both, Into::into), &asked).await?;
    Ok(Done::default())
}

pub(super) async fn clear(machine: Machine, vlan: i64) -> Result<Done, Failure> {
    link(&machine, vlan)?.clear().await?;
    Ok(Done::default())
}

pub(super) async fn set(machine: Machine, vlan: i64, up: bool) -> Result<Done, Failure> {
    let link = link(&machine, vlan)?;
    if up {
        link.up().await?;
    } else {
        link.down().await?;
    }
    Ok(Done::default())
}

pub(super) async fn link_stats(machine: Machine, vlan: i64) -> Result<Counts, Failure> {
    let link = link(&machine, vlan)?;
    let counts = [(machine.name().to_owned(), link.stats().await?.into())];
    Ok(Counts { machines: Some(counts.into()), waiting: None })
}

pub(super) async fn capture_vlan(
    captures: Captures,
    vlan: Vlan,
    file: String,
    limit: Option<u64>,
) -> Result<Capturing, Failure> {
    Ok(Capturing::of(&captures, vlan.capture(Path::new(&file), CaptureOptions { limit }).await?))
}

pub(super) async fn capture_link(
    captures: Captures,
    machine: Machine,
    vlan: i64,
    file: String,
    limit: Option<u64>,
) -> Result<Capturing, Failure> {
    let link = link(&machine, vlan)?;
    Ok(Capturing::of(&captures, link.capture(Path::new(&file), CaptureOptions { limit }).await?))
}

pub(super) async fn stop_capture(captures: Captures, number: u64) -> Result<Captured, Failure> {
    let capture = captures.take(number).ok_or_else(|| refused(format!("no capture {number} goes on")))?;
    let summary = capture.finish().await?;
    Ok(Captured { frames: Some(summary.frames), dropped: Some(summary.dropped), waiting: None })
}

/// A capture that began.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Capturing {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    /// Its number, by which `StopCapture` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<u64>,
    /// The absolute path of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

impl Capturing {
    fn of(captures: &Captures, capture: lan::Capture) -> Self {
        let path = capture.path().to_string_lossy().into_owned();
        Self { capture: Some(captures.add(capture)), path: Some(path), waiting: None }
    }
}

impl Answer for Capturing {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..Self::default() }
    }
}

/// A capture that ended.
#[derive(Debug, Default, Serialize, Type)]
pub(super) struct Captured {
    /// Set in interim replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    /// How many frames are in its file, or were before they had to go for newer ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<u64>,
    /// How many came faster than they could be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

impl Answer for Captured {
    fn interim(waiting: Waiting) -> Self {
        Self { waiting: Some(waiting), ..Self::default() }
    }
}

impl Faults {
    /// What the texts mean, or what is wrong with one.
    fn read(self) -> Result<Impairment, String> {
        fn given<T>(
            name: &str,
            text: Option<String>,
            usual: T,
            parse: fn(&str) -> Result<T, String>,
        ) -> Result<T, String> {
            text.map_or(Ok(usual), |text| parse(&text).map_err(|why| format!("{name}: {why}")))
        }
        let usual = Impairment::default();
        Ok(Impairment {
            delay: given("delay", self.delay, usual.delay, lan::duration)?,
            jitter: given("jitter", self.jitter, usual.jitter, lan::duration)?,
            distribution: self.distribution.map_or(usual.distribution, Into::into),
            loss: given("loss", self.loss, usual.loss, lan::share)?,
            burst: self.burst.unwrap_or(usual.burst),
            duplicate: given("duplicate", self.duplicate, usual.duplicate, lan::share)?,
            reorder: given("reorder", self.reorder, usual.reorder, lan::share)?,
            corrupt: given("corrupt", self.corrupt, usual.corrupt, lan::share)?,
            rate: given("rate", self.rate, usual.rate, |text| lan::rate(text).map(Some))?,
            limit: self.limit.map_or(usual.limit, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            seed: self.seed,
        })
    }
}

impl From<LinkDirection> for Direction {
    fn from(direction: LinkDirection) -> Self {
        match direction {
            LinkDirection::Both => Self::Both,
            LinkDirection::Out => Self::Out,
            LinkDirection::In => Self::In,
        }
    }
}

impl From<Spread> for Distribution {
    fn from(spread: Spread) -> Self {
        match spread {
            Spread::Uniform => Self::Uniform,
            Spread::Normal => Self::Normal,
            Spread::Pareto => Self::Pareto,
        }
    }
}

impl From<lan::LinkStats> for LinkCounts {
    fn from(stats: lan::LinkStats) -> Self {
        Self { sent: stats.out.into(), received: stats.r#in.into() }
    }
}

impl From<lan::Flow> for FlowCounts {
    fn from(flow: lan::Flow) -> Self {
        let lan::Flow { frames, bytes, lost, duplicated, reordered, corrupted, overflowed, blocked, malformed } = flow;
        Self { frames, bytes, lost, duplicated, reordered, corrupted, overflowed, blocked, malformed }
    }
}

fn link(machine: &Machine, vlan: i64) -> Result<Link, Failure> {
    let id = u16::try_from(vlan).ok().and_then(VlanId::new);
    let none = || format!("machine {}: link: {vlan} is no VLAN; use numbers from 1 to 255", machine.name());
    Ok(machine.link(id.ok_or_else(|| refused(none()))?)?)
}

fn refused(message: String) -> Failure {
    Failure::AssertionFailed { message }
}
