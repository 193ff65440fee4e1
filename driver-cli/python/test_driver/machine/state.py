"""What a machine keeps from one boot to the next."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def remove(directory: Path) -> str | None:
    """Removes a directory, unless other files are mounted there, which may be the host's: then it says so and removes nothing."""
    inside = os.path.join(os.path.realpath(directory), "")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for mount in mounts:
            place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mount.split(" ")[4])
            if os.path.join(place, "").startswith(inside):
                return f"other files are mounted at {place}"
    if directory.exists():
        from shutil import rmtree

        rmtree(directory)
    return None
