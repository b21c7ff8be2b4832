"""Program of a network: the descriptors that the CCU executes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts, Table, last_element
from eie_hdl.packing import pack

from .convolution import Convolution
from .row_mapping import n_slots, n_tiles

__all__ = ["LayerPlan", "pack_program"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """Parameters of a layer for the program; rows are those of the activation SRAM.

    Attributes
    ----------
    source, destination, bias : :class:`int`
        First rows of the source, the results and the biases.
    reads_input, frees_input : :class:`bool`
        True if the source is an input buffer, and if no layer after this one reads it.
    source_words : :class:`int`
        Number of rows of the source.
    rows, columns : :class:`int`
        Rows of the layer, and pointers of a tile: columns of the source, or of the tile of a loop,
        or its slots in local mode; 0 if there is no source.
    sends : pair of :class:`int`, optional
        First row and elements of a vector that goes to the host after the layer.
    convolution : :class:`~.convolution.Convolution`, optional
        Geometry, if the layer is a loop.
    codebook : :class:`int`
        Number of the codebook.
    shift, bias_shift : :class:`int`
        Right shift of an accumulator, and left shift of a bias.
    relu : :class:`bool`
        True if negative results become zero.
    overwrites_result : :class:`bool`
        True if the destination is, or overlaps, that of results that go to the host.
    writes_input : :class:`bool`
        True if the destination is in an input buffer.
    factor : :class:`int`, optional
        First row of the vector by which that in place of the biases is multiplied.
    scales : :class:`int`, optional
        First row of the scales of rows, two for each row of biases.
    table : :class:`~eie_hdl.format.Table`
        Function of the results.
    """

    source: int
    reads_input: bool
    frees_input: bool
    source_words: int
    destination: int
    bias: int
    rows: int
    columns: int
    sends: tuple[int, int] | None
    convolution: Convolution | None
    codebook: int
    shift: int
    bias_shift: int
    relu: bool
    overwrites_result: bool
    writes_input: bool = False
    factor: int | None = None
    scales: int | None = None
    table: Table = Table.NONE

    def n_tiles(self, config: EIEConfig) -> int:
        """Compute the number of tiles of the layer."""
        return n_tiles(config, self.rows)


def pack_program(config: EIEConfig, layers: list[LayerPlan], *, two_inputs: bool,
                 in_regions: bool, first_pointer: int = 0, entries: Sequence[int] = (0,)
                 ) -> NDArray[np.uint64]:
    """Pack the program: the tiles of each layer, and an output where its results are sent.

    Parameters
    ----------
    two_inputs : :class:`bool`
        True if there are two input buffers, in rows of their own. Later vectors may overwrite a
        single one, which is therefore not free before the program has ended.
    in_regions : :class:`bool`
        True if all vectors are in the region of the program's buffer; False if only the input is.
    first_pointer : :class:`int`
        Pointer of the first column of the first tile.
    entries : sequence of :class:`int`
        Descriptors at which the program is started.
    """
    steps: list[dict[str, Any]] = []
    ptr_base = first_pointer
    for layer in layers:
        last_tile = layer.n_tiles(config) - 1
        for tile in range(last_tile + 1):
            slots = min(config.acc_depth,
                        n_slots(layer.rows, config.n_pe) - tile * config.acc_depth)
            row = tile * config.tile_words
            n_words = -(-slots // ACTS_PER_WORD)
            if layer.convolution is not None:
                loop = layer.convolution.fields(config)
            else:
                loop = _one_pixel(config, layer, n_words) if layer.columns else \
                    _no_pixel(n_words)
            steps.append({
                "start": {"source": layer.source, "codebook": layer.codebook, **loop["start"]},
                "end": {"destination": layer.destination + row, "bias": layer.bias + row,
                        "shift": layer.shift, "bias_shift": layer.bias_shift, "relu": layer.relu,
                        **_operands(layer, row), **loop["end"]},
                "offset_source": in_regions or layer.reads_input,
                "offset_destination": in_regions or layer.writes_input,
                "frees_input": two_inputs and layer.frees_input and tile == last_tile,
                "alone": not in_regions and len(steps) in entries,
                "ptr_base": ptr_base if layer.columns else first_pointer,
                # A tile without a source is drained when earlier ones have been written.
                "barrier": tile == 0 and layer.columns > 0,
                "result_barrier": layer.overwrites_result, "loop": loop["loop"]})
            ptr_base += layer.columns
        if layer.sends:
            row, elements = layer.sends
            steps.append({"start": {"source": row, "send": 1, **last_element(config, elements)},
                          "offset_source": in_regions, "barrier": 1})
    steps[-1]["final"] = 1
    layout = Layouts.of(config).descriptor
    return pack(layout, _collect(layout, [{**step, "valid": 1} for step in steps]))


def _one_pixel(config: EIEConfig, layer: LayerPlan, n_words: int) -> dict[str, dict[str, int]]:
    """Make the fields of a tile that is a loop of one pixel, the source of which is a segment."""
    whole_rows = ({"last_lane": ACTS_PER_WORD - 1, "last_pe": config.n_pe - 1}
                  if config.loops else {})
    return {"start": {"last_word": layer.source_words - 1, **whole_rows},
            "end": {"last_word": n_words - 1, "last_lane": ACTS_PER_WORD - 1},
            "loop": {**dict.fromkeys(("width", "length", "columns"), layer.columns),
                     "last_slot": n_words * ACTS_PER_WORD - 1}}


def _no_pixel(n_words: int) -> dict[str, dict[str, int]]:
    """Make the fields of a tile that is a loop of one pixel, whose segment is below the map."""
    return {"start": {}, "end": {"last_word": n_words - 1, "last_lane": ACTS_PER_WORD - 1},
            "loop": {"y": 1, "width": 1, "length": 1, "columns": 1,
                     "last_slot": n_words * ACTS_PER_WORD - 1}}


def _operands(layer: LayerPlan, row: int) -> dict[str, int]:
    """Make the fields of products, scales and functions, which not all machines have."""
    fields = {} if layer.factor is None else {"factor": layer.factor + row, "multiply": 1}
    if layer.scales is not None:
        fields = {"factor": layer.scales + 2 * row, "scale": 1}
    return fields if layer.table is Table.NONE else {**fields, "table": layer.table.value}


def _collect(layout: data.StructLayout, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Collect each field of a layout from all descriptors; fields that are not given are 0."""
    return {name: _collect(shape, [step.get(name, {}) for step in steps])
            if isinstance(shape, data.StructLayout)
            else np.array([step.get(name, 0) for step in steps], np.int64)
            for name, shape in layout.members.items()}
