"""Runs a script and tells the driver how it ended."""

from __future__ import annotations

import contextlib
import os
import sys

from test_driver.client import Client
from test_driver.driver import Driver
from test_driver.errors import MachineError
from test_driver.words import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import Any, NoReturn


def run(script: str, code: CodeType, word: dict[str, Any]) -> None:
    """Runs the compiled script as the program's main module, or a prompt if the driver's word is that there is to be one.

    A failure is reported and ends the program with status 1.
    """
    client = Client(word["address"])
    driver = Driver(client, script, word["debug_hook"])
    symbols = driver.symbols()
    if driver.announces and word["history"] is None:
        from test_driver.symbols import exposed

        client.call("Announce", {"text": exposed(driver) + "\n"})
    main = type(sys)("__main__")
    main.__dict__.update(symbols, __file__=script)
    driver.dump_machine_ssh()
    sys.modules["__main__"] = main
    sys.argv[:] = [script]
    # Last, so that a file beside the script cannot take the place of a module of the library.
    sys.path.append(os.path.dirname(script))
    process = os.getpid()
    if word["history"] is None:
        failure = _execute(script, code, main.__dict__)
    else:
        failure = _converse(driver, main.__dict__, word["history"])
    if os.getpid() != process:
        _leave_child(failure)
    try:
        if failure is None:
            client.call("ReportSuccess", {})
        else:
            client.call("ReportFailure", {"report": failure.report, "machine_failed": failure.broken})
            if not failure.broken:
                driver.debug.post_mortem(failure.trace)
    except MachineError:
        # The driver is on its way out and does not want to know.
        sys.exit(1)
    if failure is not None:
        sys.exit(1)


def _leave_child(failure: _Failure | None) -> NoReturn:
    """Ends a child that the script forked and that came to the script's end as well. Only the parent speaks for the script."""
    if failure is not None:
        lines = f"in a forked child: {failure.report}\n".encode()
        with contextlib.suppress(OSError):
            os.write(2, lines)
    os._exit(0 if failure is None else 1)


class _Failure:
    """Why a script failed, and whether that was a machine's fault rather than the test's verdict."""

    def __init__(self, report: str, broken: bool = False, trace: TracebackType | None = None) -> None:
        self.report = report
        self.broken = broken
        self.trace = trace


def _converse(driver: Driver, names: dict[str, Any], history: str) -> _Failure | None:
    from test_driver.repl import converse

    try:
        converse(driver, names, history)
    except SystemExit as end:
        if end.code not in (None, 0):
            return _Failure(f"the prompt was left with exit({end.code!r})")
    return None


def _execute(script: str, code: CodeType, symbols: dict[str, object]) -> _Failure | None:
    """Why the script failed, if it did."""
    try:
        exec(code, symbols)  # noqa: S102 - running the script is what this is for
    except SystemExit as end:
        if end.code is None or (isinstance(end.code, int) and end.code == 0):
            return None
        return _Failure(_told(end.code))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
        from test_driver import report

        told = report.failure(error, script)
        return _Failure(told, isinstance(error, MachineError), report.trace(error, script))
    return None


def _told(code: object) -> str:
    if isinstance(code, str) and code:
        return printable(code)
    try:
        return printable(f"the script ended with sys.exit({code!r})")
    except Exception:  # noqa: BLE001 - it is an object of the script's
        return f"the script ended with sys.exit() of a {type(code).__name__}"
