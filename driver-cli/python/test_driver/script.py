"""The test's script, to be run at a prompt as often as one likes."""

from __future__ import annotations

import linecache

from test_driver.errors import RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Script:
    """A script by its path."""

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, symbols: dict[str, Any]) -> None:
        """Runs the script as the file has it now, with these names and no others. Leaving it with a status other than 0 is a failure."""
        with open(self.path, "rb") as file:
            code = compile(file.read(), self.path, "exec", dont_inherit=True)
        linecache.checkcache(self.path)
        try:
            exec(code, {**symbols, "__name__": "__main__", "__file__": self.path})  # noqa: S102 - what this is for
        except SystemExit as end:
            if end.code not in (None, 0):
                why = end.code if isinstance(end.code, str) else f"the script ended with sys.exit({end.code!r})"
                raise RequestedAssertionFailed(why) from None
