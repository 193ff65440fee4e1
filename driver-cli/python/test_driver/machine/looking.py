"""Waiting for text that has to be looked at again and again."""

from __future__ import annotations

import re
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHORTEST = 0.05
_LONGEST = 0.5


def wait_for_match(regex: str | re.Pattern[str], look: Callable[[], Iterable[str]], limit: float) -> list[str] | None:
    """Looks until a regular expression matches one of the texts seen, and does not look at the rest of them then.

    Looks once more when the time is up. If nothing matches then either, returns what was seen last, and otherwise nothing.
    """
    pattern = re.compile(regex)
    began = time.monotonic()
    pause = _SHORTEST
    while True:
        last_chance = time.monotonic() - began >= limit
        seen = []
        for text in look():
            if pattern.search(text):
                return None
            seen.append(text)
        if last_chance:
            return seen
        time.sleep(max(0.0, min(pause, limit - (time.monotonic() - began))))
        pause = min(2 * pause, _LONGEST)
