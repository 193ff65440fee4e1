"""Breakpoints of a script: the global ``debug``.

They do something only where the driver was told so. Then a script stops at a breakpoint, and where it fails, until somebody has connected to a
debugger on the loopback interface and let it go on. A ``sleep`` process with a number of its own marks the namespaces where that is.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from test_driver.logger import Logger

HOST = "127.0.0.1"
PORT = 4444


class DebugNop:
    """Breakpoints that do nothing."""

    def breakpoint(self, host: str = HOST, port: int = PORT) -> None:
        """Goes on."""

    def post_mortem(self, trace: TracebackType | None) -> None:
        """Goes on."""


class Debug(DebugNop):
    """Breakpoints at which a script stops."""

    def __init__(self, logger: Logger, attach: str) -> None:
        self._logger = logger
        self._attach = attach

    def breakpoint(self, host: str = HOST, port: int = PORT) -> None:
        """Stops the script here, for a debugger at ``host`` and ``port``, which must be of the loopback interface."""
        from test_driver import remote_pdb

        server = remote_pdb.listen(host, port, self._logger)
        marked = self._marked(host, port)
        marked.__enter__()
        debugger = remote_pdb.RemotePdb(server, lambda: marked.__exit__(None, None, None))
        debugger.set_trace(sys._getframe(1))

    def post_mortem(self, trace: TracebackType | None) -> None:
        """Stops where a failure came from."""
        if trace is None:
            return
        from test_driver import remote_pdb

        server = remote_pdb.listen(HOST, PORT, self._logger)
        with self._marked(HOST, PORT):
            remote_pdb.RemotePdb(server, lambda: None).interaction(None, trace)

    @contextmanager
    def _marked(self, host: str, port: int) -> Iterator[None]:
        import random
        import subprocess

        number = str(random.randint(100_000, 9_999_999))
        marker = subprocess.Popen(["sleep", number], stdin=subprocess.DEVNULL)
        try:
            command = f"sudo {self._attach} {number}" if self._attach else f"nc {host} {port}"
            self._logger.log_test_error(f"!!! Breakpoint reached, run '{command}'")
            yield
        finally:
            marker.kill()
            marker.wait()
