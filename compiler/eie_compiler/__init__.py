"""Compiler from trained models to memory images of the accelerator."""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "Build", "BuildError", "compile_network", "CompileError", "compress", "CompressedNetwork",
    "CompressError", "decompress", "dequantise", "FrontEndError", "Layer", "Model", "ModelError",
    "ModelLayer", "NetworkError", "PatchError", "Patches", "quantise", "read_model", "read_network",
    "report_formats", "SCHEMA_VERSION", "Vector", "VectorError", "write_network",
]

if TYPE_CHECKING:
    from .build import Build, BuildError, Vector
    from .compression.calibration import report_formats
    from .compression.compress import compress
    from .compression.decompress import decompress
    from .errors import CompileError, CompressError
    from .files.json_file import SCHEMA_VERSION
    from .files.network_file import read_network, write_network
    from .frontends import FrontEndError, read_model
    from .lowering.compile import compile_network
    from .model import Model, ModelError, ModelLayer
    from .network import CompressedNetwork, Layer, NetworkError
    from .patches import PatchError, Patches
    from .vectors import VectorError, dequantise, quantise
else:
    # Submodules are imported on first use of a name, so that importing the package stays light. The
    # `else` keeps mypy from accepting any attribute of the package.
    _MODULES = {
        "Build": "build", "BuildError": "build", "compile_network": "lowering.compile",
        "CompileError": "errors", "compress": "compression.compress",
        "CompressedNetwork": "network", "CompressError": "errors",
        "decompress": "compression.decompress", "dequantise": "vectors",
        "FrontEndError": "frontends", "Layer": "network", "Model": "model", "ModelError": "model",
        "ModelLayer": "model", "NetworkError": "network", "PatchError": "patches",
        "Patches": "patches", "quantise": "vectors", "read_model": "frontends",
        "read_network": "files.network_file", "report_formats": "compression.calibration",
        "SCHEMA_VERSION": "files.json_file", "Vector": "build", "VectorError": "vectors",
        "write_network": "files.network_file",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)

    def __dir__():
        return sorted({*globals(), *__all__})
