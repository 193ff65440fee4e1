# /// script
# [tool.tandem]
# machined = "never"
# [tool.tandem.machines.box]
# backend = "container"
# root = "/guest"
# [tool.tandem.machines.other]
# backend = "container"
# root = "/guest"
# ///
from pathlib import Path

start_all()
for machine in [box, other]:
    machine.succeed("systemctl status", "systemd-run --wait true", "systemd-run --scope true")
    t.assertIn("0::/commands\n", machine.succeed("cat /proc/self/cgroup"))

own = {path.name: path for path in Path("/sys/fs/cgroup").rglob("tandem-*/*") if path.is_dir()}
t.assertEqual(set(own), {"box", "other"})
box.crash()
box.start()
box.succeed("true")
