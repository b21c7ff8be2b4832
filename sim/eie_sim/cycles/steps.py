"""Inputs of the cycle model, from the memory images of a build or from a single layer."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.lowering.csc import encode
from eie_compiler.lowering.memory_map import n_words
from eie_compiler.lowering.row_mapping import MAPPINGS, n_slots
from eie_compiler.network import Layer
from eie_compiler.vectors import scatter
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts, n_elements

from ..golden.model import GoldenModel
from ..golden.tile import Memories

__all__ = ["Step", "build_steps", "layer_steps"]


class Step(NamedTuple):
    """Timing-relevant contents of one descriptor.

    Attributes
    ----------
    nonzero : bool (n_columns,)
        Mask of the source's columns that are broadcast, by column number: slot · n_pe + PE. The
        slots fill whole words of the activation SRAM. Empty for an output.
    begin, entries, padding : int64 (n_pe, n_columns)
        First entry of each column, entries including padding, and padding.
    words : :class:`int`
        Result words written by each PE; 0 for an output.
    barrier : :class:`bool`
        True if all earlier tiles must have been written.
    result_barrier : :class:`bool`
        True if earlier results must have been sent before the tile is written.
    n_sent : :class:`int`
        Elements that an output sends to the host; 0 for a tile.
    alone : :class:`bool`
        True if earlier programs must have ended.
    frees_input : :class:`bool`
        True if the step is the last of its program that reads the input.
    """

    nonzero: NDArray[np.bool_]
    begin: NDArray[np.int64]
    entries: NDArray[np.int64]
    padding: NDArray[np.int64]
    words: int
    barrier: bool
    result_barrier: bool = False
    n_sent: int = 0
    alone: bool = False
    frees_input: bool = False

    @classmethod
    def output(cls, n_pe: int, n_sent: int, *, barrier: bool = True) -> "Step":
        """Create a step that sends a vector of `n_sent` elements to the host."""
        none = np.zeros((n_pe, 0), np.int64)
        return cls(none[0] != 0, none, none, none, 0, barrier, n_sent=n_sent)


def layer_steps(config: EIEConfig, layer: Layer, mapping: Literal["balanced", "interleaved"],
                x: NDArray[np.int64]) -> list[Step]:
    """Make the steps of a program that computes and outputs one layer, without memory images.

    Parameters
    ----------
    layer : :class:`~eie_compiler.network.Layer`
        Layer to run.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs. The inputs are always interleaved.
    x : int64 (n_cols,)
        Activations.

    Raises
    ------
    CompileError
        If the spmat SRAM of a PE cannot hold the entries.
    """
    n_pe = config.n_pe
    rows = MAPPINGS[mapping](config, np.bincount(layer.codes.indices, minlength=layer.n_rows))
    encoded = encode(config, layer.codes, rows, np.arange(layer.n_cols))
    # Padded to whole words of the activation SRAM.
    n_columns = n_words(layer.n_cols, n_pe) * ACTS_PER_WORD * n_pe
    entries = np.zeros((*encoded.counts.shape[:2], n_columns), np.int64)
    entries[:, :, :encoded.counts.shape[2]] = encoded.counts
    begin = np.cumsum(entries).reshape(entries.shape) - entries
    paddings = np.concatenate([[0], np.cumsum(encoded.v == 0)])
    padding = paddings[begin + entries] - paddings[begin]
    begin -= begin[:, :1, :1]
    nonzero = np.zeros(n_columns, np.bool_)
    nonzero[:layer.n_cols] = x != 0
    slots = n_slots(layer.n_rows, n_pe)
    return [
        *(Step(nonzero, begin[:, tile], entries[:, tile], padding[:, tile],
               -(-min(config.acc_depth, slots - tile * config.acc_depth) // ACTS_PER_WORD),
               tile == 0, result_barrier=True, frees_input=tile == entries.shape[1] - 1)
          for tile in range(entries.shape[1])),
        Step.output(n_pe, layer.n_rows)]


def build_steps(build: Build, words: NDArray[np.int64]) -> list[list[Step]]:
    """Make the steps of a build's program, for each input of a batch.

    The golden model determines which activations are zero. Pointers and padding come from the
    images; all inputs share these arrays.

    Parameters
    ----------
    words : int64 (batch, n_inputs)
        Inputs as from :func:`eie_sim.inference.prepare`.

    Raises
    ------
    GoldenError, VectorError
        If images or inputs are invalid.
    """
    config = build.config
    model = GoldenModel(config, build.images, build.first_descriptor)
    masks = model.broadcasts(scatter(build.input, words, config.n_pe), build.input.base_word)
    memories = Memories(config, build.images)
    paddings = np.concatenate([[0], np.cumsum(memories.codes == 0)])
    program = memories.program
    shared = [_step(config, memories, paddings, program, number, np.any(nonzero, axis=0))
              for number, nonzero in enumerate(masks, build.first_descriptor)]
    return [[step if step.n_sent else step._replace(nonzero=nonzero[image])
             for step, nonzero in zip(shared, masks)] for image in range(len(words))]


def _step(config: EIEConfig, memories: Memories, paddings: NDArray[np.int64], program: Any,
          number: int, nonzero: NDArray[np.bool_]) -> Step:
    barrier = bool(program["barrier"][number])
    start = {name: int(field[number]) for name, field in program["start"].items()}
    if start["send"]:
        return Step.output(config.n_pe, n_elements(config, start), barrier=barrier)._replace(
            alone=bool(program["alone"][number]))
    # Columns that are never sent may have no pointers; they count as empty.
    base = int(program["ptr_base"][number])
    columns = np.flatnonzero(nonzero)
    begin, entries, padding = np.zeros((3, config.n_pe, len(nonzero)), np.int64)
    begin[:, columns] = memories.pointers[:, base + columns]
    end = memories.pointers[:, base + columns + 1]
    entries[:, columns] = (end - begin[:, columns]) % (1 << Layouts.of(config).ptr.width)
    first = begin + memories.first_entry[:-1, np.newaxis]
    padding[:] = paddings[first + entries] - paddings[first]
    return Step(nonzero, begin, entries, padding, int(program["end"]["last_word"][number]) + 1,
                barrier, bool(program["result_barrier"][number]),
                alone=bool(program["alone"][number]),
                frees_input=bool(program["frees_input"][number]))
