"""Golden model, cycle model and simulation of the accelerator."""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "EngineError", "FakeMachine", "GoldenError", "GoldenModel", "infer", "Inference",
    "make_library", "prepare", "shape_output", "SimulationError", "ToolError", "VerilatorBus",
]

if TYPE_CHECKING:
    from .golden.fake_machine import FakeMachine
    from .golden.model import GoldenModel
    from .golden.tile import GoldenError
    from .inference import EngineError, Inference, infer, prepare, shape_output
    from .rtl.simulators import SimulationError
    from .rtl.toolchain import ToolError
    from .rtl.verilator_bus import VerilatorBus
    from .rtl.verilator_engine import make_library
else:
    # Submodules are imported on first use of a name, so that importing the package stays light. The
    # `else` keeps mypy from accepting any attribute of the package.
    _MODULES = {
        "EngineError": "inference", "FakeMachine": "golden.fake_machine",
        "GoldenError": "golden.tile", "GoldenModel": "golden.model", "infer": "inference",
        "Inference": "inference", "make_library": "rtl.verilator_engine", "prepare": "inference",
        "shape_output": "inference", "SimulationError": "rtl.simulators",
        "ToolError": "rtl.toolchain", "VerilatorBus": "rtl.verilator_bus",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)

    def __dir__():
        return sorted({*globals(), *__all__})
