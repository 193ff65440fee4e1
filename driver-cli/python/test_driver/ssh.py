"""Ways into machines by SSH, for work by hand while a test goes on."""

from __future__ import annotations

from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def command(machine: Mapping[str, Any]) -> str:
    """The command of a shell that logs in to a machine, which is described."""
    found = machine.get("ssh_command")
    if not found:
        raise MachineError(
            f"machine {machine['name']}: ssh_backdoor_command: there is no SSH backdoor; set `ssh-backdoor = true` in the test"
        )
    return str(found)


def instructions(machines: list[dict[str, Any]]) -> str:
    """What people are told of the ways in; empty if there are none."""
    ways = [(machine["name"], machine["ssh_command"]) for machine in machines if machine.get("ssh_command")]
    if not ways:
        return ""
    width = max(len(name) for name, _ in ways)
    lines = [f"    {name + ':':<{width + 1}}  {way}" for name, way in ways]
    return "\n".join(["SSH backdoor enabled, the machines can be accessed like this:", *lines])
