from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from unittest.mock import patch

from test_driver.machine.ocr import (
    MachineError,
    perform_ocr_on_screenshot,
    perform_ocr_variants_on_screenshot,
)


class OcrTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.picture = self.directory / "picture"
        self.picture.write_text("SCREEN")
        for patched in (patch.dict(os.environ, {"PATH": str(self.directory)}),):
            patched.start()
            self.addCleanup(patched.stop)

    def program(self, name: str, script: str) -> None:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def test_what_is_read(self) -> None:
        self.program("tesseract", 'read -r line; echo "read $line"')
        self.assertEqual(perform_ocr_on_screenshot(self.picture), "read SCREEN\n")
        self.assertEqual(perform_ocr_variants_on_screenshot(self.picture), ["read SCREEN\n"])
        self.program("magick", "echo clearer")
        texts = ["read SCREEN\n", "read clearer\n", "read clearer\n"]
        self.assertEqual(perform_ocr_variants_on_screenshot(str(self.picture)), texts)

    def test_what_fails(self) -> None:
        with self.assertRaisesRegex(MachineError, "^OCR requested but `tesseract` is not available$"):
            perform_ocr_on_screenshot(self.picture)
        self.program("tesseract", "exit 3")
        with self.assertRaisesRegex(MachineError, "^OCR failed with exit code 3$"):
            perform_ocr_on_screenshot(self.picture)
        self.program("tesseract", "echo text")
        self.program("convert", "echo broken >&2; exit 4")
        with self.assertRaisesRegex(MachineError, "^Image processing failed with exit code 4: broken$"):
            perform_ocr_variants_on_screenshot(self.picture)
