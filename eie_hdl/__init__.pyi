"""Public names of the package, and the submodules that define them."""

from .config import PRESETS as PRESETS, ConfigError as ConfigError, EIEConfig as EIEConfig
from .core import Core as Core
from .export.verilog import Emitted as Emitted, emit as emit
from .format import (
    FORMAT_VERSION as FORMAT_VERSION,
    Kind as Kind,
    Layouts as Layouts,
    Memory as Memory,
)
from .packing import pack as pack, unpack as unpack
from .registers import REGISTERS as REGISTERS
from .top import Eie as Eie
