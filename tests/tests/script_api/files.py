# /// script
# requires-python = ">=3.11"
# [tool.tandem]
# global-timeout = "5m"
# [tool.tandem.machines.box]
# backend = "container"
# ///
"""Files go both ways."""

from pathlib import Path

here = Path(__file__).parent
tree = here / "tree"
(tree / "below").mkdir(parents=True)
(tree / "plain").write_text("plain\n")
(tree / "below" / "program").write_text("#!/bin/sh\necho ran\n")
(tree / "below" / "program").chmod(0o750)
(here / "large").write_bytes(bytes(range(256)) * 4096)

with subtest("a file into the machine"):
    box.copy_from_host(str(tree / "plain"), "/root/new/directory/name")
    t.assertEqual(box.succeed("cat /root/new/directory/name"), "plain\n")
    box.copy_from_host(tree / "below" / "program", "/root/program")
    t.assertEqual(box.succeed("stat -c '%a %U:%G' /root/program", "/root/program"), "750 root:root\nran\n")

with subtest("a directory into the machine"):
    box.copy_from_host(str(tree), "/root/tree")
    t.assertEqual(box.succeed("/root/tree/below/program"), "ran\n")

with subtest("by the shell, and as large as it likes"):
    box.copy_from_host_via_shell(str(here / "large"), "/root/deep/large")
    t.assertEqual(box.succeed("stat -c %s /root/deep/large"), f"{1 << 20}\n")

with subtest("out of the machine"):
    box.copy_from_machine("/root/deep/large")
    t.assertEqual((driver.out_dir / "large").read_bytes(), (here / "large").read_bytes())
    box.copy_from_machine("/root/tree", "got/it")
    t.assertEqual((box.out_dir / "got/it/tree/plain").read_text(), "plain\n")
    # What is there is merged with.
    box.succeed("echo more > /root/tree/more; echo other > /root/tree/plain")
    box.copy_from_machine("/root/tree", target_dir="got/it")
    t.assertEqual((driver.out_dir / "got/it/tree/plain").read_text(), "other\n")
    t.assertEqual((driver.out_dir / "got/it/tree/more").read_text(), "more\n")
    box.copy_from_vm("/etc/hostname")
    t.assertEqual((driver.out_dir / "hostname").read_text(), box.succeed("cat /etc/hostname"))

with subtest("what cannot be copied is told"):
    with t.assertRaisesRegex(AssertionError, "'/root/none' does not exist in the machine"):
        box.copy_from_machine("/root/none")
    with t.assertRaisesRegex(AssertionError, "none on the host"):
        box.copy_from_host(str(here / "none"), "/root/none")
    with t.assertRaisesRegex(AssertionError, "not below the output directory"):
        box.copy_from_machine("/etc/hostname", "../elsewhere")

with subtest("what a machine keeps"):
    with t.assertRaisesRegex(AssertionError, "it runs"):
        box.cleanup_statedir()
    box.shutdown()
    # A container's files are mounted there.
    with t.assertRaisesRegex(AssertionError, "other files are mounted"):
        box.cleanup_statedir()
    t.assertEqual(box.succeed("cat /root/new/directory/name"), "plain\n")
    for _ in range(2):
        box.release()
        t.assertFalse(box.is_up())
    with t.assertRaisesRegex(AssertionError, "state_dir"):
        box.state_dir = driver.out_dir
