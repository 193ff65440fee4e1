"""The names that a script finds defined, as people and linters are told them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from test_driver.driver import Driver


def text(driver: Driver, symbols: dict[str, Any]) -> str:
    """Machines, VLANs and all the others, a line each."""
    machines = {id(machine) for machine in driver.machines}
    vlans = {id(vlan) for vlan in driver.vlans}
    of_machines = [name for name, value in symbols.items() if id(value) in machines]
    of_vlans = [name for name, value in symbols.items() if id(value) in vlans]
    others = [name for name in symbols if name not in of_machines and name not in of_vlans]
    lists = [", ".join(names) for names in (of_machines, of_vlans, others) if names]
    return "additionally exposed symbols:\n    " + ",\n    ".join(lists) + "\n"


class _Nothing(dict[str, object]):
    """A test of which nothing is known."""

    def __missing__(self, key: str) -> str:
        return ""


class _NoClient:
    """A client of no driver: for names without a test, nothing is called but what describes the test."""

    def call(self, method: str, parameters: dict[str, object]) -> dict[str, object]:
        if method != "Describe":
            raise RuntimeError(f"{method} without a driver")
        return _Nothing(machines=[], vlans=[])


def main() -> None:
    """Prints the names that every script finds, with commas between."""
    from test_driver.driver import Driver

    client: Any = _NoClient()
    print(",".join(Driver(client).symbols()))
