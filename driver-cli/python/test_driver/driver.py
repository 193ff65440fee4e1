"""The driver as test scripts see it, and the names that they find defined."""

from __future__ import annotations

import os

from test_driver.assertions import Assertions
from test_driver.client import Client
from test_driver.duration import deprecated, plain_seconds, seconds
from test_driver.logger import Logger
from test_driver.machine import BaseMachine, NspawnMachine, QemuMachine
from test_driver.polling_condition import PollingCondition, PollingConditions
from test_driver.retry import retry
from test_driver.vlan import VLan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from test_driver.client import Tick
    from test_driver.duration import Duration

_KINDS: dict[str, type[BaseMachine]] = {"container": NspawnMachine, "vm": QemuMachine}


class Driver:
    """The machines of a test and what concerns all of them."""

    def __init__(self, client: Client) -> None:
        test = client.call("Describe", {})
        self.client = client
        self.name: str = test["name"]
        self.logger = Logger(client)
        self.polling_conditions = PollingConditions()
        self.machines: list[BaseMachine] = []
        self._out_dir: str = test["output_directory"]
        self._by_name: dict[str, BaseMachine] = {}
        self._descriptions: list[dict[str, Any]] = test["machines"]
        for entry in test["machines"]:
            kind = _KINDS.get(entry["backend"], BaseMachine)
            machine = kind(self, entry["name"], entry["backend"])
            self.machines.append(machine)
            self._by_name[entry["python_name"]] = machine
        self.vlans = [VLan(number, self) for number in test["vlans"]]

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
        return next(entry for entry in self._descriptions if entry["name"] == machine)

    def dump_machine_ssh(self) -> None:
        """Prints how the machines can be reached by SSH, where the test asks for an SSH backdoor."""
        from test_driver.ssh import instructions

        if told := instructions(self._descriptions):
            print(told, flush=True)

    @property
    def tick(self) -> Tick | None:
        """What calls that wait have to do from time to time."""
        return self.polling_conditions.check if self.polling_conditions else None

    def start_all(self) -> None:
        """Starts all machines, at the same time."""
        self.client.wait("StartAll", {"span": self.logger.span}, self.tick)

    def join_all(self) -> None:
        """Waits until all machines are gone."""
        self.client.wait("JoinAll", {"span": self.logger.span}, self.tick)

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
            "serial_stdout_off": self.serial_stdout_off,
            "serial_stdout_on": self.serial_stdout_on,
            "start_all": self.start_all,
            "subtest": self.logger.subtest,
            "t": Assertions(),
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
