//! Runs that live and runs that were killed, as others see them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_tests::leftovers::Snapshot;
use tandem_tests::{TestResult, host_lock, requirement};

use crate::stage::{begin, end, kill, listed, said};

#[test]
fn a_dead_run_is_shown_and_removed_and_a_living_one_is_not_touched() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::alone()?;
    let before = Snapshot::take(&[])?;
    let living = begin("ps-living")?;
    let output = living.directory().canonicalize()?.join("tandem-out/ps-living");
    let script = living.directory().canonicalize()?.join("ps-living.py");
    let shown = listed("ps-living")?.ok_or("the living run is not shown")?;
    assert_eq!((&shown["alive"], &shown["note"]), (&json!(true), &Value::Null));
    assert_eq!((path(&shown["output"]), path(&shown["script"])), (&*output, &*script));
    assert!(shown["elapsed"].as_f64().is_some_and(|elapsed| (0.0..120.0).contains(&elapsed)), "{shown}");
    let driver = shown["driver"].as_i64().and_then(|pid| i32::try_from(pid).ok()).ok_or("there is no pid")?;
    assert!(living.pen.processes().contains(&driver), "{driver}");
    let machines = json!([
        {"name": "one", "backend": "container", "state": "up"},
        {"name": "two", "backend": "container", "state": "not_started"},
    ]);
    assert_eq!(shown["machines"], machines);
    let name = shown["name"].as_str().ok_or("it has no name")?;

    let dead = begin("ps-dead")?;
    assert_eq!(listed("ps-dead")?.ok_or("the second run is not shown")?["alive"], true);
    let dead = kill(dead)?;
    let shown = listed("ps-dead")?.ok_or("the dead run is not shown")?;
    assert_eq!((&shown["alive"], &shown["elapsed"]), (&json!(false), &Value::Null));
    let directory = path(&shown["directory"]);
    let cgroups = dead.below();
    assert!(directory.exists() && !cgroups.is_empty());

    let text = said(&["ps"])?;
    for line in ["test ps-dead, dead", "machine one  container  up", "machine two  container  not started"] {
        assert!(text.contains(line), "{line} in {text}");
    }

    let would = said(&["clean", "--dry-run"])?;
    assert!(would.contains(&format!("would remove run {}", shown["name"].as_str().unwrap_or("?"))), "{would}");
    assert!(would.contains(&directory.display().to_string()) && !would.contains(name), "{would}");
    assert!(directory.exists() && !dead.below().is_empty());

    let removed = said(&["clean"])?;
    assert!(removed.contains("of test ps-dead") && !removed.contains("ps-living"), "{removed}");
    assert!(!directory.exists() && dead.below().is_empty());
    assert!(listed("ps-dead")?.is_none());
    assert!(!said(&["clean"])?.contains("ps-"));

    assert_eq!(listed("ps-living")?.ok_or("the living run is gone")?["machines"], machines);
    let living = end(living)?;
    assert!(listed("ps-living")?.is_none());
    before.restored_within(Duration::from_secs(1), &[&living, &dead])?;
    Ok(())
}

fn path(value: &Value) -> &Path {
    Path::new(value.as_str().unwrap_or_default())
}
