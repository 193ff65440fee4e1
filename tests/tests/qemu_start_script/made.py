# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "8m"
# boot-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""A VM that the script makes while the run goes on, by a shell's command line."""

import shlex
from datetime import timedelta
from pathlib import Path

script = Path("start").read_text()
run = Path(__file__).parent / "run-late-vm"
run.write_text(f'#!/bin/sh\necho "told $TOLD" >&2\nexec {shlex.quote(script)} "$@"\n')
run.chmod(0o755)

with subtest("what cannot be made is told before anything starts"):
    for command, name, why in (
        (" ", None, "the start command is empty"),
        ("true", "box", "there is a machine of this name"),
        ("true", "../x", "can be no machine's name"),
        ("a\0b", "x", "NUL"),
    ):
        with t.assertRaisesRegex(AssertionError, why):
            create_machine(command, name=name)
    with t.assertRaisesRegex(TypeError, "a start command is a str, not int"):
        create_machine(3)
    with t.assertRaises(TypeError):
        create_machine("true", "by place")

with subtest("a command that boots nothing is told with what it said"):
    broken = create_machine("echo no disk for you; false")
    t.assertEqual(broken.name, "machine")
    with t.assertRaisesRegex(Exception, "(?s)QEMU process exited with code .*no disk for you"):
        broken.start()

with subtest("it has its name from its command, and is none of the machines"):
    late = create_machine(f"TOLD='two words' {run}")
    t.assertIsInstance(late, QemuMachine)
    t.assertEqual((late.name, repr(late), late.is_up()), ("late", "<QemuMachine 'late'>", False))
    t.assertEqual(machines, [box])

with subtest("it boots on the VLAN, and a condition is checked while it does"):
    checks = []
    with polling_condition(lambda: checks.append(late.booted), interval=timedelta(milliseconds=200), description="seen"):
        start_all()
        late.succeed("ip address add 192.168.1.77/24 dev eth0; ip link set eth0 up")
    t.assertGreater(len(checks), 3)
    t.assertTrue(late.is_up() and late.connected and late.booted)
    t.assertIn("told two words", late.get_console_log())
    late.succeed("ping -c 1 192.168.1.1")
    box.succeed("ping -c 1 192.168.1.77")
    vlan1.isolate(late)
    box.fail("ping -c 1 -W 1 192.168.1.77")
    vlan1.heal()
    t.assertEqual(sorted(vlan1.stats()), ["box", "late"] if "machine" not in vlan1.stats() else ["box", "late", "machine"])

with subtest("its name is taken while it runs, and its disk is kept if asked for"):
    late.succeed("echo kept > /root/file; sync")
    t.assertTrue((late.state_dir / "late.img").exists() or any(late.state_dir.iterdir()))
    with t.assertRaisesRegex(AssertionError, "there is a machine of this name"):
        create_machine(str(run))
    late.shutdown()
    again = create_machine(str(run), keep_machine_state=True)
    t.assertEqual(again.succeed("cat /root/file"), "kept\n")
    again.crash()
    again.cleanup_statedir()
    t.assertFalse(again.state_dir.exists())

with subtest("it goes on with the disk of another"):
    first = create_machine(f"NIX_DISK_IMAGE=shared.img {run}", name="first")
    first.succeed("echo of the first > /root/file; sync")
    with t.assertRaisesRegex(AssertionError, "it runs"):
        first.state_dir = driver.out_dir
    first.shutdown()
    second = create_machine(f"NIX_DISK_IMAGE=shared.img {run}", name="second")
    second.state_dir = first.state_dir
    t.assertEqual(second.state_dir, first.state_dir)
    t.assertEqual(second.succeed("cat /root/file"), "of the first\n")

# `second` runs still: it ends with the run.
