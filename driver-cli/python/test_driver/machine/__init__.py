"""Machines as test scripts see them. Every verb is a call to the driver, which has the machine."""

from __future__ import annotations

import os
from datetime import timedelta

from test_driver.duration import FIFTEEN_MINUTES, Duration, optional_seconds, plain_seconds, seconds
from test_driver.errors import MachineError, RequestedAssertionFailed
from test_driver.machine.impossible import refusal
from test_driver.machine.vm import VmVerbs
from test_driver.retry import retry, timed_out
from test_driver.vlan import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any, NoReturn

    from test_driver.client import Parameters
    from test_driver.driver import Driver
    from test_driver.link import Link
    from test_driver.machine.qmp import QMPSession
    from test_driver.vlan import VLan


_TEXTS = frozenset(
    [
        "address",
        "command",
        "file",
        "job",
        "key",
        "path",
        "property",
        "query",
        "source",
        "state",
        "target",
        "target_directory",
        "text",
        "unit",
    ]
)
"""The parameters of calls that must be texts. The driver closes the connection on any other type."""


_KEY_DELAY = timedelta(milliseconds=10)

_TEN_MINUTES = timedelta(minutes=10)

_BUTTONS = ("left", "middle", "right", "wheel_up", "wheel_down")


class CommandResult:
    """What a command left behind."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"CommandResult(status={self.status}, stdout={self.stdout!r}, stderr={self.stderr!r})"


class BaseMachine:
    """A machine of the test."""

    def __init__(self, driver: Driver, name: str, backend: str) -> None:
        self.name = name
        self._driver = driver
        self._backend = backend
        self._console_place = (0, 0)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __getattr__(self, verb: str) -> Callable[..., NoReturn]:
        """A verb of upstream's that is not there raises ``MachineError`` when it is called."""
        return refusal(self.name, verb)

    # Life

    def start(self, allow_reboot: bool = False) -> None:
        """Starts the machine and does not wait for its boot. Does nothing if it runs.

        Without ``allow_reboot``, the machine ends when it reboots by itself. ``reboot`` works in any case.
        """
        self._wait("Start", allow_reboot=allow_reboot)

    def connect(self) -> None:
        """Starts the machine if need be and waits until it takes commands."""
        self.execute("true")

    def shutdown(self) -> None:
        """Powers the machine off and waits until it is gone. Does nothing if it does not run."""
        self._wait("Shutdown")

    def crash(self) -> None:
        """Ends the machine as a power cut would."""
        self._wait("Crash")

    def reboot(self) -> None:
        """Reboots the machine."""
        self._wait("Reboot")

    def wait_for_shutdown(self, timeout: Duration | None = None) -> None:
        """Waits until the machine is gone. Raises ``subprocess.TimeoutExpired`` if it is still there after ``timeout``."""
        limit = optional_seconds(timeout, "wait_for_shutdown")
        try:
            self._wait("WaitForShutdown", timeout=limit)
        except RequestedAssertionFailed:
            from subprocess import TimeoutExpired

            raise TimeoutExpired(f"shutdown of {self.name}", limit or 0.0) from None

    def is_up(self) -> bool:
        """Whether the machine runs."""
        return bool(self._driver.client.call("IsUp", {"machine": self.name})["up"])

    @property
    def booted(self) -> bool:
        return self.is_up()

    def block(self) -> None:
        """Unplugs the machine from its first VLAN."""
        self._wait("Block")

    def unblock(self) -> None:
        """Undoes ``block``."""
        self._wait("Unblock")

    # Commands

    def run(self, command: str, timeout: Duration | None = FIFTEEN_MINUTES) -> CommandResult:
        """Runs a command and returns its status, standard output and standard error. A timeout gives the status 124."""
        ran = self._wait("Execute", command=command, timeout=optional_seconds(timeout, "run"))
        return CommandResult(ran["status"], ran["stdout"], ran["stderr"])

    def execute(
        self,
        command: str,
        check_return: bool = True,
        check_output: bool = True,
        timeout: Duration | None = FIFTEEN_MINUTES,
    ) -> tuple[int, str]:
        """Runs a command and returns its status and standard output. A timeout gives the status 124.

        With ``check_return=False`` the status is -1; with ``check_output=False`` the command goes on by itself and the result is ``(-2, "")``.
        """
        call = {"command": command, "timeout": optional_seconds(timeout, "execute")}
        if not check_output:
            self._wait("ExecuteDetached", **call)
            return (-2, "")
        ran = self._wait("Execute", **call)
        return (ran["status"] if check_return else -1, ran["stdout"])

    def succeed(self, *commands: str, timeout: Duration | None = None) -> str:
        """Runs commands that must succeed, one after another, and returns their standard output."""
        limit = optional_seconds(timeout, "succeed")
        return "".join(self._output("Succeed", command=command, timeout=limit) for command in commands)

    def fail(self, *commands: str, timeout: Duration | None = None) -> str:
        """Runs commands that must fail, one after another, and returns their standard output."""
        limit = optional_seconds(timeout, "fail")
        return "".join(self._output("Fail", command=command, timeout=limit) for command in commands)

    def wait_until_succeeds(self, command: str, timeout: Duration = FIFTEEN_MINUTES) -> str:
        """Runs a command again and again until it succeeds and returns its last standard output."""
        limit = seconds(timeout, "wait_until_succeeds")
        return self._output("WaitUntilSucceeds", command=command, timeout=limit)

    def wait_until_fails(self, command: str, timeout: Duration = FIFTEEN_MINUTES) -> str:
        """Runs a command again and again until it fails and returns its last standard output."""
        limit = seconds(timeout, "wait_until_fails")
        return self._output("WaitUntilFails", command=command, timeout=limit)

    def sleep(self, secs: float | None = None, duration: timedelta | None = None) -> None:
        """Sleeps in the machine, by its clock."""
        given = secs if duration is None else duration
        if given is None:
            raise TypeError("sleep(): a duration is missing")
        self._wait("Sleep", seconds=plain_seconds(given, "sleep"))

    # Units

    def systemctl(self, q: str, user: str | None = None) -> tuple[int, str]:
        """Runs ``systemctl q``, of a user's own manager if one is given."""
        return self._systemctl("Systemctl", query=q, user=user)

    def start_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """Starts a unit. Does not raise if that fails."""
        return self._systemctl("StartJob", job=jobname, user=user)

    def stop_job(self, jobname: str, user: str | None = None) -> tuple[int, str]:
        """Stops a unit. Does not raise if that fails."""
        return self._systemctl("StopJob", job=jobname, user=user)

    def get_unit_info(self, unit: str, user: str | None = None) -> dict[str, str]:
        """The properties of a unit, as ``systemctl show`` has them."""
        properties: dict[str, str] = self._wait("UnitInfo", unit=unit, user=user)["properties"]
        return properties

    def get_unit_property(self, unit: str, property: str, user: str | None = None) -> str:
        """One property of a unit."""
        return self._output("UnitProperty", unit=unit, property=property, user=user)

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        """Requires that a unit is in a state now."""
        self._wait("RequireUnitState", unit=unit, state=require_state)

    def wait_for_unit(self, unit: str, user: str | None = None, timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until a unit is active. Raises at once if it failed, or is inactive and no job is going to change that."""
        self._wait("WaitForUnit", unit=unit, user=user, timeout=seconds(timeout, "wait_for_unit"))

    # Other waits

    def wait_for_file(self, filename: str, timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until a file exists."""
        self._wait("WaitForFile", path=os.fspath(filename), timeout=seconds(timeout, "wait_for_file"))

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until the machine can connect to a TCP port."""
        self._wait("WaitForOpenPort", port=int(port), address=addr, timeout=seconds(timeout, "wait_for_open_port"))

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until the machine can no longer connect to a TCP port."""
        limit = seconds(timeout, "wait_for_closed_port")
        self._wait("WaitForClosedPort", port=int(port), address=addr, timeout=limit)

    def wait_for_open_unix_socket(
        self, addr: str, is_datagram: bool = False, timeout: Duration = FIFTEEN_MINUTES
    ) -> None:
        """Waits until the machine can connect to a unix socket."""
        limit = seconds(timeout, "wait_for_open_unix_socket")
        self._wait("WaitForOpenUnixSocket", path=os.fspath(addr), datagram=is_datagram, timeout=limit)

    # Console

    def get_console_log(self) -> str:
        """All console lines of the current boot."""
        return self._output("ConsoleLog")

    def wait_for_console_text(self, regex: str | re.Pattern[str], timeout: Duration | None = None) -> None:
        """Waits until a regular expression matches the console's lines, joined by newlines.

        Lines that came before the call count; lines up to the end of a match do not count for the next call.
        """
        from test_driver.machine.console import wait_for_text

        limit = optional_seconds(timeout, "wait_for_console_text")
        with self.nested(f"waiting for {regex} to appear on console"):
            self._console_place = wait_for_text(regex, self._console_lines(limit), limit)

    def send_console(self, chars: str) -> None:
        """Types into the console."""
        self._wait("SendConsole", text=chars)

    def get_tty_text(self, tty: str) -> str:
        """The text of a virtual terminal. A machine without any, such as a container, has its console as terminal 1."""
        return self._output("TtyText", tty=str(tty))

    def wait_until_tty_matches(self, tty: str, regexp: str, timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until a regular expression matches the text of a virtual terminal."""
        from test_driver.machine.looking import wait_for_match

        limit = seconds(timeout, "wait_until_tty_matches")
        with self.nested(f"waiting for {regexp} to appear on tty {tty}"):
            last = wait_for_match(regexp, lambda: [self.get_tty_text(tty)], limit)
            if last is not None:
                shown = last[0] if last else ""
                self.log(f"Last chance to match /{regexp}/ on TTY{tty}, which currently contains: {shown}")
                raise timed_out(limit)

    # Screen, keyboard, pointer

    def screenshot(self, filename: str) -> None:
        """Saves what the screen shows as a PNG file, in the output directory unless the name has a ``/``."""
        self._wait("Screenshot", file=os.fspath(filename))

    def get_screen_text(self) -> str:
        """The text on the screen."""
        return next(iter(self._screen_texts()), "")

    def get_screen_text_variants(self) -> list[str]:
        """The text on the screen, read in several ways."""
        return list(self._screen_texts())

    def wait_for_text(self, regex: str, timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until a regular expression matches a text on the screen."""
        from test_driver.machine.looking import wait_for_match

        limit = seconds(timeout, "wait_for_text")
        with self.nested(f"waiting for {regex} to appear on screen"):
            last = wait_for_match(regex, self._screen_texts, limit)
            if last is not None:
                self.log(f"Last OCR attempt failed. Text was: {last}")
                raise timed_out(limit)

    def send_key(self, key: str, delay: Duration | None = _KEY_DELAY, log: bool | None = True) -> None:
        """Presses a key, or several at the same time: ``ret``, ``a``, ``ctrl-alt-f1``."""
        self._wait("SendKey", key=key, delay=optional_seconds(delay, "send_key") or 0.0)

    def send_chars(self, chars: str, delay: Duration | None = _KEY_DELAY) -> None:
        """Types characters on the keyboard."""
        self._wait("SendChars", text=chars, delay=optional_seconds(delay, "send_chars") or 0.0)

    def move_pointer(self, x: float, y: float) -> None:
        """Moves the pointer to a place given as parts of the screen's width and height: 0, 0 is the left upper corner."""
        self._wait("MovePointer", x=float(x), y=float(y))

    def click(self, button: str = "left") -> None:
        """Clicks with the pointer: ``left``, ``middle``, ``right``, ``wheel_up`` or ``wheel_down``."""
        if button not in _BUTTONS:
            raise ValueError(f"click(): no button {button!r}; there are: {', '.join(_BUTTONS)}")
        self._wait("Click", button=button)

    # Monitor

    def send_monitor_command(self, command: str) -> str:
        """Runs a line of QEMU's human monitor and returns what it prints."""
        return self._output("MonitorCommand", command=command)

    @property
    def qmp_client(self) -> QMPSession:
        """QEMU's QMP."""
        from test_driver.machine.qmp import QMPSession

        return QMPSession(self)

    def wait_for_qmp_event(
        self, event_filter: Callable[[dict[str, Any]], bool], timeout: Duration = _TEN_MINUTES
    ) -> dict[str, Any]:
        """Waits for a QMP event that ``event_filter`` wants, and returns it. Events up to it do not count for the next call."""
        limit = seconds(timeout, "wait_for_qmp_event")
        return self.qmp_client.wait_for_event(timeout=limit, event_filter=event_filter)

    # Network

    def forward_port(self, host_port: int = 8080, guest_port: int = 80) -> int:
        """Forwards connections to a port of the host's loopback interface, 0 for any, to a port of the machine; returns the host's."""
        address = self._output("ForwardPort", host_port=int(host_port), guest_port=int(guest_port))
        return int(address.rpartition(":")[2])

    def ssh_backdoor_command(self) -> str:
        """The command of a shell that logs in to the machine by SSH, where the test asks for an SSH backdoor."""
        from test_driver.ssh import command

        return command(self._driver.description(self.name))

    def link(self, vlan: VLan | int) -> Link:
        """What joins the machine to a VLAN: faults, counts and captures. The machine need not run."""
        from test_driver.link import Link

        link = Link(self._driver, self.name, number_of(vlan))
        # Fails where the machine is not on it.
        link.stats()
        return link

    # Files

    def copy_from_host(self, source: str | os.PathLike[str], target: str) -> None:
        """Copies a file or directory of the host into the machine. Directories above ``target`` are made."""
        self._wait("CopyFromHost", source=os.path.abspath(source), target=os.fspath(target))

    def copy_from_host_via_shell(self, source: str | os.PathLike[str], target: str) -> None:
        """The same as ``copy_from_host``: no way of copying needs shared directories here."""
        self.copy_from_host(source, target)

    def copy_from_machine(self, source: str, target_dir: str = "") -> None:
        """Copies a file or directory of the machine into the output directory, or a directory below it."""
        self._wait("CopyFromMachine", source=os.fspath(source), target_directory=os.fspath(target_dir))

    def copy_from_vm(self, source: str, target_dir: str = "") -> None:
        """The old name of ``copy_from_machine``."""
        self.copy_from_machine(source, target_dir)

    @property
    def out_dir(self) -> Path:
        """The test's output directory."""
        return self._driver.out_dir

    # Record

    def log(self, msg: str) -> None:
        """Records a message about the machine."""
        self._driver.logger.log(msg, {"machine": self.name})

    def log_serial(self, msg: str) -> None:
        """Records a message about the machine."""
        self._driver.logger.log_serial(msg, self.name)

    def nested(self, msg: str, attrs: Mapping[str, str] | None = None) -> AbstractContextManager[None]:
        """A step with a title, about the machine."""
        return self._driver.logger.nested(msg, {"machine": self.name, **(attrs or {})})

    # Calls

    def _output(self, method: str, **parameters: Any) -> str:
        return str(self._wait(method, **parameters)["output"])

    def _systemctl(self, method: str, **parameters: Any) -> tuple[int, str]:
        ran = self._wait(method, **parameters)
        return (ran["status"], ran["stdout"])

    def _wait(self, method: str, **parameters: Any) -> Parameters:
        return self._driver.client.wait(method, self._call(parameters), self._driver.tick)

    def _screen_texts(self) -> Iterator[str]:
        """The texts on the screen. Closing the iterator stops the reading."""
        for reply in self._driver.client.stream("ScreenTexts", self._call({}), self._driver.tick):
            if (text := reply.get("output")) is not None:
                yield text

    def _console_lines(self, timeout: float | None) -> Iterable[Parameters]:
        boot, line = self._console_place
        call = self._call({"boot": boot, "line": line, "timeout": timeout})
        return self._driver.client.stream("ConsoleLines", call, self._driver.tick)

    def _call(self, parameters: Parameters) -> Parameters:
        for name in _TEXTS.intersection(parameters):
            if not isinstance(parameters[name], str):
                raise TypeError(f"a {name} is a str, not {type(parameters[name]).__name__}")
        return {"machine": self.name, "span": self._driver.logger.span, **parameters}


class QemuMachine(VmVerbs, BaseMachine):
    """A VM."""


class NspawnMachine(BaseMachine):
    """A container."""


__all__ = ["BaseMachine", "CommandResult", "MachineError", "NspawnMachine", "QemuMachine", "retry"]
