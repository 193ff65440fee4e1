"""The ways in which a verb fails."""


class MachineError(Exception):
    """A machine, its backend or the host broke, or the machine cannot do what was asked for."""


class RequestedAssertionFailed(AssertionError):
    """The test said no: a command that must succeed failed, a condition did not come true."""


class QMPAPIError(RuntimeError):
    """QEMU refused a QMP command."""

    def __init__(self, message: str, class_name: str = "", description: str = "") -> None:
        super().__init__(message)
        self.class_name = class_name
        self.description = description
        self.transaction_id: str | None = None

    def __str__(self) -> str:
        about = f"transaction {self.transaction_id} [{self.class_name}]"
        return f"<QMP API error related to {about}: {self.description}>"
