"""What a person at a prompt types, for a machine's console or a shell in it."""

from __future__ import annotations

import codecs
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from test_driver.machine import BaseMachine

_PROMPT = "$ "

_END_OF_INPUT = b"\x04"
"""Ctrl-D, as a terminal understands it."""

_PLACE = "\x1e"
"""Stands before the working directory in what a line has said."""


def console(machine: BaseMachine) -> None:
    """Types into the machine's console what is typed here, line by line, until Ctrl-D."""
    machine.log("Terminal is ready (there is no prompt):")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while typed := os.read(0, 4096):
        machine.send_console(decoder.decode(typed))


def shell(machine: BaseMachine, address: str | None) -> None:
    """A root shell in the machine, for the terminal here or for what socat connects to ``address``, until it ends."""
    if address is not None:
        machine._driver.logger.warning(
            "shell_interact(): an address is deprecated: forward_port() or SSH lead there, too"
        )
        if not shutil.which("socat"):
            raise MachineError(
                f"machine {machine.name}: shell_interact: an address needs the program socat; install it"
            )
    # For a start with all that it logs.
    machine.connect()
    if machine._backend == "container":
        _on_terminal(machine, address)
    elif address is not None:
        _lines_of_socat(machine, address)
    else:
        _lines(machine, _ask, lambda text: print(text, end="", flush=True))


# A shell on a pseudo-terminal


def _on_terminal(machine: BaseMachine, address: str | None) -> None:
    master, slave = os.openpty()
    ended, tell = os.pipe()
    failures: list[Exception] = []

    def run() -> None:
        try:
            machine._wait("Shell", terminal=os.ttyname(slave), term=os.environ.get("TERM", "dumb"))
        except Exception as failure:  # noqa: BLE001 - it is raised where the caller is
            failures.append(failure)
        finally:
            os.close(tell)

    call = threading.Thread(target=run, daemon=True)
    call.start()
    try:
        if address is None:
            with _raw(master, slave):
                _pass_on(master, ended)
        else:
            with subprocess.Popen(["socat", address, f"FD:{master}"], pass_fds=[master]) as socat:
                _until_either(socat, ended)
    finally:
        # The shell, if there is still one, hears that its terminal is gone.
        os.close(master)
        call.join()
        os.close(slave)
        os.close(ended)
    if failures:
        raise failures[0]


def _pass_on(master: int, ended: int) -> None:
    """Passes on what is typed and shown, until the shell has ended."""
    inputs = [0, master, ended]
    while True:
        over = 0 not in inputs
        ready, _, _ = select.select(inputs, [], [], 0.5 if over else None)
        if over and not ready:
            # Again: a shell that has just taken over the terminal does not know of what came before.
            os.write(master, _END_OF_INPUT)
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                inputs.remove(0)
            os.write(master, typed or _END_OF_INPUT)
        if master in ready:
            _show(os.read(master, 1 << 16))
        elif ended in ready:
            return


def _show(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _until_either(socat: subprocess.Popen[bytes], ended: int) -> None:
    while socat.poll() is None:
        if select.select([ended], [], [], 0.1)[0]:
            socat.terminate()
            return


@contextmanager
def _raw(master: int, slave: int) -> Iterator[None]:
    """Leaves all keys and the size of the window to the shell's terminal."""
    import fcntl
    import signal
    import termios
    import tty

    if not os.isatty(0):
        # Nobody types.
        modes = termios.tcgetattr(slave)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        yield
        return

    def resize(*_: object) -> None:
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))

    modes = termios.tcgetattr(0)
    handler = signal.signal(signal.SIGWINCH, resize)
    try:
        resize()
        tty.setraw(0, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, modes)
        signal.signal(signal.SIGWINCH, handler)


# Lines, one command after another


def _lines(machine: BaseMachine, ask: Callable[[], str | None], show: Callable[[str], object]) -> None:
    """Runs line after line, each in the directory where the one before has ended."""
    place = "/tmp"
    while (line := ask()) is not None:
        words = line.split()
        if not words:
            continue
        if words[0] in ("exit", "logout"):
            return
        script = f"set +euo pipefail; cd {shlex.quote(place)}; eval {shlex.quote(line)} 2>&1; set -- $?\n"
        script += f"printf '{_PLACE}%s' \"$PWD\"; exit $1"
        try:
            said, _, after = machine.run(script, timeout=None).stdout.rpartition(_PLACE)
        except KeyboardInterrupt:
            show("\n")
            continue
        # A line that replaces the shell leaves no word of where it was.
        place = after if after.startswith("/") else place
        show(said or ("" if after.startswith("/") else after))


def _ask() -> str | None:
    from test_driver.repl import read_line

    if not os.isatty(0):
        return read_line()
    while True:
        try:
            return input(_PROMPT)
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            print(file=sys.stderr)


def _lines_of_socat(machine: BaseMachine, address: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rw", encoding="utf-8", errors="replace") as file:
        command = ["socat", address, f"FD:{theirs.fileno()}"]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as socat:
            theirs.close()

            def show(text: str) -> None:
                file.write(text)
                file.flush()

            def ask() -> str | None:
                show(_PROMPT)
                return file.readline() or None

            try:
                _lines(machine, ask, show)
            except ConnectionError:
                # Whoever was there has gone.
                pass
            finally:
                socat.terminate()
