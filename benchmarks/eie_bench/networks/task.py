"""Networks to measure: a model with inputs, what is counted on them, and a machine."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compression.graph import compress_graph
from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.frontends import read_model
from eie_compiler.graph.chain import from_chain
from eie_compiler.graph.graph import Graph
from eie_hdl.config import EIEConfig

from ..sharing import DataError

__all__ = ["MACHINE", "Floats", "Task", "read_fields", "read_graph"]

Floats = NDArray[np.float64]

#: Machine of all networks but SqueezeNet, so that one simulator for each width of codes suffices.
MACHINE = EIEConfig(n_pe=16, spmat_depth=2048, ptr_depth=4096, act_depth=1024, n_codebooks=32,
                    program_depth=256)


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A network and what is measured on it.

    Parameters
    ----------
    name, source : :class:`str`
        Name, and the origin of weights and data.
    read : function
        Reads the model. An error says why it cannot be run.
    inputs : mapping of :class:`str` to float64 (n, ...)
        Inputs by name.
    calibration : mapping of :class:`str` to float64 (n, ...)
        Inputs for which formats and shared weights are chosen.
    v_widths : :class:`tuple` of :class:`int`
        Widths of a code in bits.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, except `v_width`.
    shared : mapping of :class:`int` to function
        For a width, reads a model with shared weights, which was trained for it.
    compressed : mapping of :class:`int` to function
        For a width, reads a compressed network, which is measured as it is.
    damping : :class:`float`, optional
        As for :func:`~eie_compiler.compression.graph.compress_graph`.
    labels : int (n,), optional
        Class of each input.
    recorded : :class:`float`, optional
        Accuracy in floating point of a trained model that `read` does not read.
    expected : :class:`tuple` of float64 (m, ...)
        Results of another implementation for the first inputs, of the first outputs; their batch
        may be another axis.
    proven : :class:`bool`
        True to compare each element with its proven bound; needs results of all outputs.
    n_verilog : :class:`int`
        Number of inputs that also run in Verilog, the first ones.
    batch : :class:`int`
        Inputs that are computed at a time in software, which bounds memory.
    remark : :class:`str`
        What the calibration was, and what else a reader must know.
    """

    name: str
    source: str
    read: Callable[[], Graph]
    inputs: Mapping[str, Floats]
    calibration: Mapping[str, Floats]
    v_widths: tuple[int, ...] = (8, 4)
    config: EIEConfig = MACHINE
    shared: Mapping[int, Callable[[], Graph]] = dataclasses.field(default_factory=dict)
    compressed: Mapping[int, Callable[[], Graph]] = dataclasses.field(default_factory=dict)
    damping: float | None = None
    labels: NDArray[Any] | None = None
    recorded: float | None = None
    expected: tuple[Floats, ...] = ()
    proven: bool = False
    n_verilog: int = 1
    batch: int = 128
    remark: str = ""

    def compress(self, model: Graph, v_width: int) -> Graph:
        """Compress the model to a width, or read what takes the place of that.

        Raises
        ------
        CompressError, NetworkError
            If the model cannot be compressed, or a file is invalid.
        """
        if v_width in self.compressed:
            return self.compressed[v_width]()
        return compress_graph(self.shared[v_width]() if v_width in self.shared else model,
                              self.calibration, v_width=v_width, damping=self.damping)

    def first(self, n: int) -> "Task":
        """Return the task for the first `n` inputs, and for codes of 4 bits alone.

        The batch of results of another implementation must be their first axis.
        """
        return dataclasses.replace(
            self, inputs={name: values[:n] for name, values in self.inputs.items()},
            labels=None if self.labels is None else self.labels[:n],
            expected=tuple(results[:n] for results in self.expected), v_widths=(4,))


def read_fields(path: Path, *names: str) -> list[NDArray[Any]]:
    """Read arrays of an .npz file.

    Raises
    ------
    DataError
        If one of them is missing.
    ArchiveError
        If the file is not an archive of plain arrays.
    """
    arrays = read_arrays(path)
    if missing := [name for name in names if name not in arrays]:
        raise DataError(f"{path} must contain {', '.join(names)}, but {missing[0]} is missing")
    return [arrays[name] for name in names]


def read_graph(path: Path) -> Graph:
    """Read a model; a chain becomes a graph of one node.

    Raises
    ------
    FrontEndError
        If the model cannot be run.
    """
    model = read_model(path)
    return model if isinstance(model, Graph) else from_chain(model)
