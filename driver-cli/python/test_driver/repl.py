"""A prompt with the machines of a test."""

from __future__ import annotations

import code
import os
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec

from test_driver import report
from test_driver.symbols import exposed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from test_driver.driver import Driver

_HISTORY = 10_000
"""How many lines are kept."""


def converse(driver: Driver, names: dict[str, Any], history: str) -> None:
    """Asks what to do until the user has enough. ``SystemExit`` is one way to say that."""
    print(exposed(driver), flush=True)
    if not os.isatty(0):
        _Console(names, driver.script_path).interact(banner="", exitmsg="")
        return
    try:
        os.makedirs(os.path.dirname(history) or ".", mode=0o700, exist_ok=True)
    except OSError as error:
        print(f"what is typed is not kept: {error}", file=sys.stderr)
    if find_spec("ptpython"):
        _ptpython(names, history)
    elif find_spec("IPython"):
        _ipython(names, history)
    else:
        _standard(driver, names, history)


def _ptpython(names: dict[str, Any], history: str) -> None:
    try:
        embed = import_module("ptpython.ipython").embed
    except ImportError:
        import_module("ptpython.repl").embed(globals=names, locals=names, history_filename=history)
    else:
        embed(user_ns=names, history_filename=history)


def _ipython(names: dict[str, Any], _history: str) -> None:
    import_module("IPython").start_ipython(argv=["--no-banner", "--no-confirm-exit"], user_ns=names)


def _standard(driver: Driver, names: dict[str, Any], history: str) -> None:
    """The prompt of Python itself, with completion and history where there is readline."""
    console = _Console(names, driver.script_path)
    try:
        import readline
        import rlcompleter
    except ImportError:
        _interact(console)
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    readline.set_history_length(_HISTORY)
    try:
        readline.read_history_file(history)
    except OSError:
        # There is none yet, or none that can be read.
        readline.clear_history()
    try:
        _interact(console)
    finally:
        try:
            readline.write_history_file(history)
        except OSError as error:
            print(f"what was typed is not kept: {error}", file=sys.stderr)


def _interact(console: _Console) -> None:
    banner = ""
    while True:
        try:
            console.interact(banner=banner, exitmsg="")
            return
        except KeyboardInterrupt:
            # It came between two lines.
            console.resetbuffer()
            console.write("\nKeyboardInterrupt\n")


class _Console(code.InteractiveConsole):
    """The standard prompt. A failure of a call is told as the one of a script."""

    def __init__(self, names: dict[str, Any], script: str) -> None:
        super().__init__(names)
        self._script = script
        self._terminal = os.isatty(0)

    def raw_input(self, prompt: str = "") -> str:
        if self._terminal:
            return input(prompt)
        line = read_line()
        if line is None:
            raise EOFError
        return line

    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if error is None:
            return
        if isinstance(error, KeyboardInterrupt):
            self.write("\nKeyboardInterrupt\n")
        elif text := report.at_prompt(error, self._script):
            self.write("".join(f"!!! {line}\n" for line in text.splitlines()))
        else:
            # The first frame is the prompt's own.
            trace = error.__traceback__ and error.__traceback__.tb_next
            self.write("".join(traceback.format_exception(type(error), error, trace)))


def read_line() -> str | None:
    """A line of an input that is no terminal, none at its end. What follows it is left to whoever reads next."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode(errors="replace") if line or byte else None
