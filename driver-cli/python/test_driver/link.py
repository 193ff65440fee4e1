"""The links of machines to VLANs with their faults, and captures of both."""

from __future__ import annotations

import os
from datetime import timedelta

from test_driver.duration import Duration, plain_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self

    from test_driver.client import Parameters
    from test_driver.driver import Driver
    from test_driver.stats import LinkStats

_DIRECTIONS = ("both", "out", "in")

_DISTRIBUTIONS = ("uniform", "normal", "pareto")

_BYTES = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Link:
    """What joins a machine to a VLAN. What is done to it holds over all starts of the machine."""

    def __init__(self, driver: Driver, machine: str, vlan: int) -> None:
        self._driver = driver
        self._machine = machine
        self._vlan = vlan

    def __repr__(self) -> str:
        return f"<Link of {self._machine} to vlan {self._vlan}>"

    def impair(
        self,
        *,
        delay: Duration | str | None = None,
        jitter: Duration | str | None = None,
        distribution: str | None = None,
        loss: float | str | None = None,
        burst: float | None = None,
        duplicate: float | str | None = None,
        reorder: float | str | None = None,
        corrupt: float | str | None = None,
        rate: str | None = None,
        limit: int | None = None,
        seed: int | None = None,
        direction: str = "both",
    ) -> None:
        """Has the link treat frames like this from the next one on, in place of what was told before for the direction.

        ``delay`` is how long each frame takes, such as ``"50ms"``, a number of seconds or a ``timedelta``, and ``jitter`` how far that
        deviates: evenly up to it (``distribution="uniform"``), or with it as the standard deviation (``"normal"``, ``"pareto"``). ``loss``,
        ``duplicate``, ``reorder`` and ``corrupt`` are shares of frames, such as ``"1%"`` or ``0.01``; ``burst`` is how many are lost in a row
        on average. ``rate`` is such as ``"10mbit"``, ``limit`` how many frames can wait. A ``seed`` makes what happens to the n-th frame the
        same in each run. ``direction`` is ``"out"`` (from the machine), ``"in"`` or ``"both"``, where a round trip meets all of it twice.
        """
        faults = {
            "delay": _time(delay, "delay"),
            "jitter": _time(jitter, "jitter"),
            "distribution": None if distribution is None else _word(distribution, "distribution", _DISTRIBUTIONS),
            "loss": _share(loss, "loss"),
            "burst": None if burst is None else _number(burst, "burst"),
            "duplicate": _share(duplicate, "duplicate"),
            "reorder": _share(reorder, "reorder"),
            "corrupt": _share(corrupt, "corrupt"),
            "rate": None if rate is None else _text(rate, "rate", '"10mbit"'),
            "limit": None if limit is None else _whole(limit, "limit"),
            "seed": None if seed is None else _whole(seed, "seed"),
        }
        self._wait("Impair", direction=_word(direction, "direction", _DIRECTIONS), faults=faults)

    def clear(self) -> None:
        """Undoes ``impair`` in both directions."""
        self._wait("ClearLink")

    def down(self) -> None:
        """Lets no frame pass, as if the cable were pulled."""
        self._wait("SetLink", up=False)

    def up(self) -> None:
        """Undoes ``down``."""
        self._wait("SetLink", up=True)

    def stats(self) -> LinkStats:
        """What passed it since the run began, and what did not."""
        from test_driver.stats import read

        return read(self._wait("LinkStats"))[self._machine]

    def capture(self, file: str | os.PathLike[str], limit: int | str | None = None) -> Capture:
        """Writes what the machine sends and receives to a file, as ``VLan.capture`` does."""
        return Capture(self._driver, self._vlan, self._machine, file, limit)

    def _wait(self, method: str, **parameters: Any) -> Parameters:
        call = {"machine": self._machine, "vlan": self._vlan, "span": self._driver.logger.span, **parameters}
        return self._driver.client.wait(method, call, self._driver.tick)


class Capture:
    """A capture that goes on until the end of its ``with`` block, ``stop()`` or the end of the script."""

    def __init__(
        self, driver: Driver, vlan: int, machine: str | None, file: str | os.PathLike[str], limit: int | str | None
    ) -> None:
        call = {
            "vlan": vlan,
            "machine": machine,
            "file": os.fspath(file),
            "limit": None if limit is None else _bytes(limit),
            "span": driver.logger.span,
        }
        if not isinstance(call["file"], str):
            raise TypeError("capture(): the name of a file is a str")
        self._driver = driver
        begun = driver.client.wait("StartCapture", call, driver.tick)
        self._number: int | None = begun["capture"]
        self._path: str = begun["path"]
        self.frames = 0
        """How many frames were captured, once it is stopped."""
        self.dropped = 0
        """How many came too fast for that, once it is stopped."""

    @property
    def path(self) -> Path:
        """Its file, which has all that was captured once it is stopped."""
        from pathlib import Path

        return Path(self._path)

    def stop(self) -> None:
        """Ends the capture. Does nothing if it has ended."""
        if self._number is None:
            return
        number, self._number = self._number, None
        ended = self._driver.client.wait("StopCapture", {"capture": number}, self._driver.tick)
        self.frames, self.dropped = ended["frames"], ended["dropped"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


# The driver closes the connection on a parameter of another type than it expects, so all are looked at here.


def _time(value: Duration | str | None, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return _plain(plain_seconds(_number(value, name), "impair")) + "s"


def _share(value: float | str | None, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _plain(_number(value, name) * 100) + "%"


def _plain(number: float) -> str:
    """A number without an exponent."""
    return f"{number:.12f}".rstrip("0").rstrip(".")


def _number(value: float, name: str) -> float:
    from math import isfinite

    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"impair(): {name} cannot be a {type(value).__name__}")
    if not isfinite(value):
        raise ValueError(f"impair(): {name} must be finite")
    return float(value)


def _whole(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"impair(): {name} is a whole number, not {type(value).__name__}")
    if not 0 <= value < 2**63:
        raise ValueError(f"impair(): {name} is a number from 0 to 2**63 - 1")
    return value


def _text(value: str, name: str, such_as: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"impair(): {name} is a text such as {such_as}, not {type(value).__name__}")
    return value


def _word(value: str, name: str, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError(f"impair(): no {name} {value!r}; there are: {', '.join(words)}")
    return value


def _bytes(limit: int | str) -> int:
    if isinstance(limit, str):
        digits = limit.rstrip("kKMGiB")
        factor = _BYTES.get(limit[len(digits) :])
        if factor is None or not (digits.isascii() and digits.isdigit()):
            raise ValueError(f'capture(): {limit!r} is no size; write such as "10MB" or "512KiB", or a number of bytes')
        limit = int(digits) * factor
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"capture(): a limit is a number of bytes or a text, not {type(limit).__name__}")
    if not 0 < limit < 2**63:
        raise ValueError("capture(): a limit is more than nothing, and less than 2**63 bytes")
    return limit
