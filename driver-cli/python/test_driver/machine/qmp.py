"""QMP, QEMU's machine protocol, through the driver's connection to it."""

from __future__ import annotations

import json
import time

from test_driver.duration import plain_seconds
from test_driver.errors import QMPAPIError, RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from test_driver.duration import Duration
    from test_driver.machine import BaseMachine


class QMPSession:
    """The QMP of one machine."""

    def __init__(self, machine: BaseMachine) -> None:
        self._machine = machine

    def send(self, cmd: str, args: dict[str, Any] | None = None) -> Any:
        """Runs a command and returns its result. Raises ``QMPAPIError`` if QEMU refuses it."""
        return json.loads(self._machine._output("Qmp", command=cmd, arguments=json.dumps(args or {})))

    def events(self) -> Iterator[dict[str, Any]]:
        """The events that came and were not handed out yet."""
        while (event := self._next(0.0)) is not None:
            yield event

    def wait_for_event(
        self, timeout: Duration = 600.0, event_filter: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[str, Any]:
        """Waits for an event, or for one that the filter wants."""
        limit = plain_seconds(timeout, "wait_for_event")
        until = time.monotonic() + limit
        while (event := self._next(max(0.0, until - time.monotonic()))) is not None:
            if event_filter is None or event_filter(event):
                return event
        raise RequestedAssertionFailed(f"no such QMP event came within {limit} seconds")

    def _next(self, timeout: float) -> dict[str, Any] | None:
        try:
            event: dict[str, Any] = json.loads(self._machine._output("NextQmpEvent", timeout=timeout))
        except RequestedAssertionFailed:
            return None
        return event


__all__ = ["QMPAPIError", "QMPSession"]
