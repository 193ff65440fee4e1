//! What was measured, as a table for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::bench::Bench;
use crate::samples::{Samples, Summary};

/// All that was measured, and where.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    host: String,
    rows: Vec<Row>,
}

/// One thing that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    ours: Summary,
    floor: Option<Floor>,
    /// How many times the floor ours is, by their medians.
    ratio: Option<f64>,
}

/// The least that a thing could take.
#[derive(Debug, Serialize)]
pub(crate) struct Floor {
    what: &'static str,
    #[serde(flatten)]
    summary: Summary,
}

impl Row {
    /// Times in milliseconds; none if there are no samples.
    pub(crate) fn times(what: impl Into<String>, ours: &Samples) -> Option<Self> {
        Some(Self { what: what.into(), unit: "ms", ours: ours.summary()?, floor: None, ratio: None })
    }

    /// Memory in megabytes; none if there are no samples.
    pub(crate) fn megabytes(what: impl Into<String>, ours: &Samples) -> Option<Self> {
        Self::times(what, ours).map(|row| Self { unit: "MB", ..row })
    }

    /// The same row with what it is compared to.
    pub(crate) fn against(mut self, what: &'static str, floor: &Samples) -> Self {
        self.floor = floor.summary().map(|summary| Floor { what, summary });
        self.ratio = self.floor.as_ref().map(|floor| self.ours.p50 / floor.summary.p50);
        self
    }
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
        let line = format!("{:width$}  {:>4}  {:>7}  {:>7}     ", "what", "n", "p50", "p99");
        writeln!(f, "{line}{:>7}  {:>7}  {:>6}  floor", "floor", "p99", "ratio")?;
        for Row { what, unit, ours, floor, ratio } in &self.rows {
            let numbers = |summary: &Summary| format!("{:>7.2}  {:>7.2}", summary.p50, summary.p99);
            write!(f, "{what:width$}  {:>4}  {}  {unit}", ours.n, numbers(ours))?;
            if let (Some(floor), Some(ratio)) = (floor, ratio) {
                write!(f, " {}  {ratio:>6.2}  {}", numbers(&floor.summary), floor.what)?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nOf fewer than 100 measurements, p99 is the worst.")
    }
}
