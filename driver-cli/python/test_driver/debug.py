"""Breakpoints of a script: the global ``debug``."""

from __future__ import annotations

HOST = "127.0.0.1"
PORT = 4444


class DebugNop:
    """Breakpoints that do nothing."""

    def breakpoint(self, host: str = HOST, port: int = PORT) -> None:
        """Goes on."""
