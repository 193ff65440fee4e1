"""Where the interpreter begins: checks the script, waits for the word to go, runs it.

The arguments are the script, the Python versions it is for, and the packages it needs. Descriptor 0 is a socket: a line of JSON with what is
wrong goes out, a line with the driver's address and what else there is to know comes in. Without that line the script was only to be checked.
For a prompt, the driver's own standard descriptors come after it.
"""

from __future__ import annotations

import os
import sys

from test_driver.check import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from test_driver.check import Problem


def main() -> None:
    """Talks to the driver and runs the script."""
    script, requires_python, *dependencies = sys.argv[1:]
    with open(os.dup(0), "r+b", buffering=0) as channel:
        code, problems = check(script, requires_python, dependencies)
        channel.write(_verdict(problems).encode() + b"\n")
        if code is None:
            return
        line = channel.readline()
    if not line:
        return
    import json

    word = json.loads(line)
    if word["history"] is None:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    else:
        _take_over_terminal()

    from test_driver.runner import run

    run(script, code, word)


def _take_over_terminal() -> None:
    import socket

    with socket.socket(fileno=os.dup(0)) as channel:
        descriptors = socket.recv_fds(channel, 1, 3)[1]
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)


def _verdict(problems: list[Problem]) -> str:
    if not problems:
        # A check takes half the time without this import.
        return '{"version": "", "problems": []}'
    import json

    return json.dumps({"version": sys.version.split()[0], "problems": problems})
