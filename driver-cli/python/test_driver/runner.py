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
    from types import CodeType
    from typing import NoReturn


def run(script: str, code: CodeType, address: str) -> None:
    """Runs the compiled script as the program's main module. A failure is reported and ends the program with status 1."""
    client = Client(address)
    driver = Driver(client)
    symbols = driver.symbols()
    if driver.announces:
        from test_driver import exposed

        client.call("Announce", {"text": exposed.text(driver, symbols)})
    main = type(sys)("__main__")
    main.__dict__.update(symbols, __file__=script)
    sys.modules["__main__"] = main
    sys.argv[:] = [script]
    # Last, so that a file beside the script cannot take the place of a module of the library.
    sys.path.append(os.path.dirname(script))
    process = os.getpid()
    failure = _execute(script, code, main.__dict__)
    if os.getpid() != process:
        _leave_child(failure)
    try:
        if failure is None:
            client.call("ReportSuccess", {})
        else:
            report, broken = failure
            client.call("ReportFailure", {"report": report, "machine_failed": broken})
    except MachineError:
        # The driver is on its way out and does not want to know.
        sys.exit(1)
    if failure is not None:
        sys.exit(1)


def _leave_child(failure: tuple[str, bool] | None) -> NoReturn:
    """Ends a child that the script forked and that came to the script's end as well. Only the parent speaks for the script."""
    if failure is not None:
        lines = f"in a forked child: {failure[0]}\n".encode()
        with contextlib.suppress(OSError):
            os.write(2, lines)
    os._exit(0 if failure is None else 1)


def _execute(script: str, code: CodeType, symbols: dict[str, object]) -> tuple[str, bool] | None:
    """Why the script failed, if it did, and whether that was a machine's fault rather than the test's verdict."""
    try:
        exec(code, symbols)  # noqa: S102 - running the script is what this is for
    except SystemExit as end:
        if end.code is None or (isinstance(end.code, int) and end.code == 0):
            return None
        return _told(end.code), False
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
        from test_driver import report

        return report.failure(error, script), isinstance(error, MachineError)
    return None


def _told(code: object) -> str:
    if isinstance(code, str) and code:
        return printable(code)
    try:
        return printable(f"the script ended with sys.exit({code!r})")
    except Exception:  # noqa: BLE001 - it is an object of the script's
        return f"the script ended with sys.exit() of a {type(code).__name__}"
