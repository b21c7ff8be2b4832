"""Public names of the package, and the submodules that define them."""

from .accuracy import LabelError as LabelError
from .build import Build as Build
from .compression.calibration import report_formats as report_formats
from .compression.compress import compress as compress
from .compression.decompress import decompress as decompress
from .compression.fidelity import measure_fidelity as measure_fidelity
from .compression.graph import compress_graph as compress_graph
from .compression.graph_fidelity import measure_graph_fidelity as measure_graph_fidelity
from .compression.sensitivity import measure_sensitivity as measure_sensitivity
from .errors import CompileError as CompileError, CompressError as CompressError
from .files.graph_file import (
    read_any as read_any,
    read_graph as read_graph,
    write_graph as write_graph,
)
from .files.json_file import SCHEMA_VERSION as SCHEMA_VERSION
from .files.manifest_folder import BuildError as BuildError
from .files.network_file import read_network as read_network, write_network as write_network
from .frontends import FrontEndError as FrontEndError, read_model as read_model
from .graph.graph import Graph as Graph, Node as Node, Scan as Scan
from .graph_build import GraphBuild as GraphBuild
from .graph_folder import read_any_build as read_any_build, write_graph_build as write_graph_build
from .lowering.compile import compile_network as compile_network
from .lowering.graph import compile_graph as compile_graph
from .lowering.programs import compile_programs as compile_programs
from .model import Model as Model, ModelError as ModelError, ModelLayer as ModelLayer
from .network import (
    CompressedNetwork as CompressedNetwork,
    Layer as Layer,
    NetworkError as NetworkError,
)
from .patches import PatchError as PatchError, Patches as Patches
from .vectors import (
    Vector as Vector,
    VectorError as VectorError,
    dequantise as dequantise,
    quantise as quantise,
)
