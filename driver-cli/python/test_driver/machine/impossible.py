"""Verbs that some kinds of machines have and others cannot have, with what they would need."""

from __future__ import annotations

from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_NEEDS = {
    "a screen": "screenshot get_screen_text get_screen_text_variants wait_for_text get_window_names wait_for_window wait_for_x",
    "a keyboard": "send_key send_chars",
    "a QEMU monitor": "send_monitor_command wait_for_monitor_prompt wait_for_qmp_event",
    "virtual terminals": "get_tty_text wait_until_tty_matches dump_tty_contents",
    "a serial console to type at": "send_console console_interact shell_interact",
    "a user-mode network of QEMU's": "forward_port",
    "an initrd": "switch_root",
    "EFI firmware": "dump_efi_vars read_efi_vars create_efi_vars write_efi_vars",
}

_REASONS = {verb: need for need, verbs in _NEEDS.items() for verb in verbs.split()}


def refusal(machine: str, backend: str, verb: str) -> Callable[..., NoReturn]:
    """What stands for ``verb`` on a machine without it: raises when called. No such verb at all is an ``AttributeError``."""
    need = _REASONS.get(verb)
    if need is None:
        raise AttributeError(f"machine {machine} has no attribute {verb!r}", name=verb)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise MachineError(
            f"machine {machine}: {verb} is not possible: its backend `{backend}` has no {need.partition(' ')[2]}"
        )

    return refuse
