"""Errors of a driver and its machine."""

from eie_hdl.registers import Error

__all__ = ["ChecksumError", "ConfigMismatch", "DriverError", "DriverTimeout", "MachineError",
           "SaturationWarning"]


class DriverError(RuntimeError):
    """The machine cannot perform a request; the message ends with the state of the machine."""


class SaturationWarning(UserWarning):
    """Inputs are beyond the range of the network and saturate."""


class ConfigMismatch(DriverError):
    """The build is for another machine."""


class ChecksumError(DriverError):
    """The machine does not hold the build that the driver has loaded."""


class DriverTimeout(DriverError):
    """The machine does not respond in time."""


class MachineError(DriverError):
    """The machine reports an error, and must be cleared before further use.

    Attributes
    ----------
    code : :class:`~eie_hdl.registers.Error`
        Code of the error.
    address : :class:`int`
        Address of the error; its meaning depends on the code.
    """

    def __init__(self, message: str, code: Error, address: int) -> None:
        super().__init__(message)
        self.code = code
        self.address = address
