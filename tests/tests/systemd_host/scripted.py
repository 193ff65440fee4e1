# /// script
# [tool.tandem]
# machined = "require"
# [tool.tandem.machines.box]
# backend = "container"
# start-script = "run-box-nspawn"
# ///
import subprocess


def host(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


with subtest("it is registered by its leader"):
    box.start()
    [name] = [line.split()[0] for line in host("machinectl", "list", "--no-legend").splitlines()]
    t.assertTrue(name.endswith("-box"), name)
    t.assertIn("Class=container", host("machinectl", "show", name, "-p", "Class"))

with subtest("its systemd runs its units below the machine's scope"):
    [scope] = host("find", "/sys/fs/cgroup/machine.slice", "-maxdepth", "1", "-name", "tandem-*.scope").split()
    t.assertIn("/system.slice", host("find", scope, "-name", "system.slice"))
    box.succeed("systemctl status --no-pager")
    t.assertEqual(box.succeed("stat -f -c %T /sys/fs/cgroup"), "cgroup2fs\n")

with subtest("it can be started again"):
    box.shutdown()
    box.start()
    box.succeed("true")
