"""The prelude has the names that scripts find, with the types that they have."""

from __future__ import annotations

import ast
import unittest
from pathlib import Path
from typing import Any

import test_driver
from test_driver import prelude
from test_driver.driver import Driver
from test_driver.retry import retry


class _Described(dict[str, Any]):
    """What the driver tells of a test. What these tests are not about is 0."""

    def __missing__(self, name: str) -> Any:
        return 0


class _Client:
    def call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        machine = {"name": "a-b", "python_name": "a_b", "backend": "vm"}
        return _Described(name="test", output_directory="/out", machines=[machine], vlans=[1])


def _driver() -> Driver:
    client: Any = _Client()
    return Driver(client)


class Prelude(unittest.TestCase):
    def test_declares_every_name_that_scripts_find(self) -> None:
        names = set(_driver().symbols()) - {"a_b", "machine", "vlan1"}
        self.assertEqual(names, set(prelude.__all__))

    def test_is_typed(self) -> None:
        self.assertTrue((Path(test_driver.__file__).parent / "py.typed").exists())

    def test_leaks_no_other_name(self) -> None:
        prepend = Path(test_driver.__file__).parent.parent / "test-script-prepend.py"
        imports = [node for node in ast.parse(prepend.read_text()).body if isinstance(node, ast.ImportFrom)]
        names = [(node.module, alias.name) for node in imports for alias in node.names]
        self.assertEqual(names, [("test_driver.prelude", "*"), ("test_driver.vlan", "VLan")])


def _types() -> None:
    """Only mypy reads it: what the driver gives can stand where the prelude says."""
    driver = _driver()
    prelude.driver = driver
    prelude.log = driver.logger
    prelude.machines = driver.machines
    prelude.machines_nspawn = driver.machines_nspawn
    prelude.machines_qemu = driver.machines_qemu
    prelude.vlans = driver.vlans
    prelude.start_all = driver.start_all
    prelude.join_all = driver.join_all
    prelude.serial_stdout_on = driver.serial_stdout_on
    prelude.serial_stdout_off = driver.serial_stdout_off
    prelude.polling_condition = driver.polling_condition
    prelude.subtest = driver.logger.subtest
    prelude.create_machine = driver.create_machine
    prelude.debug = driver.debug
    prelude.dump_machine_ssh = driver.dump_machine_ssh
    prelude.run_tests = driver.run_tests
    prelude.test_script = driver.test_script
    assert prelude.retry is retry
