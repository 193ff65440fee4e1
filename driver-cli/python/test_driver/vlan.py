"""Virtual LANs: who reaches whom, captures and counts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any, TypeAlias

    from test_driver.client import Parameters
    from test_driver.driver import Driver
    from test_driver.link import Capture
    from test_driver.machine import BaseMachine
    from test_driver.stats import LinkStats

    Member: TypeAlias = BaseMachine | str
    """A machine, or its name."""


class VLan:
    """A virtual LAN of the test, known by its number. Its machines need not run."""

    def __init__(self, nr: int, driver: Driver) -> None:
        self.nr = nr
        self._driver = driver

    def __repr__(self) -> str:
        return f"<Vlan Nr. {self.nr}>"

    def partition(self, *groups: list[Member] | tuple[Member, ...], one_way: bool = False) -> None:
        """Lets no frame pass between machines of different groups. Machines in no group reach everybody. Partitions add up.

        With ``one_way`` there are two groups, and frames from the second to the first pass.
        """
        names = [_group(group) for group in groups]
        self._wait("Partition", groups=names, one_way=bool(one_way))

    def isolate(self, machine: Member) -> None:
        """Lets no frame pass between a machine and all others."""
        self._wait("Isolate", machine=_name(machine, "isolate"))

    def heal(self) -> None:
        """Ends all partitions and isolations."""
        self._wait("Heal")

    def capture(self, file: str | os.PathLike[str], limit: int | str | None = None) -> Capture:
        """Writes the VLAN's frames to ``file``, a pcapng file below the output directory, until the end of a ``with`` block or ``stop()``.

        ``limit`` is how large the file may become, in bytes or such as ``"10MB"``; the oldest frames go first.
        """
        from test_driver.link import Capture

        return Capture(self._driver, self.nr, None, file, limit)

    def stats(self) -> dict[str, LinkStats]:
        """What passed each machine's link since the run began, and what did not, by the machine's name."""
        from test_driver.stats import read

        return read(self._wait("VlanStats"))

    def _wait(self, method: str, **parameters: Any) -> Parameters:
        call = {"vlan": self.nr, "span": self._driver.logger.span, **parameters}
        return self._driver.client.wait(method, call, self._driver.tick)


def number_of(vlan: VLan | int) -> int:
    """The number of a VLAN that is given as such or by its number."""
    number = vlan.nr if isinstance(vlan, VLan) else vlan
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"link(): a VLAN is given by its number or as vlan1, not {type(vlan).__name__}")
    return number


def _group(group: list[Member] | tuple[Member, ...]) -> list[str]:
    if isinstance(group, str) or not hasattr(group, "__iter__"):
        raise TypeError("partition(): a group is a list of machines, such as [server]")
    return [_name(machine, "partition") for machine in group]


def _name(machine: Member, method: str) -> str:
    name = machine if isinstance(machine, str) else getattr(machine, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"{method}(): a machine is given as such or by its name, not {type(machine).__name__}")
    return name
