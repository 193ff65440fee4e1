"""What passed links."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from test_driver.client import Parameters


@dataclass(frozen=True)
class Flow:
    """The counts of one direction, in frames but for ``bytes``. Where the kernel alone carries a link, it counts only frames and bytes."""

    frames: int
    """Passed."""
    bytes: int
    """Passed."""
    lost: int
    """Lost by the link's faults."""
    duplicated: int
    """Doubled by them."""
    reordered: int
    """Sent ahead of others by them."""
    corrupted: int
    """Changed by them."""
    overflowed: int
    """Dropped because a queue was full."""
    blocked: int
    """Dropped because the link was down, or by a partition."""
    malformed: int
    """Dropped because they are no frames, or too long."""


@dataclass(frozen=True)
class LinkStats:
    """The counts of a machine's link since the run began."""

    sent: Flow
    """From the machine to the VLAN."""
    received: Flow
    """From the VLAN to the machine."""


def read(reply: Parameters) -> dict[str, LinkStats]:
    """The counts in a reply, by the machine's name."""
    counts = reply["machines"].items()
    return {name: LinkStats(Flow(**link["sent"]), Flow(**link["received"])) for name, link in counts}
