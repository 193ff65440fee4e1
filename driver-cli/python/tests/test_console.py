from __future__ import annotations

import re
import time
import unittest
from collections.abc import Iterator
from typing import Any

from test_driver.errors import MachineError, RequestedAssertionFailed
from test_driver.machine.console import wait_for_text


def batch(*lines: str, boot: int = 1, line: int = 0) -> dict[str, Any]:
    return {"boot": boot, "line": line, "lines": list(lines)}


def batches(lines: list[str], size: int) -> Iterator[dict[str, Any]]:
    for first in range(0, len(lines), size):
        yield batch(*lines[first : first + size], line=first)


class ConsoleTest(unittest.TestCase):
    def test_the_place_is_after_the_line_of_the_match(self) -> None:
        lines = ["one", "two", "", "three"]
        for regex, end in [
            ("one", 1),
            ("tw", 2),
            ("one\ntwo", 2),
            ("two\n", 2),
            ("o\n\nt", 4),
            ("^one", 1),
            ("(?m)^two$", 2),
            ("", 1),
        ]:
            with self.subTest(regex):
                self.assertEqual(wait_for_text(regex, [batch(*lines)], None), (1, end))
        self.assertEqual(wait_for_text("two", [batch("x", "two", line=7)], None), (1, 9))

    def test_what_does_not_match_times_out(self) -> None:
        for regex in ["onetwo", "^two", "one.two"]:
            with (
                self.subTest(regex),
                self.assertRaisesRegex(RequestedAssertionFailed, r"action timed out .* \(timeout=3.0\)"),
            ):
                wait_for_text(regex, [batch("one", "two"), batch(line=2)], 3.0)

    def test_a_match_may_span_batches(self) -> None:
        lines = ["start", *(f"line {number}" for number in range(1000)), "end"]
        self.assertEqual(wait_for_text("line 999\nend", batches(lines, 1), None), (1, 1002))
        self.assertEqual(wait_for_text(re.compile("start.*end", re.DOTALL), batches(lines, 300), None), (1, 1002))

    def test_a_prompt_counts_before_its_line_ends(self) -> None:
        replies = [batch("boot"), {**batch(line=1), "unfinished": "login: "}]
        self.assertEqual(wait_for_text("boot\nlogin: $", replies, None), (1, 2))
        self.assertEqual(wait_for_text("^login", [{**batch(), "unfinished": "login: "}], None), (1, 1))

    def test_a_new_boot_begins_anew(self) -> None:
        replies = [batch("one"), batch("two", boot=2), batch("three", boot=2, line=1)]
        with self.assertRaises(RequestedAssertionFailed):
            wait_for_text("one\ntwo", replies, 1.0)
        self.assertEqual(wait_for_text("two\nthree", replies, 1.0), (2, 2))

    def test_last_words_count(self) -> None:
        def dying() -> Iterator[dict[str, Any]]:
            yield batch("one", "panic")
            raise MachineError("it is gone")

        self.assertEqual(wait_for_text("panic", dying(), None), (1, 2))
        with self.assertRaisesRegex(MachineError, "it is gone"):
            wait_for_text("never", dying(), None)

    def test_the_cost_is_linear(self) -> None:
        def cost(count: int) -> float:
            lines = [f"[{number:>10}] unit {number} did something that nobody cares about" for number in range(count)]
            began = time.process_time()
            wait_for_text("reached target", batches([*lines, "reached target"], 160), None)
            return time.process_time() - began

        def least(count: int) -> float:
            return min(cost(count) for _ in range(3))

        # A square would be 64 times as much; there is room for noise.
        self.assertLess(least(64_000), 32 * max(least(8_000), 0.01))
