# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""Durations and retry, polling conditions, subtests and assertions."""

import time
import unittest
import warnings
from datetime import timedelta

from test_driver.errors import RequestedAssertionFailed
from test_driver.polling_condition import PollingConditionError

short = timedelta(milliseconds=200)

with subtest("durations"), warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    box.succeed("true", timeout=timedelta(seconds=60))
    box.succeed("true", timeout=60)
    box.wait_for_file("/", timeout=60.0)
    box.sleep(duration=timedelta(milliseconds=10))
    box.sleep(0)
    retry(lambda last: True, 5)
    told = [str(warning.message) for warning in warned if warning.category is DeprecationWarning]
    bare = "{}(): passing a bare int/float as a duration is deprecated. Use datetime.timedelta instead."
    t.assertEqual(told[:2], [bare.format("succeed"), bare.format("wait_for_file")])
    t.assertEqual(len(told), 4, told)
    for wrong in (True, "5", None):
        with t.assertRaises(TypeError):
            box.wait_for_file("/", timeout=wrong)

with subtest("retry"):
    calls = []
    retry(lambda last: calls.append(last) or len(calls) == 3, timeout=timedelta(seconds=60))
    t.assertEqual(calls, [False] * 3)
    calls.clear()
    with t.assertRaisesRegex(
        RequestedAssertionFailed, r"^action timed out after \d+\.\d\d seconds \(timeout=0\.2\)$"
    ):
        retry(lambda last: calls.append(last), timeout=short)
    t.assertEqual((calls[-1], set(calls[:-1])), (True, {False}))
    with t.assertRaises(TypeError):
        retry(lambda last: True, timeout_seconds=1, timeout=short)

with subtest("polling conditions"):
    box.succeed("touch /root/fine")

    @polling_condition(interval=timedelta(milliseconds=50))
    def fine():
        "the file is there"
        box.succeed("test -e /root/fine")

    @polling_condition
    def other():
        return True

    with fine, other:
        box.succeed("true")
        t.assertRaises(AssertionError, lambda: fine.__exit__(None, None, None))
    began = time.monotonic()
    with t.assertRaises(PollingConditionError) as failed, fine:
        box.execute("sleep 0.5; rm /root/fine", check_output=False)
        # It ends this wait, which would have no end of its own.
        box.wait_for_file("/root/never")
    t.assertEqual(str(failed.exception), "Polling condition failed: the file is there")
    t.assertLess(time.monotonic() - began, 60)
    time.sleep(0.1)
    with t.assertRaises(PollingConditionError), fine:
        box.succeed("true")
    box.execute("sleep 0.3; touch /root/fine", check_output=False)
    fine.wait(timeout=timedelta(seconds=60))
    with t.assertRaises(RequestedAssertionFailed):
        polling_condition(lambda: False, description="luck").wait(timeout=short)

with subtest("subtests"):
    with t.assertRaisesRegex(ValueError, "^kept$"), subtest("fails"):
        raise ValueError("kept")

with subtest("assertions"):
    t.assertIsInstance(t, unittest.TestCase)
    for failing in (
        lambda: t.assertEqual(1, 2),
        lambda: t.assertIn("a", "b"),
        lambda: t.assertRaises(ValueError, int, "1"),
        lambda: t.fail("no"),
    ):
        with t.assertRaises(RequestedAssertionFailed):
            failing()
    t.maxDiff = None

with subtest("names"):
    t.assertEqual(box.name, "box")
    t.assertEqual((machines, machines_nspawn, machines_qemu), ([box], [box], []))
    t.assertIsInstance(machine, NspawnMachine)
    t.assertEqual(machine.name, "box")
    t.assertEqual((repr(vlan1), vlans), ("<Vlan Nr. 1>", [vlan1]))
    t.assertIs(driver.logger, log)
    debug.breakpoint()
    dump_machine_ssh()
    t.assertTrue(os.path.isdir(driver.out_dir))
    with log.nested("a step"), box.nested("of the box", {"image": "x"}):
        log.info("within")
        box.log("within")

with subtest("the script can run itself"):
    if "again" not in os.environ:
        os.environ["again"] = "no"
        run_tests()
        os.environ["again"] = "yes"
    elif os.environ["again"] == "no":
        t.assertNotIn("unheard", globals())
unheard = True

with subtest("all machines"):
    start_all()
    box.execute("systemctl poweroff", check_output=False)
    join_all()
    t.assertFalse(box.is_up())
