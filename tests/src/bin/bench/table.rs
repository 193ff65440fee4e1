//! What was measured, as a table for people and as JSON.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::bench::Bench;
use crate::samples::{Samples, Summary, Worst};

/// All that was measured, and where.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    host: String,
    rows: Vec<Row>,
}

/// One thing that was measured, or was to be.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    ours: Option<Summary>,
    against: Option<Against>,
    /// How many times that ours is, by their medians.
    ratio: Option<f64>,
    /// Why it could not be measured.
    lacking: Option<String>,
}

/// What a thing is compared to: the least that it could take, or upstream's way.
#[derive(Debug, Serialize)]
pub(crate) struct Against {
    what: &'static str,
    #[serde(flatten)]
    summary: Summary,
}

impl Row {
    /// Times in milliseconds; none if there are no samples.
    pub(crate) fn times(what: impl Into<String>, ours: &Samples) -> Option<Self> {
        Self::new(what, "ms", ours)
    }

    /// Times in microseconds; none if there are no samples.
    pub(crate) fn short_times(what: impl Into<String>, ours: &Samples) -> Option<Self> {
        Self::new(what, "us", ours)
    }

    /// Memory in megabytes; none if there are no samples.
    pub(crate) fn megabytes(what: impl Into<String>, ours: &Samples) -> Option<Self> {
        Self::new(what, "MB", ours)
    }

    /// Gigabits per second; none if there are no samples.
    pub(crate) fn rates(what: impl Into<String>, ours: &Samples) -> Option<Self> {
        Self::new(what, RATE, ours)
    }

    /// Thousands of frames per second; none if there are no samples.
    pub(crate) fn frame_rates(what: impl Into<String>, ours: &Samples) -> Option<Self> {
        Self::new(what, FRAME_RATE, ours)
    }

    /// A thing that this host has not what it takes to measure.
    pub(crate) fn lacking(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), unit: "", ours: None, against: None, ratio: None, lacking: Some(why.into()) }
    }

    /// The same row with what it is compared to.
    pub(crate) fn against(mut self, what: &'static str, other: &Samples) -> Self {
        self.against = other.summary(worst(self.unit)).map(|summary| Against { what, summary });
        let medians = self.ours.as_ref().zip(self.against.as_ref());
        self.ratio = medians.map(|(ours, against)| ours.p50 / against.summary.p50);
        self
    }

    fn new(what: impl Into<String>, unit: &'static str, ours: &Samples) -> Option<Self> {
        let ours = Some(ours.summary(worst(unit))?);
        Some(Self { what: what.into(), unit, ours, against: None, ratio: None, lacking: None })
    }
}

const RATE: &str = "Gbit/s";

const FRAME_RATE: &str = "kfps";

fn worst(unit: &str) -> Worst {
    if [RATE, FRAME_RATE].contains(&unit) { Worst::Least } else { Worst::Most }
}

impl Table {
    pub(crate) fn new(bench: &Bench) -> Self {
        Self { host: bench.host(), rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, rows: impl IntoIterator<Item = Option<Row>>) {
        self.rows.extend(rows.into_iter().flatten());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or_default();
        writeln!(f, "{}\n", self.host)?;
        write!(f, "{:width$}  {:>5}  {:>8}  {:>8}  {:6}", "what", "n", "p50", "p99", "")?;
        writeln!(f, "  {:>8}  {:>8}  {:>7}  against", "against", "p99", "ratio")?;
        let numbers = |summary: &Summary| format!("{:>8.2}  {:>8.2}", summary.p50, summary.p99);
        for Row { what, unit, ours, against, ratio, lacking } in &self.rows {
            let mut line = format!("{what:width$}");
            if let Some(ours) = ours {
                write!(line, "  {:>5}  {}  {unit:6}", ours.n, numbers(ours))?;
            }
            if let (Some(against), Some(ratio)) = (against, ratio) {
                write!(line, "  {}  {ratio:>7.3}  {}", numbers(&against.summary), against.what)?;
            }
            if let Some(lacking) = lacking {
                write!(line, "  not measured: {lacking}")?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "\nOf fewer than 100 measurements, p99 is the worst. Of rates the least are the worst.")
    }
}
