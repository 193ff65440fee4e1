"""Reading the text of pictures, with tesseract on the host."""

from __future__ import annotations

import subprocess

from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_LIMIT = 120
"""Seconds that a program may take for one picture."""

_PROCESSED = [
    "-filter",
    "Catrom",
    "-density",
    "72",
    "-resample",
    "300",
    "-contrast",
    "-normalize",
    "-despeckle",
    "-type",
    "grayscale",
    "-sharpen",
    "1",
    "-posterize",
    "3",
]

_BLURRED = ["-gamma", "100", "-blur", "1x65535"]


def perform_ocr_on_screenshot(screenshot_path: str | os.PathLike[str]) -> str:
    """The text of a picture as it is."""
    with open(screenshot_path, "rb") as file:
        return read(file.read())


def perform_ocr_variants_on_screenshot(screenshot_path: str | os.PathLike[str]) -> list[str]:
    """The text of a picture as it is, then as ImageMagick makes it clearer, where that is installed."""
    with open(screenshot_path, "rb") as file:
        return list(variants(file.read()))


def variants(picture: bytes) -> Iterator[str]:
    """The same one after another, so that whoever has seen enough can stop."""
    from shutil import which

    yield read(picture)
    if which("magick"):
        convert = ["magick", "convert"]
    elif which("convert"):
        convert = ["convert"]
    else:
        return
    for also in _BLURRED, ["-negate", *_BLURRED]:
        command = [*convert, "-", *_PROCESSED, *also, "png:-"]
        yield read(_run(command, picture, "Image processing failed with exit code"))


def read(picture: bytes) -> str:
    """The text that tesseract finds in a picture."""
    command = ["tesseract", "-", "-", "-c", "debug_file=/dev/null", "--psm", "11"]
    return _run(command, picture, "OCR failed with exit code").decode(errors="replace")


def _run(command: list[str], picture: bytes, failed: str) -> bytes:
    try:
        ran = subprocess.run(command, input=picture, capture_output=True, timeout=_LIMIT, check=False)
    except FileNotFoundError:
        raise MachineError(f"OCR requested but `{command[0]}` is not available") from None
    except subprocess.TimeoutExpired:
        raise MachineError(f"`{command[0]}` did not read the screen within {_LIMIT} seconds") from None
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip()
        raise MachineError(f"{failed} {ran.returncode}" + (f": {said}" if said else ""))
    return ran.stdout


__all__ = ["MachineError", "perform_ocr_on_screenshot", "perform_ocr_variants_on_screenshot"]
