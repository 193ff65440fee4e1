"""Verbs that machines of some kinds lack."""

from __future__ import annotations

from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_ONLY_VMS = frozenset(
    [
        "create_efi_vars",
        "dump_efi_vars",
        "read_efi_vars",
        "switch_root",
        "write_efi_vars",
    ]
)


def refusal(machine: str, verb: str) -> Callable[..., NoReturn]:
    """What stands for a verb that is not there: raises when called. No such verb at all is an ``AttributeError``."""
    if verb not in _ONLY_VMS:
        raise AttributeError(f"machine {machine} has no attribute {verb!r}", name=verb)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise MachineError(f"machine {machine}: {verb} is not possible: only VMs can do that")

    return refuse
