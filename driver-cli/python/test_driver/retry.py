"""Trying something again until it comes true."""

from __future__ import annotations

import time

from test_driver.duration import FIFTEEN_MINUTES, Duration, deprecated, plain_seconds, seconds
from test_driver.errors import RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def retry(fn: Callable[[bool], bool], timeout_seconds: Duration | None = None, timeout: Duration | None = None) -> None:
    """Calls ``fn(False)`` until it returns true, and when the time is up, ``fn(True)`` as its last chance."""
    limit = _limit(timeout_seconds, timeout)
    began = time.monotonic()
    pause = 0.01
    while (left := limit - (time.monotonic() - began)) > 0:
        if fn(False):
            return
        time.sleep(min(pause, left))
        pause = min(2 * pause, 1.0)
    if not fn(True):
        raise timed_out(limit, time.monotonic() - began)


def timed_out(limit: float, elapsed: float | None = None) -> RequestedAssertionFailed:
    """The error of a wait that was in vain."""
    after = limit if elapsed is None else elapsed
    return RequestedAssertionFailed(f"action timed out after {after:.2f} seconds (timeout={limit})")


def _limit(timeout_seconds: Duration | None, timeout: Duration | None) -> float:
    if timeout_seconds is None:
        return seconds(FIFTEEN_MINUTES if timeout is None else timeout, "retry")
    if timeout is not None:
        raise TypeError("retry(): give either timeout or timeout_seconds, not both")
    deprecated("retry(): timeout_seconds is deprecated. Use timeout instead.")
    return plain_seconds(timeout_seconds, "retry")
