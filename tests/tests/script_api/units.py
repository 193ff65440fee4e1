# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""Units of the system and of users."""

from datetime import timedelta

from test_driver.errors import RequestedAssertionFailed

box.succeed(
    "systemd-run --unit=steady sleep 1000",
    "systemd-run --unit=broken --service-type=oneshot --no-block false",
)

with subtest("states"):
    box.wait_for_unit("steady.service")
    box.wait_for_unit("steady")
    box.require_unit_state("steady.service")
    box.require_unit_state("steady.service", "active")
    box.require_unit_state("never.service", require_state="inactive")
    with t.assertRaises(RequestedAssertionFailed) as failed:
        box.require_unit_state("steady.service", "inactive")
    t.assertEqual(
        str(failed.exception), "Expected unit 'steady.service' to to be in state 'inactive' but it is in state 'active'"
    )

with subtest("what will never be active is told at once"):
    with t.assertRaises(RequestedAssertionFailed) as failed:
        box.wait_for_unit("broken.service")
    t.assertEqual(str(failed.exception), 'unit "broken.service" reached state "failed"')
    with t.assertRaises(RequestedAssertionFailed) as failed:
        box.wait_for_unit("never.service", timeout=timedelta(minutes=5))
    t.assertEqual(str(failed.exception), 'unit "never.service" is inactive and there are no pending jobs')

with subtest("a unit that is on its way is waited for"):
    box.succeed(
        "printf '[Service]\\nType=notify\\nNotifyAccess=all\\nExecStart=/bin/sh -c \"sleep 1; systemd-notify --ready; sleep 1000\"\\n'"
        " > /run/systemd/system/slow.service",
        "systemctl daemon-reload",
        "systemctl start --no-block slow.service",
    )
    box.wait_for_unit("slow.service")
    t.assertEqual(box.get_unit_property("slow.service", "ActiveState"), "active")

with subtest("properties"):
    info = box.get_unit_info("steady.service")
    t.assertEqual((info["Id"], info["ActiveState"]), ("steady.service", "active"))
    t.assertEqual(box.get_unit_property("steady.service", "Id"), "steady.service")
    with t.assertRaises(AssertionError):
        box.get_unit_property("steady.service", "NoSuchProperty")

with subtest("jobs do not raise"):
    t.assertEqual(box.stop_job("steady.service")[0], 0)
    t.assertNotEqual(box.start_job("missing.service")[0], 0)
    status, text = box.systemctl("is-active broken.service")
    t.assertEqual((status, text), (3, "failed\n"))

with subtest("a user's own units"):
    box.succeed("useradd --create-home --uid 4321 alice", "systemctl start user@4321.service")
    box.succeed(
        "install -d -o alice -g alice /home/alice/.config/systemd/user",
        "printf \"[Service]\\nExecStart=/bin/sh -c 'exec sleep 1000'\\n\" > /home/alice/.config/systemd/user/own.service",
    )
    t.assertEqual(box.systemctl("daemon-reload", user="alice")[0], 0)
    t.assertEqual(box.start_job("own.service", "alice")[0], 0)
    box.wait_for_unit("own.service", "alice")
    t.assertEqual(box.get_unit_info("own.service", user="alice")["ActiveState"], "active")
    t.assertEqual(box.get_unit_property("own.service", "Id", user="alice"), "own.service")
    t.assertEqual(box.systemctl("show-environment | grep -c ^HOME='/home/alice'$", user="alice"), (0, "1\n"))
    t.assertEqual(box.stop_job("own.service", user="alice")[0], 0)
    with t.assertRaises(RequestedAssertionFailed) as failed:
        box.wait_for_unit("own.service", "alice")
    t.assertEqual(str(failed.exception), 'unit "own.service" is inactive and there are no pending jobs')
