"""Waiting for text on a console, at a cost that grows with the console and not with its square."""

from __future__ import annotations

import re
import time

from test_driver.errors import MachineError, RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from test_driver.client import Parameters

Place = tuple[int, int]
"""A boot of the machine and the number of a line in it."""

_OVERLAP = 200
"""How many earlier lines are searched again together with new ones, for matches that go across lines."""


def wait_for_text(regex: str | re.Pattern[str], replies: Iterable[Parameters], timeout: float | None) -> Place:
    """Searches the lines that come in, joined by newlines, and returns the place after the one where a match ends.

    New lines are searched together with some before them. All are searched whenever their number has doubled, and before giving up.
    """
    pattern = re.compile(regex)
    began = time.monotonic()
    boot, first, text = 0, 0, ""
    starts: list[int] = []
    searched = 0
    gone: MachineError | None = None
    for reply in _until_gone(replies):
        if isinstance(reply, MachineError):
            gone = reply
            break
        if reply["boot"] != boot:
            boot, first, text, searched = reply["boot"], reply["line"], "", 0
            starts.clear()
        for line in reply["lines"]:
            if starts:
                text += "\n"
            starts.append(len(text))
            text += line
        unfinished = reply.get("unfinished", "")
        if not reply["lines"] and not unfinished:
            continue
        again = max(0, len(starts) - len(reply["lines"]) - _OVERLAP)
        if len(starts) >= 2 * searched:
            again, searched = 0, len(starts)
        # A prompt has no end yet; it comes again when its line is whole.
        shown = text + ("\n" if starts and unfinished else "") + unfinished
        if found := pattern.search(shown, starts[again] if starts else 0):
            return (boot, first + _lines_through(shown, found))
    if starts and (found := pattern.search(text)):
        return (boot, first + _lines_through(text, found))
    if gone:
        raise gone
    elapsed = time.monotonic() - began
    raise RequestedAssertionFailed(f"action timed out after {elapsed:.2f} seconds (timeout={timeout})")


def _until_gone(replies: Iterable[Parameters]) -> Iterable[Parameters | MachineError]:
    """The replies, then the error that ended them: the last lines of a dead machine still count."""
    try:
        yield from replies
    except MachineError as error:
        yield error


def _lines_through(text: str, found: re.Match[str]) -> int:
    """The number of lines up to and with the one in which a match ends."""
    return text.count("\n", 0, max(found.end() - 1, 0)) + 1
