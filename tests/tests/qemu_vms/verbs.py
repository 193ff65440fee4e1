# /// script
# [tool.tandem]
# global-timeout = "10m"
# [tool.tandem.machines.vm]
# backend = "vm"
# memory = "768M"
# cpus = 2
# disks = ["64M"]
# cmdline = "tandem.test=yes"
# [tool.tandem.machines.box]
# backend = "container"
# ///
import urllib.request
from datetime import timedelta

from test_driver.errors import QMPAPIError

vm.start(allow_reboot=True)

with subtest("it has the size and the disks that were asked for"):
    t.assertEqual(vm.succeed("nproc"), "2\n")
    t.assertIn("tandem.test=yes", vm.succeed("cat /proc/cmdline"))
    t.assertLess(int(vm.succeed("awk '/MemTotal/ { print $2 }' /proc/meminfo")), 768 * 1024)
    t.assertEqual(vm.succeed("cat /sys/block/vdb/size"), f"{64 * 2048}\n")

with subtest("its kernel finds its modules"):
    vm.succeed("modprobe dummy", "ip link add type dummy")

with subtest("keys reach its screen, and the screen can be read"):
    vm.succeed("setsid bash -c 'read -r line </dev/tty1; echo \"$line\" >/root/typed; echo WELCOME HOME >/dev/tty1' >/dev/null 2>&1 &")
    vm.succeed("echo 'ready to read' >/dev/tty1")
    vm.wait_until_tty_matches("1", "ready to read")
    vm.send_chars("Tandem")
    vm.send_key("ret")
    vm.wait_for_file("/root/typed", timeout=timedelta(seconds=60))
    t.assertEqual(vm.succeed("cat /root/typed"), "Tandem\n")
    vm.wait_until_tty_matches("1", "WELCOME")
    t.assertIn("WELCOME HOME", vm.get_tty_text("1"))
    vm.wait_for_text("WELCOME", timeout=timedelta(seconds=120))
    t.assertGreater(len(vm.get_screen_text_variants()), 1)
    vm.screenshot("screen")
    t.assertEqual((driver.out_dir / "screen.png").read_bytes()[:4], b"\x89PNG")
    vm.move_pointer(0.5, 0.5)
    vm.click("right")

with subtest("its monitor answers"):
    t.assertIn("running", vm.send_monitor_command("info status"))
    t.assertEqual(vm.qmp_client.send("query-status")["status"], "running")
    with t.assertRaises(QMPAPIError) as refused:
        vm.qmp_client.send("no-such-command")
    t.assertEqual(refused.exception.class_name, "CommandNotFound")
    vm.qmp_client.send("stop")
    t.assertEqual(vm.wait_for_qmp_event(lambda event: event["event"] == "STOP")["event"], "STOP")
    vm.qmp_client.send("cont")

for machine in (vm, box):
    with subtest(f"the console of {machine.name} takes input"):
        machine.succeed("setsid bash -c 'read -r -p \"who? \" line; echo \"hello $line\"' </dev/console >/dev/console 2>&1 &")
        machine.wait_for_console_text(r"who\?$", timeout=timedelta(seconds=60))
        machine.send_console("you\n")
        machine.wait_for_console_text("hello you", timeout=timedelta(seconds=60))

    with subtest(f"a port of {machine.name} is forwarded from the host"):
        machine.succeed(f"mkdir -p /srv/page; echo {machine.name} >/srv/page/index.html")
        machine.succeed("systemd-run --unit=page --working-directory=/srv/page python3 -m http.server --bind :: 80")
        machine.wait_for_open_port(80)
        port = machine.forward_port(0, 80)
        t.assertEqual(urllib.request.urlopen(f"http://127.0.0.1:{port}/").read().decode(), f"{machine.name}\n")

with subtest("what a container cannot do is refused"):
    with t.assertRaisesRegex(AssertionError, "machine box: send_key: .*no keyboard"):
        box.send_key("ret")

with subtest("it reboots by itself, and the test goes on"):
    before = vm.succeed("cat /proc/sys/kernel/random/boot_id")
    vm.execute("systemctl --no-block reboot")
    vm.wait_for_console_text("Linux version", timeout=timedelta(minutes=3))
    t.assertNotEqual(vm.succeed("cat /proc/sys/kernel/random/boot_id"), before)
    t.assertEqual(vm.succeed("cat /root/typed"), "Tandem\n")
