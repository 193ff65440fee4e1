from __future__ import annotations

import struct
import unittest
import zlib

from test_driver.machine.x11 import keysym
from test_driver.machine.xwd import png


def dump(bits: int, masks: tuple[int, int, int], rows: list[bytes], width: int, big: bool = False) -> bytes:
    """What xwd says of a screen with a window of some name and a colour map."""
    stride = max(len(row) for row in rows)
    name, colours = b"root\0\0\0\0", 2
    fields = [100 + len(name), 7, 2, 24, width, len(rows), 0, int(big), 32, 0, 32, bits, stride, 4, *masks, 8, 2]
    header = struct.pack(">25I", *fields, colours, width, len(rows), 0, 0, 0)
    return header + name + bytes(12 * colours) + b"".join(rows)


def pixels(picture: bytes) -> tuple[int, int, list[bytes]]:
    """The size and the rows of a PNG file as we write them."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    place, parts = 8, {}
    while place < len(picture):
        length, name = struct.unpack_from(">I4s", picture, place)
        content = picture[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", picture, place + 8 + length)[0] == zlib.crc32(name + content)
        parts[name] = content
        place += 12 + length
    width, height = struct.unpack_from(">2I", parts[b"IHDR"])
    data = zlib.decompress(parts[b"IDAT"])
    line = 1 + 3 * width
    assert len(data) == line * height
    return width, height, [data[row * line + 1 : (row + 1) * line] for row in range(height)]


class PictureTest(unittest.TestCase):
    def test_colours_of_a_byte_each(self) -> None:
        masks = (0xFF0000, 0xFF00, 0xFF)
        little = dump(32, masks, [bytes([3, 2, 1, 0, 6, 5, 4, 0])], 2)
        self.assertEqual(pixels(png(little)), (2, 1, [bytes([1, 2, 3, 4, 5, 6])]))
        big = dump(32, masks, [bytes([0, 1, 2, 3])], 1, big=True)
        self.assertEqual(pixels(png(big)), (1, 1, [bytes([1, 2, 3])]))
        # Rows have padding.
        packed = dump(24, masks, [bytes([3, 2, 1, 9]), bytes([6, 5, 4, 9])], 1)
        self.assertEqual(pixels(png(packed)), (1, 2, [bytes([1, 2, 3]), bytes([4, 5, 6])]))

    def test_colours_of_some_bits(self) -> None:
        masks = (0xF800, 0x7E0, 0x1F)
        rows = [struct.pack("<2H", 0xF800, 0x07FF)]
        self.assertEqual(pixels(png(dump(16, masks, rows, 2))), (2, 1, [bytes([255, 0, 0, 0, 255, 255])]))

    def test_what_is_no_picture(self) -> None:
        whole = dump(32, (0xFF0000, 0xFF00, 0xFF), [bytes(4)], 1)
        for wrong in (b"", b"no display", whole[:-1], b"\0" * 200, dump(8, (1, 2, 4), [bytes(4)], 4)):
            with self.assertRaises(ValueError):
                png(wrong)


class KeyTest(unittest.TestCase):
    def test_names(self) -> None:
        for key, name in {
            "ret": "Return",
            "a": "a",
            "f12": "F12",
            "kp_5": "KP_5",
            "kp_enter": "KP_Enter",
            "ctrl-alt-delete": "ctrl+alt+Delete",
            "shift-a": "shift+a",
            "meta_l": "Super_L",
            "alt-minus": "alt+minus",
            "-": "-",
        }.items():
            self.assertEqual(keysym(key), name)

    def test_what_is_no_key(self) -> None:
        for key in ("hyper-a", "ctrl-", "a-b", "--"):
            with self.assertRaises(ValueError):
                keysym(key)
