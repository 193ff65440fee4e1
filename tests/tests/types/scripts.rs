//! What is told of scripts, good and bad.

use std::path::Path;

use driver_cli::script::check_types;
use driver_core::spec::{self, MachineSpec, Problem, TestSpec, VlanId, Whose};
use tandem_tests::TestResult;

use crate::{at, interpreters};

/// A container `server` and a VM `client`.
fn machines() -> Vec<MachineSpec> {
    vec![MachineSpec::new("server", "container"), MachineSpec::new("client", "vm")]
}

fn test(script: &Path, machines: Vec<MachineSpec>) -> TestSpec {
    TestSpec { script: script.to_owned(), ..TestSpec::new("typed", machines) }
}

/// Writes a script and has it checked by every interpreter that can, which must say the same.
async fn told(script: &str, machines: Vec<MachineSpec>) -> TestResult<Option<Vec<Problem>>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("typed.py");
    std::fs::write(&path, script)?;
    let mut all: Option<Vec<Problem>> = None;
    for python in interpreters() {
        let mut problems = check_types(&test(&path, machines.clone()), Some(&python)).await;
        for problem in &mut problems {
            problem.subject = problem.subject.replace(&directory.path().display().to_string(), "");
        }
        match &all {
            Some(others) => assert_eq!(subjects(others), subjects(&problems), "{}", python.display()),
            None => all = Some(problems),
        }
    }
    Ok(all)
}

fn subjects(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| &*problem.subject).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_every_area_are_well_typed() {
    for python in interpreters() {
        let problems = check_types(&test(&at("tests/types/good.py"), machines()), Some(&python)).await;
        assert_eq!(problems, [], "{}", python.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_well_typed() -> TestResult {
    for python in interpreters() {
        for example in ["hello", "mixed", "faults"] {
            let (test, problems) = spec::examine(&at(&format!("../examples/{example}.py")));
            assert_eq!(problems, []);
            let problems = check_types(&test.ok_or("it can be read")?, Some(&python)).await;
            assert_eq!(problems, [], "{example}, {}", python.display());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_line_is_told_and_no_other() -> TestResult {
    let script = at("tests/types/wrong.py");
    let text = std::fs::read_to_string(&script)?;
    let wrong = text.lines().enumerate().filter(|(_, line)| line.contains("# pyright: ignore"));
    let wrong: Vec<_> = wrong.map(|(index, _)| format!("{}:{}", script.display(), index + 1)).collect();
    for python in interpreters() {
        let problems = check_types(&test(&script, machines()), Some(&python)).await;
        let mut told = subjects(&problems);
        told.dedup();
        assert_eq!(told, wrong, "{}: {problems:#?}", python.display());
        assert!(problems.iter().all(|problem| problem.whose == Whose::User));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_shows_its_line_and_place() -> TestResult {
    let script = "def serve():\n    server.succeed('a', timeouts=1)\n";
    let Some(problems) = told(script, machines()).await? else { return Ok(()) };
    assert_eq!(subjects(&problems), ["/typed.py:2"]);
    let message = &problems[0].message;
    assert!(message.starts_with("Unexpected keyword argument \"timeouts\""), "{message}");
    assert!(message.contains("\n    server.succeed('a', timeouts=1)\n    ^"), "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_of_the_test() -> TestResult {
    let one = MachineSpec { vlans: vec![VlanId::new(7).ok_or("7 is a VLAN")?], ..MachineSpec::new("a-b", "vm") };
    let script = "a_b.start()\nmachine.start()\nvlan7.heal()\nvlan1.heal()\nserver.start()\nVLan\n";
    let Some(problems) = told(script, vec![one]).await? else { return Ok(()) };
    // `VLan` is upstream's leak: its prelude needs the name, too.
    assert_eq!(subjects(&problems), ["/typed.py:4", "/typed.py:5"]);
    let Some(problems) = told("machine.start()\n", machines()).await? else { return Ok(()) };
    assert_eq!(subjects(&problems), ["/typed.py:1"]);
    let plug_in = MachineSpec::new("x", "plug-in");
    let Some(problems) = told("x.start()\nvm: QemuMachine = x\n", vec![plug_in]).await? else { return Ok(()) };
    assert_eq!(subjects(&problems), ["/typed.py:2"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_looks_wrong_is_not_told() -> TestResult {
    let script = "\"\"\"A test.\"\"\"\nfrom __future__ import annotations\n\n\
                  server.nope()  # type: ignore\nreveal_type(server)\n\n\n\
                  def later(count: Count) -> None: ...\n\n\nCount = int\n";
    let Some(problems) = told(script, machines()).await? else { return Ok(()) };
    assert_eq!(problems, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_beside_the_script_are_checked_with_it() -> TestResult {
    let directory = tempfile::tempdir()?;
    let script = directory.path().join("typed.py");
    let helper = directory.path().join("helper.py");
    std::fs::write(&helper, "def answer() -> int:\n    return '42'\n")?;
    std::fs::write(&script, "import helper\nx: str = helper.answer()\n")?;
    for python in interpreters() {
        let problems = check_types(&test(&script, machines()), Some(&python)).await;
        let expected = [format!("{}:2", helper.display()), format!("{}:2", script.display())];
        assert_eq!(subjects(&problems), expected, "{problems:#?}");
    }
    Ok(())
}
