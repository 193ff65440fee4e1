"""The names that a test script finds defined, for type checkers. Nothing imports it when a script runs.

What is one for each test, its machines and VLANs, is declared by whoever has the script checked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol, overload

from test_driver.machine import BaseMachine, NspawnMachine, QemuMachine
from test_driver.retry import retry

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from unittest import TestCase

    from test_driver.driver import Driver
    from test_driver.duration import Duration
    from test_driver.logger import Logger
    from test_driver.polling_condition import PollingCondition
    from test_driver.vlan import VLan


class _CreateMachine(Protocol):
    def __call__(
        self, start_command: str, *, name: str | None = None, keep_machine_state: bool = False
    ) -> QemuMachine: ...


class _Debug(Protocol):
    def breakpoint(self, host: str = "127.0.0.1", port: int = 4444) -> None: ...


class _PollingCondition(Protocol):
    @overload
    def __call__(self, fun_: Callable[[], bool | None]) -> PollingCondition: ...
    @overload
    def __call__(
        self,
        fun_: None = None,
        *,
        seconds_interval: Duration | None = None,
        interval: Duration | None = None,
        description: str | None = None,
    ) -> Callable[[Callable[[], bool | None]], PollingCondition]: ...


class _Subtest(Protocol):
    def __call__(self, name: str) -> AbstractContextManager[None]: ...


driver: Driver
log: Logger
machines: list[BaseMachine]
machines_nspawn: list[NspawnMachine]
machines_qemu: list[QemuMachine]
vlans: list[VLan]
t: TestCase
debug: _Debug

start_all: Callable[[], None]
join_all: Callable[[], None]
test_script: Callable[[], None]
run_tests: Callable[[], None]
serial_stdout_on: Callable[[], None]
serial_stdout_off: Callable[[], None]
dump_machine_ssh: Callable[[], None]
create_machine: _CreateMachine
polling_condition: _PollingCondition
subtest: _Subtest

__all__ = [
    "BaseMachine",
    "NspawnMachine",
    "QemuMachine",
    "create_machine",
    "debug",
    "driver",
    "dump_machine_ssh",
    "join_all",
    "log",
    "machines",
    "machines_nspawn",
    "machines_qemu",
    "os",
    "polling_condition",
    "retry",
    "run_tests",
    "serial_stdout_off",
    "serial_stdout_on",
    "start_all",
    "subtest",
    "t",
    "test_script",
    "vlans",
]
