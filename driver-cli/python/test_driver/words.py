"""Texts that come from scripts, made fit to be sent."""

from __future__ import annotations


def words(error: BaseException) -> str:
    """The message of an exception, which may be empty."""
    try:
        return printable(str(error))
    except BaseException as another:  # noqa: BLE001 - its code is the script's
        return f"(its __str__ raised {type(another).__name__})"


def printable(text: str) -> str:
    """A text that can be sent as UTF-8."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
