"""What there is to say about the names that a script or a prompt finds defined."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from test_driver.driver import Driver


def exposed(driver: Driver) -> str:
    """The names, as the driver prints them: machines, VLANs, all others."""
    names = driver.symbols()
    machines = [name for name, value in names.items() if any(value is machine for machine in driver.machines)]
    vlans = [name for name in names if re.fullmatch(r"vlan\d+", name)]
    others = [name for name in names if name not in machines and name not in vlans]
    groups = [", ".join(group) for group in (machines, vlans, others) if group]
    return "additionally exposed symbols:\n    " + ",\n    ".join(groups)


class _Nothing(dict[str, object]):
    """A test of which nothing is known."""

    def __missing__(self, key: str) -> str:
        return ""


class _NoClient:
    """A client of no driver: for names without a test, nothing is called but what describes the test."""

    def call(self, method: str, parameters: dict[str, object]) -> dict[str, object]:
        if method != "Describe":
            raise RuntimeError(f"{method} without a driver")
        return _Nothing(machines=[], vlans=[], global_timeout=0.0, boot_timeout=0.0)


def main() -> None:
    """Prints the names that every script finds, with commas between."""
    from test_driver.driver import Driver

    client: Any = _NoClient()
    print(",".join(Driver(client).symbols()))
