"""The process that a machine is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from test_driver.driver import Driver


class Process:
    """The process that a running machine is, as far as a script can be told of one that is not its child."""

    def __init__(self, machine: ProcessVerbs, pid: int) -> None:
        self._machine = machine
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs, and then 0."""
        return None if self._machine._standing()["pid"] == self.pid else 0

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def __repr__(self) -> str:
        return f"<Process {self.pid}>"


class ProcessVerbs:
    """The attributes of machines that run as one process: QEMU, or systemd-nspawn."""

    name: str
    _driver: Driver

    @property
    def pid(self) -> int | None:
        """The pid of its process; None if it does not run."""
        pid: int | None = self._standing()["pid"]
        return pid

    @property
    def process(self) -> Process | None:
        """Its process; None if it does not run."""
        pid = self.pid
        return None if pid is None else Process(self, pid)

    def _standing(self) -> dict[str, Any]:
        return dict(self._driver.client.call("IsUp", {"machine": self.name}))
