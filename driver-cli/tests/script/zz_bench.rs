use crate::stage::Stage;
#[tokio::test(flavor = "multi_thread")]
async fn zz_bench() {
    let stage = Stage::new(&["server"]);
    stage.fake("server").boot_says((0..50_000).map(|n| format!("[{n:>10}] unit number {n} did something that nobody cares about")));
    let script = r#"
import time
server.start()
t0=time.perf_counter()
server.wait_for_console_text("number 49999 did")
t1=time.perf_counter()
x=server.get_console_log()
t2=time.perf_counter()
y=server.succeed("head -c 9000000 /dev/zero | tr '\\0' x")
t3=time.perf_counter()
for i in range(200): server.execute("true")
t4=time.perf_counter()
print("console %.3f log %.3f (%d) big %.3f exec %.1f us" % (t1-t0, t2-t1, len(x), t3-t2, (t4-t3)/200*1e6))
"#;
    stage.pass(script).await;
    eprintln!("{:?}", stage.messages());
}
