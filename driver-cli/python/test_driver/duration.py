"""Durations as scripts give them: a ``timedelta``, or a bare number of seconds."""

from __future__ import annotations

import sys
from datetime import timedelta
from math import isfinite

Duration = timedelta | int | float

FIFTEEN_MINUTES = timedelta(minutes=15)


def seconds(duration: Duration, method: str) -> float:
    """The duration in seconds; ``method`` is the caller's name for messages."""
    if not isinstance(duration, timedelta):
        deprecated(f"{method}(): passing a bare int/float as a duration is deprecated. Use datetime.timedelta instead.")
    return plain_seconds(duration, method)


def optional_seconds(duration: Duration | None, method: str) -> float | None:
    """The same where no duration means no limit."""
    return None if duration is None else seconds(duration, method)


def plain_seconds(duration: Duration, method: str) -> float:
    """The same where bare numbers are in order."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, bool) or not isinstance(duration, (int, float)):
        raise TypeError(f"{method}(): a duration is a datetime.timedelta, not {type(duration).__name__}")
    if not isfinite(duration):
        raise ValueError(f"{method}(): a duration is a finite number of seconds")
    return float(duration)


def deprecated(message: str) -> None:
    """Warns once for each line of the script that uses something deprecated."""
    import warnings

    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "test_driver":
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    place = (frame.f_code.co_filename, frame.f_lineno)
    warnings.warn_explicit(message, DeprecationWarning, *place, module="__main__", registry=registry)
