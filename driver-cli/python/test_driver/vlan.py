"""Virtual LANs."""


class VLan:
    """A virtual LAN of the test, known by its number."""

    def __init__(self, nr: int) -> None:
        self.nr = nr

    def __repr__(self) -> str:
        return f"<Vlan Nr. {self.nr}>"
