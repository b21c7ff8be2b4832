"""RTL generator of the EIE sparse neural-network accelerator."""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "ConfigError", "Core", "EIEConfig", "Eie", "Emitted", "FORMAT_VERSION", "Kind", "Layouts",
    "Memory", "PRESETS", "REGISTERS", "emit", "pack", "unpack",
]

if TYPE_CHECKING:
    from .config import PRESETS, ConfigError, EIEConfig
    from .core import Core
    from .export.verilog import Emitted, emit
    from .format import FORMAT_VERSION, Kind, Layouts, Memory
    from .packing import pack, unpack
    from .registers import REGISTERS
    from .top import Eie
else:
    # Submodules are imported on first use of a name: `eie_hdl.config` must load without Amaranth.
    # The `else` keeps mypy from accepting any attribute of the package.
    _MODULES = {
        "ConfigError": "config", "Core": "core", "EIEConfig": "config", "Eie": "top",
        "Emitted": "export.verilog", "FORMAT_VERSION": "format", "Kind": "format",
        "Layouts": "format", "Memory": "format", "PRESETS": "config", "REGISTERS": "registers",
        "emit": "export.verilog", "pack": "packing", "unpack": "packing",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)

    def __dir__():
        return sorted({*globals(), *__all__})
