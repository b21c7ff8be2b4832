"""Program of a network: the descriptors that the CCU executes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts, last_element
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
        or its slots in local mode.
    results : :class:`int`
        Elements of the results that go to the host, if they do.
    convolution : :class:`~.convolution.Convolution`, optional
        Geometry, if the layer is a loop.
    codebook : :class:`int`
        Number of the codebook.
    shift, bias_shift : :class:`int`
        Right shift of an accumulator, and left shift of a bias.
    relu, sent : :class:`bool`
        True if negative results become zero; true if the results go to the host.
    overwrites_result : :class:`bool`
        True if the destination is, or overlaps, that of results that go to the host.
    """

    source: int
    reads_input: bool
    frees_input: bool
    source_words: int
    destination: int
    bias: int
    rows: int
    columns: int
    results: int
    convolution: Convolution | None
    codebook: int
    shift: int
    bias_shift: int
    relu: bool
    sent: bool
    overwrites_result: bool

    def n_tiles(self, config: EIEConfig) -> int:
        """Compute the number of tiles of the layer."""
        return n_tiles(config, self.rows)


def pack_program(config: EIEConfig, layers: list[LayerPlan], *, two_inputs: bool,
                 in_regions: bool, first_pointer: int = 0) -> NDArray[np.uint64]:
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
    """
    steps: list[dict[str, Any]] = []
    ptr_base = first_pointer
    for layer in layers:
        last_tile = layer.n_tiles(config) - 1
        for tile in range(last_tile + 1):
            slots = min(config.acc_depth,
                        n_slots(layer.rows, config.n_pe) - tile * config.acc_depth)
            row = tile * config.tile_words
            loop = layer.convolution.fields(config) if layer.convolution is not None \
                else _one_pixel(config, layer, -(-slots // ACTS_PER_WORD))
            steps.append({
                "start": {"source": layer.source, "codebook": layer.codebook, **loop["start"]},
                "end": {"destination": layer.destination + row, "bias": layer.bias + row,
                        "shift": layer.shift, "bias_shift": layer.bias_shift, "relu": layer.relu,
                        **loop["end"]},
                "offset_source": in_regions or layer.reads_input,
                "offset_destination": in_regions,
                "frees_input": two_inputs and layer.frees_input and tile == last_tile,
                "alone": not (in_regions or steps), "ptr_base": ptr_base, "barrier": tile == 0,
                "result_barrier": layer.overwrites_result, "loop": loop["loop"]})
            ptr_base += layer.columns
        if layer.sent:
            steps.append({"start": {"source": layer.destination, "send": 1,
                                    **last_element(config, layer.results)},
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


def _collect(layout: data.StructLayout, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Collect each field of a layout from all descriptors; fields that are not given are 0."""
    return {name: _collect(shape, [step.get(name, {}) for step in steps])
            if isinstance(shape, data.StructLayout)
            else np.array([step.get(name, 0) for step in steps], np.int64)
            for name, shape in layout.members.items()}
