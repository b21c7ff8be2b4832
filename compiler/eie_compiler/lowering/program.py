"""Program of a network: the descriptors that the CCU executes."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts, last_element
from eie_hdl.packing import pack

from .row_mapping import n_slots, n_tiles

__all__ = ["LayerPlan", "pack_program"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """Parameters of a layer for the program; rows are those of the activation SRAM.

    Attributes
    ----------
    source, destination, bias : :class:`int`
        First rows of the source, the results and the biases.
    reads_input : :class:`bool`
        True if the source is an input buffer.
    source_words : :class:`int`
        Number of rows of the source.
    rows, columns : :class:`int`
        Number of results, and of columns of the source.
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
    source_words: int
    destination: int
    bias: int
    rows: int
    columns: int
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
    fields: list[dict[str, int]] = []
    ptr_base = first_pointer
    for layer in layers:
        last_tile = layer.n_tiles(config) - 1
        for tile in range(last_tile + 1):
            slots = min(config.acc_depth,
                        n_slots(layer.rows, config.n_pe) - tile * config.acc_depth)
            row = tile * config.tile_words
            fields.append({
                "source": layer.source, "offset_source": in_regions or layer.reads_input,
                "offset_destination": in_regions,
                "frees_input": two_inputs and layer.reads_input and tile == last_tile,
                "alone": not (in_regions or fields), "last_word": layer.source_words - 1,
                "codebook": layer.codebook,
                "destination": layer.destination + row, "bias": layer.bias + row,
                "end_last_word": -(-slots // ACTS_PER_WORD) - 1,
                "shift": layer.shift, "bias_shift": layer.bias_shift, "relu": layer.relu,
                "ptr_base": ptr_base, "barrier": tile == 0,
                "result_barrier": layer.overwrites_result})
            ptr_base += layer.columns
        if layer.sent:
            fields.append({"source": layer.destination, "offset_source": in_regions, "send": 1,
                           "barrier": 1, **last_element(config, layer.rows)})

    def get(name: str) -> NDArray[np.int64]:
        return np.array([step.get(name, 0) for step in fields], np.int64)

    return pack(Layouts.of(config).descriptor, {
        "start": {name: get(name) for name in Layouts.of(config).descriptor["start"].shape.members},
        "end": {"last_word": get("end_last_word"),
                **{name: get(name)
                   for name in ("destination", "bias", "shift", "bias_shift", "relu")}},
        **{name: get(name) for name in ("ptr_base", "offset_source", "offset_destination",
                                        "frees_input", "alone", "barrier", "result_barrier")},
        "final": np.arange(len(fields)) == len(fields) - 1, "valid": np.ones(len(fields), bool)})
