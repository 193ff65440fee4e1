from __future__ import annotations

import unittest
import warnings
from datetime import timedelta

from test_driver.duration import optional_seconds, plain_seconds, seconds
from test_driver.errors import RequestedAssertionFailed
from test_driver.retry import retry


class DurationTest(unittest.TestCase):
    def test_kinds(self) -> None:
        self.assertEqual(seconds(timedelta(minutes=1), "verb"), 60.0)
        with self.assertWarnsRegex(DeprecationWarning, r"verb\(\): passing a bare int/float"):
            self.assertEqual(seconds(3, "verb"), 3.0)
        self.assertIsNone(optional_seconds(None, "verb"))
        for wrong in (True, "3", None):
            with self.subTest(wrong), self.assertRaisesRegex(TypeError, r"verb\(\): a duration is"):
                plain_seconds(wrong, "verb")  # type: ignore[arg-type]
        for wrong_number in (float("nan"), float("inf")):
            with self.subTest(wrong_number), self.assertRaises(ValueError):
                plain_seconds(wrong_number, "verb")


class RetryTest(unittest.TestCase):
    def test_until_true(self) -> None:
        answers = iter([False, False, True])
        retry(lambda last: next(answers))

    def test_the_last_chance(self) -> None:
        calls: list[bool] = []

        def only_at_last(last: bool) -> bool:
            calls.append(last)
            return last

        retry(only_at_last, timeout=timedelta(milliseconds=20))
        self.assertGreater(len(calls), 1)
        self.assertEqual(calls, [False] * (len(calls) - 1) + [True])

    def test_no_time_is_one_chance(self) -> None:
        with self.assertRaisesRegex(
            RequestedAssertionFailed, r"action timed out after 0\.\d\d seconds \(timeout=0.0\)"
        ):
            retry(lambda last: False, timeout=timedelta(0))

    def test_the_old_name(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            retry(lambda last: True, timeout_seconds=3)
            with self.assertRaises(TypeError):
                retry(lambda last: True, timeout_seconds=3, timeout=3)
