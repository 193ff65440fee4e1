"""Runs a script and tells the driver how it ended."""

from __future__ import annotations

import os
import sys

from test_driver.client import Client
from test_driver.driver import Driver
from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType


def run(script: str, code: CodeType, address: str) -> None:
    """Runs the compiled script as the program's main module. A failure is reported and ends the program with status 1."""
    client = Client(address)
    main = type(sys)("__main__")
    driver = Driver(client)
    main.__dict__.update(driver.symbols(), __file__=script)
    driver.dump_machine_ssh()
    sys.modules["__main__"] = main
    sys.argv[:] = [script]
    # Last, so that a file beside the script cannot take the place of a module of the library.
    sys.path.append(os.path.dirname(script))
    failure = _execute(script, code, main.__dict__)
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


def _execute(script: str, code: CodeType, symbols: dict[str, object]) -> tuple[str, bool] | None:
    """Why the script failed, if it did, and whether that was a machine's fault rather than the test's verdict."""
    try:
        exec(code, symbols)  # noqa: S102 - running the script is what this is for
    except SystemExit as end:
        if end.code in (None, 0):
            return None
        why = end.code if isinstance(end.code, str) else f"the script ended with sys.exit({end.code!r})"
        return why, False
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
        from test_driver import report

        return report.failure(error, script), isinstance(error, MachineError)
    return None
