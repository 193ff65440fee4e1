"""Conditions that a script watches while it does other things."""

from __future__ import annotations

import threading
import time

from test_driver.retry import retry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from test_driver.duration import Duration
    from test_driver.logger import Logger


class PollingConditionError(Exception):
    """A polling condition that must hold did not."""


class PollingConditions:
    """The conditions that must hold now, innermost last."""

    def __init__(self) -> None:
        self._entered: list[PollingCondition] = []
        self._checking = threading.local()

    def __bool__(self) -> bool:
        return bool(self._entered)

    def check(self) -> float | None:
        """Checks each condition that is due and raises if one does not hold. Returns the seconds until the next is due.

        Does nothing within a check, so that conditions can use machines.
        """
        if getattr(self._checking, "now", False):
            return None
        self._checking.now = True
        try:
            for condition in list(self._entered):
                if condition.overdue and not condition.check():
                    raise PollingConditionError(f"Polling condition failed: {condition.description}")
        finally:
            self._checking.now = False
        return min((condition.remaining for condition in self._entered), default=None)

    def enter(self, condition: PollingCondition) -> None:
        self._entered.append(condition)

    def leave(self, condition: PollingCondition) -> None:
        in_order = bool(self._entered) and self._entered[-1] is condition
        assert in_order, "polling conditions must be left in the opposite order of entering them"
        self._entered.pop()


class PollingCondition:
    """A condition: a context manager under which it must hold, and something to wait for."""

    def __init__(
        self,
        condition: Callable[[], bool | None],
        conditions: PollingConditions,
        logger: Logger,
        interval: float,
        description: str | None = None,
    ) -> None:
        self.description = description or (condition.__doc__ or "").strip() or condition.__name__
        self._condition = condition
        self._conditions = conditions
        self._logger = logger
        self._interval = interval
        self._last: float | None = None

    @property
    def remaining(self) -> float:
        """Seconds until the next check is due."""
        return 0.0 if self._last is None else max(0.0, self._last + self._interval - time.monotonic())

    @property
    def overdue(self) -> bool:
        return self.remaining == 0.0

    def check(self) -> bool:
        """Whether the condition holds now."""
        with self._logger.nested(f"Checking polling condition '{self.description}'"):
            since = "(not called yet)" if self._last is None else f"{time.monotonic() - self._last:.2f}s"
            self._logger.debug(f"Time since last: {since}")
            try:
                result = self._condition()
                holds = result is None or bool(result)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, the condition does not hold
                self._logger.info(f"{type(error).__name__}: {error}")
                holds = False
            self._last = time.monotonic()
            self._logger.info(f"Polling condition {'succeeded' if holds else 'failed'}: {self.description}")
            return holds

    def wait(self, timeout_seconds: Duration | None = None, timeout: Duration | None = None) -> None:
        """Waits until the condition holds."""

        def holds(last_try: bool) -> bool:
            if last_try:
                self._logger.info(f"Last chance for {self.description}")
            if self.check():
                return True
            if not last_try:
                self._logger.info(f"({self.description} failure not fatal yet)")
            return False

        with self._logger.nested(f"waiting for {self.description}"):
            retry(holds, timeout_seconds, timeout)

    def __enter__(self) -> None:
        self._conditions.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._conditions.leave(self)
