# /// script
# [tool.tandem]
# machined = "require"
# [tool.tandem.machines.box]
# backend = "container"
# root = "/guest"
# [tool.tandem.machines.other]
# backend = "container"
# root = "/guest"
# ///
import subprocess
from datetime import timedelta


def host(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def registered():
    return [line.split()[0] for line in host("machinectl", "list", "--no-legend").splitlines()]


start_all()

with subtest("both are registered by their leaders"):
    names = registered()
    t.assertEqual(len(names), 2)
    name = next(name for name in names if name.endswith("-box"))
    shown = host("machinectl", "show", name, "-p", "Leader", "-p", "Unit", "-p", "Class")
    t.assertIn("Class=container", shown)
    leader = next(line.split("=")[1] for line in shown.splitlines() if line.startswith("Leader="))
    answer = host("busctl", "call", "org.freedesktop.machine1", "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager", "GetMachine", "s", name)
    t.assertIn("/org/freedesktop/machine1/machine/", answer)
    t.assertTrue(leader.isdigit() and int(leader) > 1)

with subtest("each has a scope of its own in machine.slice"):
    scopes = host("find", "/sys/fs/cgroup/machine.slice", "-maxdepth", "1", "-name", "tandem-*.scope").split()
    t.assertEqual(len(scopes), 2)
    # The machine's own systemd runs its units below the scope.
    t.assertIn("/system.slice", host("find", scopes[0], "-name", "system.slice"))
    box.succeed("systemctl status")

with subtest("machinectl terminate ends it, and the run sees why"):
    host("machinectl", "terminate", name)
    box.wait_for_shutdown()
    # machined takes note of the scope's end a moment later.
    retry(lambda _: name not in registered(), timeout=timedelta(seconds=10))
    other.succeed("true")

with subtest("it can be started again"):
    box.start()
    box.succeed("true")
    t.assertEqual(len(registered()), 2)
