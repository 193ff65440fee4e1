"""A Varlink client for the driver's interface, ``io.tandem.Driver``: JSON objects, each ended by a NUL, over a unix socket.

Varlink answers the calls of one connection one after another, so each call that runs has a connection of its own: calls from several threads,
and calls that a polling condition makes while another call waits.
"""

from __future__ import annotations

import json
import os
import socket
import time

from test_driver.errors import MachineError, QMPAPIError, RequestedAssertionFailed

TYPE_CHECKING = False  # importing typing takes longer than all of the package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Parameters = dict[str, Any]
    Tick = Callable[[], float | None]
    """Called while a call waits; says after how many seconds it wants to be called again, if at all."""

_INTERFACE = "io.tandem.Driver"

_ERRORS: dict[str, type[Exception]] = {
    f"{_INTERFACE}.AssertionFailed": RequestedAssertionFailed,
    f"{_INTERFACE}.InvalidArgument": ValueError,
}


class Client:
    """Calls the driver. Any number of threads may use it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: list[_Connection] = []
        # A forked child must not speak on its parent's connections.
        os.register_at_fork(after_in_child=self._idle.clear)

    def call(self, method: str, parameters: Parameters) -> Parameters:
        """Makes a call that is answered at once."""
        for reply in self._replies(method, parameters, more=False, tick=None):
            return reply
        return {}

    def wait(self, method: str, parameters: Parameters, tick: Tick | None = None) -> Parameters:
        """Makes a call that may take long. An exception, such as one from ``tick`` or Ctrl-C, cancels it."""
        result: Parameters = {}
        texts: dict[str, list[str]] = {}
        for reply in self.stream(method, parameters, tick):
            for key, value in reply.items():
                # Long texts come in parts.
                if isinstance(value, str):
                    texts.setdefault(key, []).append(value)
                else:
                    result[key] = value
        result.update((key, "".join(parts)) for key, parts in texts.items())
        return result

    def stream(self, method: str, parameters: Parameters, tick: Tick | None = None) -> Iterator[Parameters]:
        """Makes a call that may take long and hands out each of its replies. Closing the iterator cancels it."""
        return self._replies(method, parameters, more=True, tick=tick)

    def _replies(self, method: str, parameters: Parameters, more: bool, tick: Tick | None) -> Iterator[Parameters]:
        call = {"method": f"{_INTERFACE}.{method}", "parameters": parameters, "more": more}
        if tick:
            tick()
        connection = self._connection()
        finished = False
        try:
            connection.send(call)
            while not finished:
                reply = connection.receive(tick)
                finished = not reply.get("continues", False)
                if "error" in reply:
                    raise _exception(reply["error"], reply.get("parameters") or {})
                yield reply.get("parameters") or {}
        except ConnectionError as error:
            raise MachineError(f"the driver is gone: {error}") from None
        finally:
            if finished:
                self._idle.append(connection)
            else:
                connection.close()

    def _connection(self) -> _Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return _Connection(self._path)


class _Connection:
    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise MachineError(f"the driver is gone: {error}") from None
        self._received = bytearray()

    def send(self, message: Parameters) -> None:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        self._socket.settimeout(None)
        self._socket.sendall(text.encode() + b"\0")

    def receive(self, tick: Tick | None) -> Parameters:
        searched = 0
        due = time.monotonic() if tick else None
        while (end := self._received.find(b"\0", searched)) < 0:
            searched = len(self._received)
            if tick and due is not None and time.monotonic() >= due:
                again = tick()
                due = None if again is None else time.monotonic() + again
            self._socket.settimeout(None if due is None else max(due - time.monotonic(), 0.001))
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                raise ConnectionResetError("connection closed")
            self._received += data
        message: Parameters = json.loads(self._received[:end])
        del self._received[: end + 1]
        return message

    def close(self) -> None:
        self._socket.close()


def _exception(error: str, parameters: Parameters) -> Exception:
    message = parameters.get("message") or f"{error} {parameters or ''}".strip()
    if error == f"{_INTERFACE}.QmpRefused":
        return QMPAPIError(message, parameters["class"], parameters["description"])
    return _ERRORS.get(error, MachineError)(message)
