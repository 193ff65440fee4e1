//! Reports of real runs, as another parser reads them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tandem_tests::program::{Ended, Program};
use tandem_tests::{TestResult, host_lock, requirement};

const PATIENCE: Duration = Duration::from_secs(120);
const STORY: &str = env!("CARGO_BIN_EXE_story-under-test");
const TANDEM: &str = env!("CARGO_BIN_EXE_tandem-under-test");

/// What a Python expression says of the root element `r` of a file.
fn parsed(ended: &Ended, file: &str, expression: &str) -> TestResult<String> {
    let code = format!("import xml.etree.ElementTree as E\nr = E.parse('{file}').getroot()\nprint({expression})");
    let output = Command::new("python3").args(["-c", &code]).current_dir(ended.directory.path()).output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{said}\n{}", fs::read_to_string(ended.directory.path().join(file))?);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[test]
fn the_xml_log_is_whole_whenever_the_driver_is_killed() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    for (phase, pause) in [("plan", 100), ("boot", 100), ("boot", 400), ("command", 100), ("copy", 50), ("reboot", 200)]
    {
        let program = Program::start(STORY, &["log.xml"], &[])?;
        assert!(program.says(phase, PATIENCE), "it does not come to {phase}");
        std::thread::sleep(Duration::from_millis(pause));
        program.signal(Signal::KILL)?;
        let ended = program.wait(PATIENCE)?;
        let lines = parsed(&ended, "log.xml", "len(r.findall('.//line'))")?.parse::<u32>()?;
        assert!(lines > 0 || phase == "plan", "{phase}");
    }
    Ok(())
}

#[test]
fn the_xml_log_tells_the_whole_run() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let ended = Program::start(STORY, &["log.xml"], &[])?.wait(PATIENCE)?;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(
        parsed(&ended, "log.xml", "r.tag, {e.tag for e in r.iter()} - {'logfile', 'nest', 'head', 'line'}")?,
        "logfile set()"
    );
    let heads = parsed(&ended, "log.xml", "[(h.get('machine'), h.text) for h in r.iter('head')]")?;
    assert!(heads.contains("('one', 'must succeed: head -c 100000 /dev/zero | wc -c; sleep 0.05')"), "{heads}");
    let serial = parsed(
        &ended,
        "log.xml",
        "{l.get('machine') for l in r.iter('line') if l.get('type') == 'serial'} == {'one', 'two'}",
    )?;
    assert_eq!(serial, "True");
    Ok(())
}

const SCRIPT: &str = r#"# /// script
# requires-python = ">=3.11"
# [tool.tandem.machines.m]
# backend = "container"
# ///
with subtest("boots"):
    m.succeed("echo out")
with subtest("fails"):
    with subtest("in it"):
        m.succeed("echo 'why <&>'; echo 'why <&>' >&2; exit 3")
"#;

#[test]
fn junit_has_a_suite_for_each_test_and_a_case_for_each_subtest() -> TestResult {
    if !requirement::containers_and("python3") {
        return Ok(());
    }
    let _lock = host_lock::shared()?;
    let files = [("one.py", SCRIPT), ("two.py", &SCRIPT.replace("exit 3", "exit 0"))];
    let ended =
        Program::start(TANDEM, &["run", "--junit-xml", "junit.xml", "one.py", "two.py"], &files)?.wait(PATIENCE)?;
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    let cases = "[(s.get('name'), [(c.get('name'), c.find('failure') is not None) for c in s]) for s in r]";
    let expected = "[('one', [('boots', False), ('fails', True), ('in it', True), ('main', False)]), \
                    ('two', [('boots', False), ('fails', False), ('in it', False), ('main', False)])]";
    assert_eq!(parsed(&ended, "junit.xml", cases)?, expected);
    let why = parsed(&ended, "junit.xml", "r[0][2].find('failure').get('message')")?;
    assert!(why.ends_with("failed (exit code 3)"), "{why}");
    let out = parsed(&ended, "junit.xml", "r[0][2].find('system-out').text")?;
    assert!(out.contains("\nm: output: why <&>\n") && out.ends_with("\nm: error output: why <&>"), "{out}");
    Ok(())
}
