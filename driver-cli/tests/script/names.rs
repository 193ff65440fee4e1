//! The names that a script finds defined.

use std::sync::atomic::Ordering;

use driver_core::event::Level;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn machines_and_vlans() {
    let stage = Stage::new(&["a-b", "client"]);
    let script = r#"
from test_driver.machine import BaseMachine as Base, NspawnMachine as Nspawn, retry as retry_too
from test_driver.driver import Driver
from test_driver.vlan import VLan
assert a_b.name == "a-b" and repr(client) == "<NspawnMachine 'client'>"
assert machines == [a_b, client] == machines_nspawn == driver.machines and machines_qemu == []
assert isinstance(a_b, Nspawn) and Nspawn is NspawnMachine and Base is BaseMachine and not isinstance(a_b, QemuMachine)
assert repr(vlans) == "[<Vlan Nr. 1>]" and vlan1 is vlans[0] and isinstance(vlan1, VLan) and vlan1.nr == 1
assert isinstance(driver, Driver) and driver.logger is log and retry is retry_too
assert os.path.isdir(driver.out_dir)
assert __name__ == "__main__" and __file__.endswith("/test.py")
import sys
assert sys.argv == [__file__] and sys.modules["__main__"].a_b is a_b and sys.stdin.read() == ""
assert "machine" not in globals()
"#;
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_beside_the_script_can_be_imported_but_hide_nothing() {
    let stage = Stage::new(&[]);
    std::fs::write(stage.path().join("helper.py"), "answer = 42\n").unwrap();
    std::fs::write(stage.path().join("base64.py"), "raise ImportError('not this one')\n").unwrap();
    stage.pass("import base64, helper\nassert helper.answer == 42\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_machine_has_a_second_name_that_warns_once() {
    let stage = Stage::new(&["server"]);
    stage.pass("assert isinstance(machine, NspawnMachine)\nmachine.succeed('true')\nmachine.succeed('true')\n").await;
    let warnings: Vec<_> =
        stage.messages_with_place().into_iter().filter(|(_, level, _)| *level == Level::Warning).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].0.contains("call it `server`"), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log() {
    let stage = Stage::new(&["server"]);
    let script = r#"
log.log("plain")
log.debug("debug")
log.info("info")
log.warning("warning")
log.log_test_error("error")
server.log("of the machine")
log.info(42)
"#;
    stage.pass(script).await;
    let told: Vec<_> = stage.messages_with_place().into_iter().map(|(text, level, _)| (text, level)).collect();
    let told: Vec<_> = told.iter().map(|(text, level)| (text.as_str(), *level)).collect();
    let expected = [
        ("plain", Level::Info),
        ("debug", Level::Debug),
        ("info", Level::Info),
        ("warning", Level::Warning),
        ("error", Level::Error),
        ("of the machine", Level::Info),
        ("42", Level::Info),
    ];
    assert_eq!(told, expected);
    let machine = stage.events().into_iter().find_map(|event| event.machine);
    assert_eq!(machine.as_deref(), Some("server"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_log_ends_the_script() {
    let stage = Stage::new(&[]);
    assert_eq!(stage.fail("log.error('no use')\nlog.info('not reached')\n").await, "no use");
    assert_eq!(stage.messages(), ["no use"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn consoles_can_be_hidden() {
    let stage = Stage::new(&[]);
    stage.pass("serial_stdout_off()\n").await;
    assert!(!stage.consoles_shown.load(Ordering::Relaxed));
    stage.pass("serial_stdout_on()\n").await;
    assert!(stage.consoles_shown.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_numbers_warn_once_for_each_line() {
    let stage = Stage::new(&["server"]);
    let script = r"
for _ in range(3):
    server.succeed('true', timeout=5)
server.succeed('true', timeout=5)
retry(lambda last: True, timeout_seconds=5)
";
    stage.pass(script).await;
    let warnings: Vec<_> = stage.messages().into_iter().filter(|text| text.contains("DeprecationWarning")).collect();
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    let place = format!("{}:3: DeprecationWarning: succeed(): passing a bare int/float", stage.script_path().display());
    assert!(warnings[0].starts_with(&place), "{warnings:#?}");
}
