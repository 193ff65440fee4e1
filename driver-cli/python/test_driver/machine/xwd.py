"""Pictures that xwd takes of an X server's screen, as PNG files."""

from __future__ import annotations

import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

_FIELDS = 25
_Z_PIXMAP = 2


def png(dump: bytes) -> bytes:
    """The PNG file of a dump as XWDFile.h has it: colours by their masks in pixels of 16, 24 or 32 bits."""
    if len(dump) < 4 * _FIELDS:
        raise ValueError("it is no xwd dump: it is too short")
    header = struct.unpack_from(f">{_FIELDS}I", dump)
    size, version, kind, _, width, height, _, big = header[:8]
    bits, stride = header[11:13]
    masks, colours = header[14:17], header[19]
    if version != 7 or kind != _Z_PIXMAP or bits not in (16, 24, 32) or not all(masks):
        raise ValueError(f"it is no xwd dump of true colours: version {version}, format {kind}, {bits} bits a pixel")
    begin = size + 12 * colours
    if len(dump) < begin + stride * height or stride * 8 < width * bits:
        raise ValueError("the xwd dump ends early")
    rows = (dump[begin + row * stride : begin + row * stride + width * bits // 8] for row in range(height))
    read = _bytes(bits // 8, bool(big), masks) or _pixels(bits // 8, bool(big), masks)
    lines = b"".join(b"\0" + read(row) for row in rows)
    shape = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", shape), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_part(*part) for part in parts)


def _part(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _bytes(step: int, big: bool, masks: tuple[int, ...]) -> Callable[[bytes], bytes] | None:
    """What reads a row whose colours are a byte each, which is nearly always so; nothing otherwise."""
    places = []
    for mask in masks:
        shift = (mask & -mask).bit_length() - 1
        if mask >> shift != 0xFF or shift % 8:
            return None
        places.append(step - 1 - shift // 8 if big else shift // 8)

    def read(row: bytes) -> bytes:
        line = bytearray(len(row) // step * 3)
        for colour, place in enumerate(places):
            line[colour::3] = row[place::step]
        return bytes(line)

    return read


def _pixels(step: int, big: bool, masks: tuple[int, ...]) -> Callable[[bytes], bytes]:
    """What reads a row pixel by pixel."""
    order: Literal["big", "little"] = "big" if big else "little"
    shifts = [(mask, (mask & -mask).bit_length() - 1) for mask in masks]

    def read(row: bytes) -> bytes:
        line = bytearray()
        for place in range(0, len(row), step):
            pixel = int.from_bytes(row[place : place + step], order)
            line.extend(((pixel & mask) >> shift) * 255 // (mask >> shift) for mask, shift in shifts)
        return bytes(line)

    return read
