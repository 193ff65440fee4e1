//! What upstream's scripts rely on that no other test shows.

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn modules_have_upstreams_paths() {
    let stage = Stage::new(&["server"]);
    let script = "
import importlib
for name in ['errors', 'machine', 'machine.qmp', 'driver', 'vlan', 'logger', 'polling_condition']:
    importlib.import_module('test_driver.' + name)
from test_driver.errors import MachineError, RequestedAssertionFailed
assert issubclass(RequestedAssertionFailed, AssertionError) and not issubclass(MachineError, AssertionError)
";
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_shutdown_in_vain_is_subprocess_timeout() {
    let stage = Stage::new(&["server"]);
    let script = "
from datetime import timedelta
from subprocess import TimeoutExpired
server.wait_for_shutdown(timeout=timedelta(minutes=1))  # it does not run
server.start()
with t.assertRaises(TimeoutExpired):
    server.wait_for_shutdown(timeout=timedelta(milliseconds=20))
assert server.is_up()
";
    stage.pass(script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_the_shell_can_be_large() {
    let stage = Stage::new(&["server"]);
    let script = r#"
import pathlib
here = pathlib.Path(__file__).parent
(here / "large").write_bytes(b"ab" * 2_000_000)
server.copy_from_host_via_shell(here / "large", str(here / "below" / "large"))
assert (here / "below" / "large").read_bytes() == b"ab" * 2_000_000
"#;
    stage.pass(script).await;
}
