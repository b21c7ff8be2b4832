"""Public names of the package, and the submodules that define them."""

from .golden.fake_machine import FakeMachine as FakeMachine
from .golden.model import GoldenModel as GoldenModel
from .golden.tile import GoldenError as GoldenError
from .graph_inference import GraphInference as GraphInference, infer_graph as infer_graph
from .inference import (
    EngineError as EngineError,
    Inference as Inference,
    Saturation as Saturation,
    infer as infer,
    prepare as prepare,
    shape_output as shape_output,
)
from .rtl.simulators import SimulationError as SimulationError
from .rtl.toolchain import ToolError as ToolError
from .rtl.verilator_bus import VerilatorBus as VerilatorBus
from .rtl.verilator_engine import make_library as make_library
