"""The global ``t``: unittest's assertions, without a test case."""

from __future__ import annotations

from test_driver.errors import RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Assertions:
    """Has all ``assert*`` methods of ``unittest.TestCase``; what fails raises ``RequestedAssertionFailed``.

    Importing unittest takes longer than starting the interpreter, so that is left to the first use.
    """

    def __getattr__(self, name: str) -> Any:
        import unittest

        case = unittest.TestCase()
        case.failureException = RequestedAssertionFailed
        method = getattr(case, name)
        setattr(self, name, method)
        return method
