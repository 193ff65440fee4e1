# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""Commands: what they run under, what comes back, what a failure says."""

from datetime import timedelta

from test_driver.errors import RequestedAssertionFailed

with subtest("status and output"):
    t.assertEqual(box.execute("echo out; echo err >&2; exit 3"), (3, "out\n"))
    t.assertEqual(box.execute("echo out; exit 3", check_return=False), (-1, "out\n"))
    t.assertEqual(box.execute("sleep 0.2; touch /root/later", check_output=False), (-2, ""))
    box.wait_for_file("/root/later")
    # Nothing of it is left for the next command.
    t.assertEqual(box.execute("echo next"), (0, "next\n"))
    t.assertEqual(box.succeed("echo one", "echo two"), "one\ntwo\n")
    t.assertEqual(box.fail("echo one; false", "exit 9"), "one\n")
    t.assertEqual(box.succeed(r"printf 'a\377b'"), "a\ufffdb")

with subtest("the shell is strict, and bash"):
    t.assertEqual(box.execute("false; echo not reached"), (1, ""))
    t.assertEqual(box.execute("false | true")[0], 1)
    t.assertNotEqual(box.execute("echo $not_set")[0], 0)
    t.assertEqual(box.succeed("[[ $BASH_VERSION ]] && printf '%s' $'a\\tb'"), "a\tb")
    t.assertEqual(box.succeed('echo "$USER $HOME $DISPLAY"'), "root /root :0.0\n")
    # Neither variables nor directories are left for the next.
    box.succeed("export left=1; cd /etc")
    t.assertEqual(box.succeed("echo ${left-nothing}"), "nothing\n")
    t.assertEqual(box.succeed("cat"), "", "standard input is empty")

with subtest("a timeout is status 124, in containers, too"):
    t.assertEqual(box.execute("echo begun; sleep 60", timeout=timedelta(milliseconds=300)), (124, "begun\n"))
    with t.assertRaisesRegex(RequestedAssertionFailed, r"^command `sleep 60` failed \(exit code 124\)$"):
        box.succeed("sleep 60", timeout=timedelta(milliseconds=300))
    box.fail("pgrep -x sleep")
    # Nor does one that left the process group hold the test up.
    box.execute("setsid sleep 60; true", timeout=timedelta(milliseconds=300))
    box.succeed("true", timeout=timedelta(seconds=30))

with subtest("failures are upstream's"):
    with t.assertRaises(RequestedAssertionFailed) as failed:
        box.succeed("true", "exit 7", "touch /root/not-reached")
    t.assertEqual(str(failed.exception), "command `exit 7` failed (exit code 7)")
    box.fail("test -e /root/not-reached")
    with t.assertRaises(RequestedAssertionFailed) as failed:
        box.fail("true")
    t.assertEqual(str(failed.exception), "command `true` unexpectedly succeeded")
    t.assertIsInstance(failed.exception, AssertionError)

with subtest("the machine is there or not"):
    t.assertTrue(box.is_up() and box.booted and box.connected)
    box.shutdown()
    t.assertFalse(box.is_up() or box.booted or box.connected)
    box.shutdown()
    box.wait_for_shutdown()
    # The next command starts it again.
    t.assertEqual(box.succeed("echo again"), "again\n")
    box.crash()
    t.assertFalse(box.is_up())
    box.connect()
    t.assertTrue(box.connected)

with subtest("a reboot behind the driver's back"):
    box.shutdown()
    box.start(allow_reboot=True)
    # It is gone with the boot.
    box.succeed("touch /run/before")
    box.execute("systemctl --no-block reboot", check_return=False)
    box.connected = False
    t.assertFalse(box.connected)
    box.connect()
    t.assertTrue(box.connected)
    box.fail("test -e /run/before")
