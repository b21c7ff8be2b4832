"""Inputs of the cycle model, from the memory images of a build or from a single layer."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.lowering.csc import encode
from eie_compiler.lowering.memory_map import n_words
from eie_compiler.lowering.row_mapping import MAPPINGS, n_slots
from eie_compiler.network import Layer
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import n_drained, n_elements, reads_factors

from ..golden.build_model import BuildModel
from ..golden.loops import Loop
from ..golden.tile import Memories
from .segments import Segments

__all__ = ["Step", "build_steps", "layer_steps"]


class Step(NamedTuple):
    """Timing-relevant contents of one descriptor.

    Attributes
    ----------
    nonzero : bool (n_columns,), or (n_tiles, n_columns) with a loop
        Mask of the columns whose activations are processed for each tile: those that are not zero,
        or with `zeros` all. Without a loop they are all columns of the source, slot · n_pe + PE,
        and fill whole words of the activation SRAM. Empty for an output.
    begin, entries, padding : int64 (n_pe, n_columns)
        First entry of each column, entries including padding, and padding. In local mode, 0 in all
        PEs but that of the column.
    rows : :class:`int`
        Results that each PE computes for a tile; 0 for an output.
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
    loop : :class:`~..golden.loops.Loop`, optional
        Loop of the descriptor, in a machine with loops.
    in_region : :class:`bool`
        True if the vector that the step sends, or writes, is in the region of its buffer.
    has_pairs : :class:`bool`
        True if products are added to the results, or rows are scaled. A PE then reads a word more.
    """

    nonzero: NDArray[np.bool_]
    begin: NDArray[np.int64]
    entries: NDArray[np.int64]
    padding: NDArray[np.int64]
    rows: int
    barrier: bool
    result_barrier: bool = False
    n_sent: int = 0
    alone: bool = False
    frees_input: bool = False
    loop: Loop | None = None
    in_region: bool = False
    has_pairs: bool = False

    @property
    def times(self) -> NDArray[np.int64]:
        """Activations of each column in all tiles, int64 (n_columns,)."""
        return np.atleast_2d(self.nonzero).sum(axis=0)

    @property
    def is_local(self) -> bool:
        """True in local mode: no activation is broadcast."""
        return self.loop is not None and self.loop.local

    @property
    def segments(self) -> Segments:
        """Segments of its tiles."""
        return Segments.of(self.loop) if self.loop else Segments.whole(len(self.nonzero))

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
               -(-min(config.acc_depth, slots - tile * config.acc_depth) // ACTS_PER_WORD)
               * ACTS_PER_WORD,
               tile == 0, result_barrier=True, frees_input=tile == entries.shape[1] - 1)
          for tile in range(entries.shape[1])),
        Step.output(n_pe, layer.n_rows)]


def build_steps(build: Build, words: NDArray[np.int64]) -> list[list[Step]]:
    """Make the steps of a build's program, for each input of a batch.

    The golden model determines which activations are processed. Pointers and padding come from the
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
    masks = BuildModel(build).broadcasts(words)
    memories = Memories(config, build.images)
    paddings = np.concatenate([[0], np.cumsum(memories.codes == 0)])
    program = memories.program
    shared = [_step(config, memories, paddings, program, number,
                    np.any(nonzero, axis=tuple(range(nonzero.ndim - 1))))
              for number, nonzero in enumerate(masks, build.first_descriptor)]

    def steps_of(vector: int) -> list[Step]:
        """Steps from the descriptor at which a vector starts."""
        skipped = build.descriptor(vector) - build.first_descriptor
        # Masks of descriptors that reset states are of sequences.
        places = [vector // build.sequence_length if number < build.reset else vector
                  for number in range(len(shared))]
        return [step if step.n_sent else step._replace(nonzero=nonzero[place])
                for step, nonzero, place in list(zip(shared, masks, places))[skipped:]]

    return [steps_of(vector) for vector in range(len(words))]


def _step(config: EIEConfig, memories: Memories, paddings: NDArray[np.int64], program: Any,
          number: int, nonzero: NDArray[np.bool_]) -> Step:
    barrier = bool(program["barrier"][number])
    start, end = ({name: int(field[number]) for name, field in program[part].items()}
                  for part in ("start", "end"))
    if start["send"]:
        return Step.output(config.n_pe, n_elements(config, start), barrier=barrier)._replace(
            alone=bool(program["alone"][number]),
            in_region=bool(program["offset_source"][number]))
    rows = n_drained(end)
    loop = None
    if config.loops:
        fields = {name: int(field[number]) for name, field in program["loop"].items()}
        loop = Loop.decode(config, fields, n_elements=n_elements(config, start), n_rows=rows)
    # Columns that are never processed may have no pointers; they count as empty.
    columns = memories.columns(int(program["ptr_base"][number]), len(nonzero),
                               local=loop is not None and loop.local)
    begin, entries = np.where(nonzero, columns.begin, 0), np.where(nonzero, columns.entries, 0)
    first = begin + memories.first_entry[:-1, np.newaxis]
    padding = paddings[first + entries] - paddings[first]
    return Step(nonzero, begin, entries, padding, rows, barrier,
                bool(program["result_barrier"][number]), alone=bool(program["alone"][number]),
                frees_input=bool(program["frees_input"][number]), loop=loop,
                in_region=bool(program["offset_destination"][number]),
                has_pairs=bool(reads_factors(config, end)))
