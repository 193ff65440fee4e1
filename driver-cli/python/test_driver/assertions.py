"""The global ``t``: unittest's assertions, without a test case."""

from __future__ import annotations

from test_driver.errors import RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
    from unittest import TestCase


class Assertions:
    """Has all that ``unittest.TestCase`` has; assertions that fail raise ``RequestedAssertionFailed``.

    Importing unittest takes longer than starting the interpreter, so that is left to the first use.
    """

    def _case(self) -> TestCase:
        case: TestCase | None = self.__dict__.get("case")
        if case is None:
            from unittest import TestCase

            case = self.__dict__["case"] = TestCase()
            case.failureException = RequestedAssertionFailed
        return case

    # For isinstance().
    __class__ = property(lambda self: type(self._case()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._case(), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._case(), name, value)
