"""Machines as test scripts see them. Every verb is a call to the driver, which has the machine."""

from __future__ import annotations

import os
from datetime import timedelta
from time import monotonic, sleep

from test_driver.duration import FIFTEEN_MINUTES, Duration, deprecated, optional_seconds, plain_seconds, seconds
from test_driver.errors import MachineError, RequestedAssertionFailed
from test_driver.machine.impossible import refusal
from test_driver.machine.process import ProcessVerbs
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
        "term",
        "terminal",
        "text",
        "unit",
    ]
)
"""The parameters of calls that must be texts. The driver closes the connection on any other type."""


_KEY_DELAY = timedelta(milliseconds=10)

_NEW_BOOT = 60.0
"""How long a call waits for the reboot that the script believes in, in seconds."""

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


class BaseMachine(ProcessVerbs):
    """A machine of the test."""

    def __init__(self, driver: Driver, name: str, backend: str) -> None:
        self.name = name
        self._driver = driver
        self._backend = backend
        self._console_place = (0, 0)
        self._shells_before: int | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # A type checker that saw it would take any name for a verb.
    if not TYPE_CHECKING:

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

    @property
    def connected(self) -> bool:
        """Whether the machine takes commands. Set to ``False``, the next call waits until it has gone down and come up again."""
        return self._shells_before is None and bool(self._up()["ready"])

    @connected.setter
    def connected(self, connected: bool) -> None:
        self._shells_before = None if connected else int(self._up()["shells"])

    def shutdown(self) -> None:
        """Powers the machine off and waits until it is gone. Does nothing if it does not run."""
        self._wait("Shutdown")

    def crash(self) -> None:
        """Ends the machine as a power cut would."""
        self._wait("Crash")

    def release(self) -> None:
        """Ends the machine as a power cut would, if it runs. The driver does so with all machines at the end of the test."""
        self._wait("Release")

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
        return self.booted

    @property
    def booted(self) -> bool:
        """Whether the machine was started and is not gone."""
        return bool(self._up()["up"])

    @property
    def state_dir(self) -> Path:
        """The machine's own directory, which lives as long as the run."""
        return self._place("state")

    @state_dir.setter
    def state_dir(self, directory: str | os.PathLike[str]) -> None:
        """Lets a machine with a start script, which must not run, go on with the disks of another."""
        path = os.path.abspath(directory)
        self._driver.client.call("SetStateDirectory", {"machine": self.name, "path": path})

    @property
    def shared_dir(self) -> Path:
        """The directory that all machines with start scripts share."""
        return self._place("shared")

    def cleanup_statedir(self) -> None:
        """Removes what the machine, which must not run, keeps from one boot to the next."""
        from test_driver.machine.state import remove

        directory = self.state_dir
        why = "it runs; shut it down before" if self.booted else remove(directory)
        if why is not None:
            raise RequestedAssertionFailed(f"machine {self.name}: cleanup_statedir: {why}")
        self.log(f"deleting machine state directory {directory}")
        self.log("if you want to keep the machine state, pass --keep-machine-state")

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

    def sleep(self, secs: Duration | None = None, duration: Duration | None = None) -> None:
        """Sleeps in the machine, by its clock."""
        if duration is not None:
            if secs is not None:
                raise TypeError("sleep(): give either duration or secs, not both")
            length = seconds(duration, "sleep")
        elif secs is not None:
            deprecated("sleep(): secs is deprecated. Use duration instead.")
            length = plain_seconds(secs, "sleep")
        else:
            raise TypeError("sleep(): a duration is missing")
        self._wait("Sleep", seconds=length)

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

    def console_interact(self) -> None:
        """Types what is typed at the terminal into the console, until Ctrl-D. What the console says is in the log."""
        from test_driver.machine.interact import console

        console(self)

    def shell_interact(self, address: str | None = None) -> None:
        """Opens a root shell at the terminal, until Ctrl-D: in a container a shell of its own, in a VM one command a line.

        With ``address``, as socat(1) has them, the shell is there instead. That is deprecated.
        """
        from test_driver.machine.interact import shell

        shell(self, address)

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

    def dump_tty_contents(self, tty: str) -> None:
        """Writes the text of a virtual terminal to the machine's journal."""
        lines = (line.rstrip() for line in self.get_tty_text(tty).splitlines())
        text = "\n".join(lines).replace("'", "'\\''")
        self.execute(f"printf '%s\\n' '{text}' | systemd-cat")

    # Windows

    def get_window_names(self) -> list[str]:
        """The titles of the windows of the machine's X server."""
        from test_driver.machine.x11 import window_names

        return window_names(self)

    def wait_for_window(self, regexp: str | re.Pattern[str], timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until a regular expression matches a window's title."""
        from test_driver.machine.looking import wait_for_match

        limit = seconds(timeout, "wait_for_window")
        with self.nested("waiting for a window to appear"):
            last = wait_for_match(regexp, self.get_window_names, limit)
            if last is not None:
                names = ", ".join(last)
                self.log(f"Last chance to match {regexp} on the window list, which currently contains: {names}")
                raise timed_out(limit)

    def wait_for_x(self, timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until the machine has reached its graphical target and its X server is there."""
        self._wait_for_x(
            "journalctl --boot --output=cat SYSLOG_IDENTIFIER=systemd"
            ' | grep -Eq "Reached target ([^ ]+ - )?Current graphical" && test -e /tmp/.X11-unix/X0',
            timeout,
        )

    def _wait_for_x(self, command: str, timeout: Duration) -> None:
        limit = seconds(timeout, "wait_for_x")
        with self.nested("waiting for the X11 server"):
            self._output("WaitUntilSucceeds", command=command, timeout=limit)

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
        self._wait("SendKey", key=key, delay=optional_seconds(delay, "send_key") or 0.0, log=bool(log))

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

    def wait_for_monitor_prompt(self) -> str:
        """Waits until QEMU's monitor takes commands, and returns its prompt."""
        self.send_monitor_command("info name")
        return "(qemu) "

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
        deprecated("Use copy_from_machine() instead")
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
        if self._shells_before is not None:
            self._wait_for_new_boot(self._shells_before)
        return self._driver.client.wait(method, self._call(parameters), self._driver.tick)

    def _wait_for_new_boot(self, before: int) -> None:
        """Waits until what took commands is gone, or something else has taken its place: then commands wait for that by themselves.

        A machine that has booted anew by now cannot be told from one that never will, so this wait has an end.
        """
        until = monotonic() + _NEW_BOOT
        while (now := self._up())["ready"] and now["shells"] <= before and monotonic() < until:
            if tick := self._driver.tick:
                tick()
            sleep(0.02)
        self._shells_before = None

    def _up(self) -> Parameters:
        return self._driver.client.call("IsUp", {"machine": self.name})

    def _place(self, which: str) -> Path:
        from pathlib import Path

        return Path(self._driver.client.call("Directories", {"machine": self.name})[which])

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

    def is_up(self) -> bool:
        """Whether the machine runs and takes commands."""
        return self.connected


class NspawnMachine(BaseMachine):
    """A container. Its screen and keyboard are those of its X server, by programs that are installed in it."""

    def get_systemd_process(self) -> int:
        """The pid of the container's own pid 1 as the script sees it. Waits for the boot of a container that is booting."""
        standing = self._standing()
        if standing["up"] and not standing["ready"]:
            self.connect()
            standing = self._standing()
        leader: int | None = standing["leader"]
        if leader is None:
            raise RequestedAssertionFailed(f"machine {self.name}: get_systemd_process: it is not running")
        return leader

    def send_key(self, key: str, delay: Duration | None = _KEY_DELAY, log: bool | None = True) -> None:
        """Presses a key, or several at the same time: ``ret``, ``a``, ``ctrl-alt-f1``."""
        from contextlib import nullcontext

        from test_driver.machine.x11 import press

        pause = optional_seconds(delay, "send_key")
        self._call({"key": key})
        with self.nested(f"sending key {key!r}") if log else nullcontext():
            press(self, key)
            sleep(pause or 0.0)

    def send_chars(self, chars: str, delay: Duration | None = _KEY_DELAY) -> None:
        """Types characters on the keyboard."""
        self._call({"text": chars})
        with self.nested(f"sending keys {chars!r}"):
            for char in chars:
                self.send_key(char, delay, log=False)

    def screenshot(self, filename: str) -> None:
        """Saves what the screen shows as a PNG file, in the output directory unless the name has a ``/``."""
        from test_driver.machine.x11 import picture

        self._call({"file": os.fspath(filename)})
        name = filename if "." in filename else f"{filename}.png"
        path = name if "/" in name else os.path.join(self.out_dir, name)
        with self.nested(f"making screenshot {path}", {"image": os.path.basename(path)}):
            png = picture(self, "screenshot")
            with open(path, "wb") as file:
                file.write(png)

    def wait_for_x(self, timeout: Duration = FIFTEEN_MINUTES) -> None:
        """Waits until the machine's X server answers."""
        self._wait_for_x("xwininfo -root", timeout)

    def _screen_texts(self) -> Iterator[str]:
        from test_driver.machine.x11 import texts

        return texts(self, "get_screen_text")


__all__ = ["BaseMachine", "CommandResult", "MachineError", "NspawnMachine", "QemuMachine", "retry"]
