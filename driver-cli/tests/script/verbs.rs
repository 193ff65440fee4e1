//! What a script can do with machines.

use driver_core::guest::Exit;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn commands() {
    let stage = Stage::new(&["server"]);
    let script = r#"
from datetime import timedelta
assert server.succeed("echo one", "echo two") == "one\ntwo\n"
assert server.execute("echo out; echo err >&2; exit 3") == (3, "out\n")
assert server.execute("echo out; exit 3", check_return=False) == (-1, "out\n")
assert server.fail("echo no; exit 1") == "no\n"
assert server.execute("sleep 10", timeout=timedelta(milliseconds=50))[0] == 124
ran = server.run("echo out; echo err >&2; exit 4")
assert (ran.status, ran.stdout, ran.stderr) == (4, "out\n", "err\n"), ran
assert server.execute("sleep 0.1; touch later", check_output=False) == (-2, "")
server.wait_for_file("later")
server.succeed("printf '\\377'") == "\ufffd"
assert len(server.succeed("head -c 9000000 /dev/zero | tr '\\0' x")) == 9_000_000
server.sleep(duration=timedelta(milliseconds=1))
server.sleep(0)
"#;
    stage.pass(script).await;
    assert!(stage.fake("server").commands().iter().any(|command| command.ends_with("echo two")));
}
