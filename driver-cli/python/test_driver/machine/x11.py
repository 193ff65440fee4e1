"""The X server in a machine, by programs in the machine: windows, and for a machine without devices of its own, keys and pictures."""

from __future__ import annotations

import re

from test_driver.errors import RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from test_driver.machine import BaseMachine

_KEYS = {
    "ret": "Return",
    "esc": "Escape",
    "spc": "space",
    "tab": "Tab",
    "backspace": "BackSpace",
    "delete": "Delete",
    "insert": "Insert",
    "home": "Home",
    "end": "End",
    "pgup": "Prior",
    "pgdn": "Next",
    "left": "Left",
    "right": "Right",
    "up": "Up",
    "down": "Down",
    "menu": "Menu",
    "print": "Print",
    "pause": "Pause",
    "caps_lock": "Caps_Lock",
    "num_lock": "Num_Lock",
    "scroll_lock": "Scroll_Lock",
    "minus": "minus",
    "equal": "equal",
    "comma": "comma",
    "dot": "period",
    "slash": "slash",
    "semicolon": "semicolon",
    "apostrophe": "apostrophe",
    "grave_accent": "grave",
    "backslash": "backslash",
    "bracket_left": "bracketleft",
    "bracket_right": "bracketright",
    "less": "less",
    "kp_enter": "KP_Enter",
    "kp_add": "KP_Add",
    "kp_subtract": "KP_Subtract",
    "kp_multiply": "KP_Multiply",
    "kp_divide": "KP_Divide",
    "kp_decimal": "KP_Decimal",
}
"""X's names of keys by QEMU's, where they differ by more than case."""

_MODIFIERS = {
    "ctrl": "ctrl",
    "ctrl_r": "Control_R",
    "shift": "shift",
    "shift_r": "Shift_R",
    "alt": "alt",
    "alt_r": "Alt_R",
    "meta_l": "super",
    "meta_r": "super",
}


def window_names(machine: BaseMachine) -> list[str]:
    """The titles of all windows."""
    tree = machine.succeed("xwininfo -root -tree")
    return re.findall(r'^.*0x[0-9a-f]+ "([^"]*)"', tree, re.MULTILINE)


def keysym(key: str) -> str:
    """A key, or several joined by ``-``, by QEMU's names, as xdotool names it."""
    *modifiers, last = key.split("-") if len(key) > 1 else [key]
    if not last or any(modifier not in _MODIFIERS for modifier in modifiers):
        raise ValueError(f"there is no key {key!r}: modifiers such as {', '.join(sorted(_MODIFIERS))} come before it")
    if re.fullmatch(r"f\d{1,2}", last) or re.fullmatch(r"kp_\d", last):
        name = last.upper()
    elif last in _MODIFIERS:
        name = {"ctrl": "Control_L", "shift": "Shift_L", "alt": "Alt_L", "meta_l": "Super_L", "meta_r": "Super_R"}.get(
            last, _MODIFIERS[last]
        )
    else:
        name = _KEYS.get(last, last)
    return "+".join([*(_MODIFIERS[modifier] for modifier in modifiers), name])


def press(machine: BaseMachine, key: str) -> None:
    """Presses a key in the machine's X server, or types a character."""
    if len(key) == 1 and key not in "\n\t":
        quoted = key.replace("'", "'\\''")
        command = f"xdotool type --clearmodifiers --delay 0 -- '{quoted}'"
    else:
        try:
            name = keysym({"\n": "ret", "\t": "tab"}.get(key, key))
        except ValueError as error:
            raise RequestedAssertionFailed(f"machine {machine.name}: send_key: {error}") from None
        command = f"xdotool key --clearmodifiers -- {_word(name)}"
    status, said = machine.execute(f"{command} 2>&1")
    if status != 0:
        refuse(machine, "send_key", "keyboard", "xdotool", status, said)


def picture(machine: BaseMachine, verb: str) -> bytes:
    """What the machine's X server shows, as a PNG file."""
    import base64

    from test_driver.machine.xwd import png

    status, dump = machine.execute("xwd -silent -root | base64 -w 0")
    if status != 0:
        refuse(machine, verb, "screen", "xwd", status, "")
    try:
        return png(base64.b64decode(dump))
    except ValueError as error:
        raise RequestedAssertionFailed(f"machine {machine.name}: {verb}: {error}") from None


def texts(machine: BaseMachine, verb: str) -> Iterator[str]:
    """The texts that may be on the screen of the machine's X server."""
    from test_driver.machine.ocr import variants

    return variants(picture(machine, verb))


def refuse(machine: BaseMachine, verb: str, device: str, program: str, status: int, said: str) -> None:
    """Says why a program in the machine could not stand for a device."""
    backend = machine._backend
    why = f"machine {machine.name}: {verb}: a machine of backend `{backend}` has no {device}"
    if status == 127:
        why += f", and no program `{program}` in it that could use its X server; install that in the machine"
    else:
        why += f", and `{program}` in it failed with exit code {status}"
        why += f": {said.strip()}" if said.strip() else "; is there an X server at $DISPLAY?"
    raise RequestedAssertionFailed(why)


def _word(text: str) -> str:
    quoted = text.replace("'", "'\\''")
    return f"'{quoted}'"
