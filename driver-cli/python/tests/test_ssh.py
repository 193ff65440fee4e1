from __future__ import annotations

import unittest

from test_driver.errors import MachineError
from test_driver.ssh import command, instructions


class SshTest(unittest.TestCase):
    def test_names_are_aligned(self) -> None:
        machines = [{"name": "a", "ssh_command": "ssh a"}, {"name": "server", "ssh_command": "ssh server"}]
        self.assertEqual(
            instructions(machines),
            "SSH backdoor enabled, the machines can be accessed like this:\n    a:       ssh a\n    server:  ssh server",
        )

    def test_without_it_nothing_is_said(self) -> None:
        machine = {"name": "a", "ssh_command": None}
        self.assertEqual(instructions([machine]), "")
        with self.assertRaisesRegex(MachineError, "machine a: .*no SSH backdoor; set `ssh-backdoor = true`"):
            command(machine)


if __name__ == "__main__":
    unittest.main()
