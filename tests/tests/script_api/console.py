# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""The console, and terminals."""

from datetime import timedelta

box.start()

with subtest("lines are waited for, across lines, and used up"):
    box.succeed("printf 'one\\ntwo\\nthree\\n' > /dev/console")
    box.wait_for_console_text("one\ntwo")
    t.assertIn("one\ntwo", box.get_console_log())
    box.wait_for_console_text("th.ee", timeout=timedelta(seconds=60))
    with t.assertRaisesRegex(AssertionError, "action timed out after"):
        box.wait_for_console_text("one", timeout=timedelta(milliseconds=200))
    t.assertNotIn("\r", box.get_console_log())

with subtest("input"):
    box.succeed(
        "systemd-run --unit=asks --property=StandardInput=tty --property=TTYPath=/dev/console"
        " --property=StandardOutput=tty bash -c 'read -r line; echo \"heard $line\"'"
    )
    box.wait_for_unit("asks.service")
    box.send_console("this\n")
    box.wait_for_console_text("heard this", timeout=timedelta(seconds=60))

with subtest("the console is a container's first terminal"):
    box.succeed("echo 'on the screen' > /dev/console")
    box.wait_until_tty_matches("1", "on the (screen|paper)")
    t.assertIn("on the screen", box.get_tty_text("1"))
    box.dump_tty_contents("1")
    box.wait_until_succeeds("journalctl --quiet -b | grep -q 'on the screen'")

with subtest("a start begins a new log"):
    box.succeed("echo 'of the first boot' > /dev/console")
    box.wait_for_console_text("of the first boot")
    box.shutdown()
    t.assertIn("of the first boot", box.get_console_log())
    box.start()
    t.assertNotIn("of the first boot", box.get_console_log())

serial_stdout_off()
box.log_serial("a line of nobody's")
serial_stdout_on()
