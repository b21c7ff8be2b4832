"""Driver of the accelerator in Python, over any bus."""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "Accelerator", "Bus", "BusError", "ChecksumError", "ConfigMismatch", "DriverError",
    "DriverTimeout", "MachineError", "PynqBus", "Run",
]

if TYPE_CHECKING:
    from .accelerator import Accelerator
    from .batch import Run
    from .bus import Bus, BusError
    from .errors import ChecksumError, ConfigMismatch, DriverError, DriverTimeout, MachineError
    from .pynq import PynqBus
else:
    # Submodules are imported on first use of a name, so that importing the package stays light. The
    # `else` keeps mypy from accepting any attribute of the package.
    _MODULES = {
        "Accelerator": "accelerator", "Bus": "bus", "BusError": "bus", "ChecksumError": "errors",
        "ConfigMismatch": "errors", "DriverError": "errors", "DriverTimeout": "errors",
        "MachineError": "errors", "PynqBus": "pynq", "Run": "batch",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)

    def __dir__():
        return sorted({*globals(), *__all__})
