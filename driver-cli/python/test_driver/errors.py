"""The two ways in which a verb fails."""


class MachineError(Exception):
    """A machine, its backend or the host broke, or the machine cannot do what was asked for."""


class RequestedAssertionFailed(AssertionError):
    """The test said no: a command that must succeed failed, a condition did not come true."""
