"""The driver as test scripts see it, and the names that they find defined."""

from __future__ import annotations

import os
from datetime import timedelta

from test_driver.assertions import Assertions
from test_driver.client import Client
from test_driver.debug import Debug, DebugNop
from test_driver.duration import deprecated, plain_seconds, seconds
from test_driver.errors import MachineError, RequestedAssertionFailed
from test_driver.logger import Logger
from test_driver.machine import BaseMachine, NspawnMachine, QemuMachine
from test_driver.polling_condition import PollingCondition, PollingConditions
from test_driver.retry import retry
from test_driver.vlan import VLan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any

    from test_driver.client import Tick
    from test_driver.duration import Duration

_KINDS: dict[str, type[BaseMachine]] = {"container": NspawnMachine, "vm": QemuMachine}


class Driver:
    """The machines of a test and what concerns all of them."""

    def __init__(self, client: Client, script_path: str = "", debug_hook: str | None = None) -> None:
        test = client.call("Describe", {})
        self.script_path = script_path
        self.client = client
        self.name: str = test["name"]
        self.announces: bool = test["announces"]
        self.logger = Logger(client)
        self.debug = DebugNop() if debug_hook is None else Debug(self.logger, debug_hook)
        self.polling_conditions = PollingConditions()
        self.machines: list[BaseMachine] = []
        self._out_dir: str = test["output_directory"]
        self._by_name: dict[str, BaseMachine] = {}
        self._descriptions: list[dict[str, Any]] = test["machines"]
        self._made: list[dict[str, Any]] = []
        for entry in test["machines"]:
            kind = _KINDS.get(entry["backend"], BaseMachine)
            machine = kind(self, entry["name"], entry["backend"])
            self.machines.append(machine)
            self._by_name[entry["python_name"]] = machine
        self.vlans = [VLan(number, self) for number in test["vlans"]]
        self.global_timeout = timedelta(seconds=test["global_timeout"])
        self.boot_timeout: float = test["boot_timeout"]

    @property
    def machines_qemu(self) -> list[QemuMachine]:
        return [machine for machine in self.machines if isinstance(machine, QemuMachine)]

    @property
    def machines_nspawn(self) -> list[NspawnMachine]:
        return [machine for machine in self.machines if isinstance(machine, NspawnMachine)]

    @property
    def out_dir(self) -> Path:
        """The test's output directory."""
        from pathlib import Path

        return Path(self._out_dir)

    def description(self, machine: str) -> dict[str, Any]:
        """What the driver says of a machine."""
        return next(entry for entry in self._descriptions + self._made if entry["name"] == machine)

    def dump_machine_ssh(self) -> None:
        """Prints how the machines can be reached by SSH, where the test asks for an SSH backdoor."""
        from test_driver.ssh import instructions

        if told := instructions(self._descriptions):
            print(told, flush=True)

    @property
    def tick(self) -> Tick | None:
        """What calls that wait have to do from time to time."""
        return self.polling_conditions.check if self.polling_conditions else None

    def create_machine(
        self, start_command: str, *, name: str | None = None, keep_machine_state: bool = False
    ) -> QemuMachine:
        """Makes a VM of a shell's command line that boots it, such as the path of a start script. It is on all VLANs and ends with the test.

        Without a name, it has that in a path such as ``/bin/run-NAME-vm``, or is called ``machine``. It is none of ``machines``. With
        ``keep_machine_state`` it goes on with the disks of an earlier one of its name.
        """
        for what, text in (("start command", start_command), ("name", "" if name is None else name)):
            if not isinstance(text, (str, os.PathLike)):
                raise TypeError(f"create_machine(): a {what} is a str, not {type(text).__name__}")
        call = {
            "start_command": os.fspath(start_command),
            "name": name,
            "keep_machine_state": bool(keep_machine_state),
        }
        made = self.client.wait("CreateMachine", call, self.tick)
        self._made.append({"name": made["name"], "start_script": True})
        return QemuMachine(self, made["name"], made["backend"])

    def subtest(self, name: str) -> AbstractContextManager[None]:
        """A step that is a test of its own in reports."""
        return self.logger.subtest(name)

    def test_symbols(self) -> dict[str, Any]:
        """The names that a script finds defined."""
        return self.symbols()

    def start_all(self) -> None:
        """Starts all machines, at the same time."""
        self.client.wait("StartAll", {"span": self.logger.span}, self.tick)

    def join_all(self) -> None:
        """Waits until all machines are gone."""
        self.client.wait("JoinAll", {"span": self.logger.span}, self.tick)

    def test_script(self) -> None:
        """Runs the test's script, as its file is now."""
        from test_driver.script import Script

        with self.logger.nested("run the VM test script"):
            Script(self.script_path).run(self.symbols())

    def run_tests(self) -> None:
        """Runs the test's script under the global timeout, and has the machines write to their disks what they still hold."""
        self.logger.info(f"Test will time out and terminate in {self.global_timeout.total_seconds()} seconds")
        self.client.call("StartTimer", {})
        try:
            self.test_script()
            for machine in self.machines:
                if machine.is_up():
                    machine.execute("sync")
        finally:
            self.client.call("StopTimer", {})

    def serial_stdout_on(self) -> None:
        """Shows the machines' consoles on the terminal."""
        self.logger.print_serial_logs(True)

    def serial_stdout_off(self) -> None:
        """Shows the machines' consoles on the terminal no longer. They stay in the record."""
        self.logger.print_serial_logs(False)

    def polling_condition(
        self,
        fun_: Callable[[], bool | None] | None = None,
        *,
        seconds_interval: Duration | None = None,
        interval: Duration | None = None,
        description: str | None = None,
    ) -> Any:
        """Makes a polling condition of a function, as a decorator with or without arguments."""
        if seconds_interval is not None:
            deprecated("polling_condition(): seconds_interval is deprecated. Use interval instead.")
            every = plain_seconds(seconds_interval, "polling_condition")
        else:
            every = 2.0 if interval is None else seconds(interval, "polling_condition")

        def make(function: Callable[[], bool | None]) -> PollingCondition:
            return PollingCondition(function, self.polling_conditions, self.logger, every, description)

        return make if fun_ is None else make(fun_)

    def symbols(self) -> dict[str, Any]:
        """The names that a script finds defined."""
        machines: dict[str, Any] = dict(self._by_name)
        if len(self.machines) == 1:
            machines.setdefault("machine", _Alias(self.machines[0], self.logger))
        return {
            "BaseMachine": BaseMachine,
            "NspawnMachine": NspawnMachine,
            "QemuMachine": QemuMachine,
            "create_machine": self.create_machine,
            "debug": self.debug,
            "driver": self,
            "dump_machine_ssh": self.dump_machine_ssh,
            "join_all": self.join_all,
            "log": self.logger,
            "machines": self.machines,
            "machines_nspawn": self.machines_nspawn,
            "machines_qemu": self.machines_qemu,
            "os": os,
            "polling_condition": self.polling_condition,
            "retry": retry,
            "run_tests": self.run_tests,
            "serial_stdout_off": self.serial_stdout_off,
            "serial_stdout_on": self.serial_stdout_on,
            "start_all": self.start_all,
            "subtest": self.logger.subtest,
            "t": Assertions(),
            "test_script": self.test_script,
            "vlans": self.vlans,
            **{f"vlan{vlan.nr}": vlan for vlan in self.vlans},
            **machines,
        }


class _Alias:
    """The only machine of a test under the name ``machine``. Warns once that its own name is better."""

    def __init__(self, machine: BaseMachine, logger: Logger) -> None:
        self._machine = machine
        self._logger: Logger | None = logger

    # For isinstance().
    __class__ = property(lambda self: type(self._machine))

    def __getattr__(self, name: str) -> Any:
        if self._logger:
            logger, self._logger = self._logger, None
            logger.warning(f"the name `machine` for the only machine is deprecated: call it `{self._machine.name}`")
        return getattr(self._machine, name)

    def __repr__(self) -> str:
        return repr(self._machine)


__all__ = [
    "BaseMachine",
    "Driver",
    "MachineError",
    "NspawnMachine",
    "PollingCondition",
    "QemuMachine",
    "RequestedAssertionFailed",
    "VLan",
    "retry",
]
