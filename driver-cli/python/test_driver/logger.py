"""The run's record, as scripts write to it: the global ``log``, spans and subtests."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar

from test_driver.words import printable, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn

    from test_driver.client import Client


class Logger:
    """Writes to the record. What is written lies in the span of the thread or task that writes it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._span: ContextVar[int | None] = ContextVar("span", default=None)
        self._main_span: int | None = None

    @property
    def span(self) -> int | None:
        """The innermost span here. A thread that opened none of its own is in the main thread's."""
        span = self._span.get()
        return self._main_span if span is None else span

    def log(self, message: str, attributes: Mapping[str, str] | None = None) -> None:
        """Records a message for everyone."""
        self._record("info", message, attributes)

    def debug(self, message: str, attributes: Mapping[str, str] | None = None) -> None:
        """Records a message for whoever looks for a fault."""
        self._record("debug", message, attributes)

    def info(self, message: str, attributes: Mapping[str, str] | None = None) -> None:
        """Records a message for everyone."""
        self._record("info", message, attributes)

    def warning(self, message: str, attributes: Mapping[str, str] | None = None) -> None:
        """Records something odd."""
        self._record("warning", message, attributes)

    def error(self, message: str, attributes: Mapping[str, str] | None = None) -> NoReturn:
        """Records an error and ends the script, which fails with it."""
        self._record("error", message, attributes)
        text = str(message)
        if threading.current_thread() is not threading.main_thread():
            # There, an exception would end no more than the thread.
            self._client.call("ReportFailure", {"report": printable(text), "machine_failed": False})
            os._exit(1)
        sys.exit(text)

    def log_test_error(self, message: str, attributes: Mapping[str, str] | None = None) -> None:
        """Records an error; the script goes on."""
        self._record("error", message, attributes)

    def log_serial(self, message: str, machine: str) -> None:
        """Records lines as if the machine had said them on its console."""
        text = printable(str(message))
        call = {"level": "info", "message": text, "machine": machine, "serial": True, "span": self.span}
        self._client.call("Log", call)

    @contextmanager
    def nested(self, message: str, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        """A step with a title; what is recorded within it lies in it."""
        with self._within(message, attributes, subtest=False):
            yield

    @contextmanager
    def subtest(self, name: str, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        """A step that is a test of its own in reports. It fails if an exception leaves it."""
        with self._within(name, attributes, subtest=True):
            try:
                yield
            except Exception as error:
                self.log_test_error(f'Test "{name}" failed with error: "{words(error)}"')
                raise

    def print_serial_logs(self, enable: bool) -> None:
        """Shows the machines' consoles on the terminal, or no longer. The files of the record have them in any case."""
        self._client.call("ShowConsoles", {"shown": enable})

    def _record(self, level: str, message: str, attributes: Mapping[str, str] | None) -> None:
        machine = (attributes or {}).get("machine")
        text = printable(str(message))
        self._client.call("Log", {"level": level, "message": text, "machine": machine, "span": self.span})

    @contextmanager
    def _within(self, title: str, attributes: Mapping[str, str] | None, subtest: bool) -> Iterator[None]:
        texts = {str(name): printable(str(value)) for name, value in (attributes or {}).items()}
        machine = texts.pop("machine", None)
        start = {
            "title": printable(str(title)),
            "subtest": subtest,
            "machine": machine,
            "attributes": texts,
            "span": self.span,
        }
        span = self._client.call("SpanStart", start)["span"]
        outer = self._span.get()
        failure = None
        self._enter(span)
        try:
            yield
        except BaseException as error:
            failure = words(error) or type(error).__name__
            raise
        finally:
            self._enter(outer)
            self._client.call("SpanEnd", {"span": span, "failure": failure})

    def _enter(self, span: int | None) -> None:
        self._span.set(span)
        if threading.current_thread() is threading.main_thread():
            self._main_span = span


AbstractLogger = Logger
"""Upstream's name of what scripts have as ``log``, for annotations."""
