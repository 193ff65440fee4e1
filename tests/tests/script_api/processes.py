# /// script
# [tool.tandem]
# global-timeout = "4m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
from pathlib import Path


def comm(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def absent(verb):
    with t.assertRaises(AssertionError) as refused:
        verb()
    t.assertEqual(str(refused.exception), "machine box: get_systemd_process: it is not running")


absent(box.get_systemd_process)
t.assertIsNone(box.pid)
t.assertIsNone(box.process)

box.start()
first, process = box.get_systemd_process(), box.process
with subtest("the script sees a container's processes"):
    t.assertEqual(comm(first), "systemd")
    t.assertEqual(os.readlink(f"/proc/{first}/ns/pid"), box.succeed("readlink /proc/1/ns/pid").strip())
    t.assertEqual(comm(box.pid), "systemd-nspawn")
    t.assertEqual((process.pid, process.poll()), (box.pid, None))

with subtest("a reboot changes them"):
    box.reboot()
    second = box.get_systemd_process()
    t.assertNotEqual(second, first)
    t.assertEqual(comm(second), "systemd")

with subtest("a crash ends them"):
    box.crash()
    t.assertEqual((box.pid, box.process, process.poll()), (None, None, 0))
    absent(box.get_systemd_process)

with subtest("a released machine can be started again"):
    box.start()
    box.release()
    t.assertFalse(box.booted)
    box.release()
    box.start()
    t.assertEqual(comm(box.get_systemd_process()), "systemd")
