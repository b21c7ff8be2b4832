"""What can go wrong between a driver and its machine."""

from eie_hdl.registers import Error

__all__ = ["ChecksumError", "ConfigMismatch", "DriverError", "DriverTimeout", "MachineError"]


class DriverError(RuntimeError):
    """The machine cannot do what was asked for; the message ends with its state."""


class ConfigMismatch(DriverError):
    """A build for another machine."""


class ChecksumError(DriverError):
    """The machine does not hold what the driver has loaded."""


class DriverTimeout(DriverError):
    """The machine does not answer."""


class MachineError(DriverError):
    """The machine reports an error. It takes nothing more until it is cleared.

    Attributes
    ----------
    code : :class:`~eie_hdl.registers.Error`
        What is wrong.
    address : :class:`int`
        Where; what it is the address of depends on the code.
    """

    def __init__(self, message: str, code: Error, address: int) -> None:
        super().__init__(message)
        self.code = code
        self.address = address
