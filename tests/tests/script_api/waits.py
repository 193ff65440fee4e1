# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""Waits: for files, ports and sockets, with deadlines that hold."""

import time
from datetime import timedelta

from test_driver.errors import MachineError, RequestedAssertionFailed

moment = timedelta(milliseconds=300)


def late(wait):
    """Requires that a wait is in vain, and says so in time."""
    began = time.monotonic()
    with t.assertRaisesRegex(RequestedAssertionFailed, r"action timed out after \d+\.\d\d seconds \(timeout=0\.3\)"):
        wait()
    t.assertLess(time.monotonic() - began, 20)


with subtest("files"):
    # Upstream does not quote the name.
    box.succeed("touch '/root/two words $HOME'")
    box.wait_for_file("/root/two words $HOME")
    late(lambda: box.wait_for_file("/root/none", timeout=moment))
    box.execute("sleep 0.5; touch /root/comes", check_output=False)
    box.wait_for_file("/root/comes", timeout=timedelta(seconds=60))

with subtest("commands"):
    box.execute("sleep 0.5; touch /root/there", check_output=False)
    t.assertEqual(box.wait_until_succeeds("test -e /root/there && echo found"), "found\n")
    t.assertEqual(box.wait_until_fails("echo still; rm /root/there"), "still\n")
    late(lambda: box.wait_until_succeeds("false", timeout=moment))
    late(lambda: box.wait_until_fails("true", timeout=moment))
    # A try that hangs is cut off and does not count as a failure.
    late(lambda: box.wait_until_fails("sleep 60", timeout=moment))

with subtest("ports"):
    box.wait_for_closed_port(4711)
    late(lambda: box.wait_for_open_port(4711, timeout=moment))
    box.succeed("systemd-run --unit=web --working-directory=/etc python3 -m http.server 4711")
    box.wait_for_open_port(4711)
    box.wait_for_open_port(4711, "127.0.0.1")
    box.wait_for_open_port(port=4711, addr="box", timeout=timedelta(seconds=60))
    late(lambda: box.wait_for_closed_port(4711, timeout=moment))
    box.stop_job("web.service")
    box.wait_for_closed_port(4711, addr="localhost", timeout=timedelta(seconds=60))

with subtest("sockets"):
    late(lambda: box.wait_for_open_unix_socket("/run/stream", timeout=moment))
    listen = (
        "import socket,time;s=socket.socket(1,1);s.bind('/run/stream');s.listen();"
        "d=socket.socket(1,2);d.bind('/run/datagram');time.sleep(1000)"
    )
    box.succeed(f'systemd-run --unit=sockets python3 -c "{listen}"')
    box.wait_for_open_unix_socket("/run/stream")
    box.wait_for_open_unix_socket("/run/datagram", is_datagram=True)
    late(lambda: box.wait_for_open_unix_socket("/run/stream", is_datagram=True, timeout=moment))

with subtest("a wait ends with the machine"):
    box.execute("sleep 0.5; systemctl poweroff", check_output=False)
    began = time.monotonic()
    with t.assertRaises(MachineError):
        box.wait_for_file("/root/none")
    t.assertLess(time.monotonic() - began, 120)
    box.wait_for_shutdown(timedelta(seconds=60))
