"""Verbs of upstream's machines that are not there."""

from __future__ import annotations

from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_MISSING = frozenset(
    [
        "console_interact",
        "get_window_names",
        "shell_interact",
        "wait_for_window",
    ]
)

_ONLY_VMS = frozenset(
    [
        "create_efi_vars",
        "dump_efi_vars",
        "dump_tty_contents",
        "read_efi_vars",
        "switch_root",
        "wait_for_monitor_prompt",
        "wait_for_x",
        "write_efi_vars",
    ]
)


def refusal(machine: str, verb: str) -> Callable[..., NoReturn]:
    """What stands for a verb that is not there: raises when called. No such verb at all is an ``AttributeError``."""
    if verb in _ONLY_VMS:
        why = "only VMs can do that"
    elif verb in _MISSING:
        why = "this version of Tandem has no such verb"
    else:
        raise AttributeError(f"machine {machine} has no attribute {verb!r}", name=verb)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise MachineError(f"machine {machine}: {verb} is not possible: {why}")

    return refuse
