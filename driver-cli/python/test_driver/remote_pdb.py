"""The standard debugger, for whoever connects to a TCP port of the loopback interface with ``nc`` or ``telnet``."""

from __future__ import annotations

import errno
import ipaddress
import pdb  # noqa: T100 - it is what this module is about
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from test_driver.logger import Logger


def listen(host: str, port: int, logger: Logger) -> socket.socket:
    """Listens, as soon as nobody else does at that port."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    if not ipaddress.ip_address(address[0]).is_loopback:
        raise ValueError(
            f"breakpoint(): {host} is not an address of the loopback interface, and anyone could debug there"
        )
    told = False
    while True:
        try:
            return socket.create_server((str(address[0]), port), family=family, backlog=1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        if not told:
            logger.warning(f"breakpoint(): something else listens at {host}:{port}; waiting until it does no longer")
            told = True
        time.sleep(0.2)


class RemotePdb(pdb.Pdb):
    """A debugger for the first who connects. Hanging up lets the script go on."""

    def __init__(self, server: socket.socket, over: Callable[[], object]) -> None:
        with server:
            self._connection, _ = server.accept()
        self._over = over
        wire: Any = _Wire(self._connection)
        super().__init__(completekey="", stdin=wire, stdout=wire, nosigint=True, readrc=False)

    def do_continue(self, arg: str) -> bool | None:
        """continue: goes on until a breakpoint."""
        result = super().do_continue(arg)
        if not self.breaks:
            self._close()
        return result

    def do_quit(self, arg: str) -> bool | None:
        """quit: ends the script, unless it has ended."""
        result = super().do_quit(arg)
        self._close()
        return result

    def do_EOF(self, arg: str) -> bool | None:
        self.clear_all_breaks()
        return self.do_continue(arg)

    do_c = do_cont = do_continue
    do_q = do_exit = do_quit

    def _close(self) -> None:
        self._connection.close()
        self._over()
        self._over = bool


class _Wire:
    """A connection as a file. One that is broken has come to its end and takes anything."""

    encoding = "utf-8"

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rw", encoding="utf-8", errors="replace")

    def readline(self) -> str:
        try:
            return self._file.readline()
        except (OSError, ValueError):
            return ""

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except (OSError, ValueError):
            pass
