"""Public names of the package, and the submodules that define them."""

from .accelerator import Accelerator as Accelerator
from .batch import Run as Run
from .bus import Bus as Bus, BusError as BusError
from .errors import (
    ChecksumError as ChecksumError,
    ConfigMismatch as ConfigMismatch,
    DriverError as DriverError,
    DriverTimeout as DriverTimeout,
    MachineError as MachineError,
    SaturationWarning as SaturationWarning,
)
from .network import NetworkDriver as NetworkDriver
from .pynq import PynqBus as PynqBus
from .serial_bus import SerialBus as SerialBus, open_serial as open_serial
