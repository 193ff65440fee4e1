# What nixpkgs' documentation shows of each area, and all else that is right.
from datetime import timedelta

from test_driver.errors import MachineError, RequestedAssertionFailed
from test_driver.machine import BaseMachine as Base
from test_driver.machine.qmp import QMPAPIError

# Commands
start_all()
server.start()
server.wait_for_unit("multi-user.target")
status, output = server.execute("uname", check_return=True, timeout=timedelta(minutes=1))
number: int = status + 1
text: str = output + server.succeed("uname", "uname -a") + server.fail("false", timeout=None)
server.wait_until_succeeds("true", timeout=timedelta(seconds=90)).strip()
server.wait_until_fails("false").strip()
server.sleep(duration=timedelta(seconds=1))

# Units
status, output = server.systemctl("list-jobs --no-pager", user="alice")
server.systemctl("start x.service")
server.require_unit_state("x.service", require_state="active")
properties: dict[str, str] = server.get_unit_info("x.service")
state: str = server.get_unit_property("x.service", "ActiveState")
server.wait_for_unit("x.service", "alice", timedelta(minutes=5))
server.start_job("x.service")
server.stop_job("x.service", user="alice")

# Waits
server.wait_for_file("/tmp/x")
server.wait_for_open_port(80)
server.wait_for_open_port(443, "example.org", timeout=timedelta(seconds=5))
server.wait_for_closed_port(80, addr="localhost")
server.wait_for_open_unix_socket("/run/x", is_datagram=True)
client.wait_for_console_text("systemd.*started", timeout=timedelta(minutes=1))
client.wait_until_tty_matches("1", "login: ")
client.wait_for_text("Welcome")

# Life
server.shutdown()
server.wait_for_shutdown(timeout=timedelta(seconds=30))
client.start(allow_reboot=True)
client.connect()
client.crash()
client.reboot()
client.block()
client.unblock()
up: bool = client.is_up() and client.booted

# Screen and keyboard
client.screenshot("boot")
client.send_key("ctrl-alt-delete", delay=timedelta(milliseconds=1), log=False)
client.send_chars("root\n")
lines: list[str] = [client.get_screen_text(), *client.get_screen_text_variants(), client.get_tty_text("1")]
client.send_console("root\n")
logged: str = client.get_console_log()

# Monitor
answer: str = client.send_monitor_command("info status")
client.qmp_client.send("query-status", {})
event = client.wait_for_qmp_event(lambda event: bool(event["event"] == "RESET"))
try:
    client.qmp_client.send("no-such")
except QMPAPIError as error:
    log.warning(error.class_name + error.description)

# Files
server.copy_from_machine("/etc/os-release", "etc")
server.copy_from_host(driver.out_dir / "x", "/tmp/x")
server.copy_from_host_via_shell("x", "/tmp/x")
client.forward_port(host_port=8080, guest_port=80)

# Subtests, the record, assertions
with subtest("the page is served"), server.nested("a step"), log.nested("another"):
    t.assertEqual(server.succeed("true"), "")
    with t.assertRaises(RequestedAssertionFailed):
        server.succeed("false")
    t.assertRegex(output, "x")
log.info("done")
server.log("done")
log.debug("so far")
serial_stdout_off()
serial_stdout_on()


# Polling conditions and retries
@polling_condition
def foo_running():
    server.succeed("pgrep -x foo")


@polling_condition(interval=timedelta(seconds=10), description="check that foo is running")
def bar_running() -> bool:
    return server.execute("pgrep -x bar")[0] == 0


with foo_running, bar_running:
    foo_running.wait(timeout=timedelta(minutes=1))
retry(lambda last: server.is_up(), timeout=timedelta(seconds=5))

# What concerns all machines
everyone: list[BaseMachine] = machines
names = [machine.name for machine in machines_qemu] + [machine.name for machine in machines_nspawn]
first: Base = machines[0]
if isinstance(first, QemuMachine):
    first.crash()
vlan: int = vlan1.nr + vlans[0].nr
print(os.environ.get("HOME"), driver.machines, driver.out_dir)
try:
    join_all()
except MachineError as broken:
    print(broken)

# LANs
vlan1.partition([server], [client])
vlan1.heal()
server.link(vlan1).impair(delay="10ms")
with vlan1.capture("all.pcapng") as capture:
    frames: int = capture.frames

# The prompt and the debugger
other: QemuMachine = create_machine("run-other-vm", name="other", keep_machine_state=True)
debug.breakpoint()
debug.breakpoint(host="127.0.0.1", port=4444)
dump_machine_ssh()
run_tests()
test_script()
