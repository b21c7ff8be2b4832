"""Networks lowered for a machine, before they get places in its memories."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..network import CompressedNetwork, Layer
from ..preprocessing import FixedPreprocessing
from ..vectors import NOT_SENT
from .capacity import Needs
from .csc import SortedCodes, sort_codes
from .dead_rows import LiveNetwork, remove_dead_rows
from .fixed_inputs import fix_input
from .fixed_point import choose_formats
from .memory_map import count_bias_words, widest_vectors
from .row_mapping import MAPPINGS, n_slots, n_tiles

__all__ = ["LoweredNetwork", "Mapping", "Outputs", "lower_network", "measure_needs",
           "require_widths", "row_weights"]

#: Assignment of rows to PEs, and results that go to the host.
Mapping = Literal["balanced", "interleaved"]
Outputs = Literal["last", "all"]


@dataclasses.dataclass(frozen=True, eq=False)
class LoweredNetwork:
    """Network in the formats of a machine, with its rows on PEs.

    Attributes
    ----------
    whole : :class:`~..network.CompressedNetwork`
        The network.
    live : :class:`~.dead_rows.LiveNetwork`
        What remains of it, and the formats.
    preprocessing : :class:`~..preprocessing.FixedPreprocessing`, optional
        Preprocessing of the inputs.
    mapping : :class:`str`
        Mapping of the rows.
    sent : :class:`list` of :class:`bool`
        For each layer, true if its results go to the host.
    columns : :class:`list` of int64 arrays
        Column numbers of all inputs of the whole network, and of the results of each layer.
    codes : :class:`list` of :class:`~.csc.SortedCodes`
        Weights of each layer.
    needs : :class:`~.capacity.Needs`
        Memory that the network needs.
    """

    whole: CompressedNetwork
    live: LiveNetwork
    preprocessing: FixedPreprocessing | None
    mapping: str
    sent: list[bool]
    columns: list[NDArray[np.int64]]
    codes: list[SortedCodes]
    needs: Needs


def lower_network(network: CompressedNetwork, config: EIEConfig, *, mapping: Mapping = "balanced",
                  outputs: Outputs = "last", keep_dead_rows: bool = False) -> LoweredNetwork:
    """Lower a network for a machine.

    Parameters
    ----------
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs. The inputs of the first layer are always interleaved.
    outputs : ``"last"`` or ``"all"``
        Results that go to the host: those of the last layer or of every layer.
    keep_dead_rows : :class:`bool`
        True to keep the rows and inputs that :func:`~.dead_rows.remove_dead_rows` removes. They are
        also kept if the results of every layer go to the host, or if rows are interleaved, as the
        number of such a row determines its PE.

    Raises
    ------
    CompileError
        If the machine has other widths than the network, or no formats for it.
    """
    if mapping not in MAPPINGS:
        raise CompileError(f"mapping must be {' or '.join(MAPPINGS)}, not {mapping!r}")
    if outputs not in ("last", "all"):
        raise CompileError(f"outputs must be last or all, not {outputs!r}")
    require_widths(config, network)
    preprocessing = fix_input(config, network)
    live = _choose_rows(config, network, keep_all=keep_dead_rows or outputs == "all"
                        or mapping == "interleaved")
    layers = live.network.layers
    sent = [outputs == "all" or layer is layers[-1] for layer in layers]
    columns = [_place_inputs(network, live),
               *(MAPPINGS[mapping](config, row_weights(layer)) for layer in layers)]
    codes = [sort_codes(config, layer.codes, after, before[before != NOT_SENT])
             for layer, before, after in zip(layers, columns, columns[1:])]
    needs = measure_needs(config, live.network, sent, [layer.counts for layer in codes],
                          [chosen.codebook for chosen in live.formats])
    return LoweredNetwork(network, live, preprocessing, mapping, sent, columns, codes, needs)


def require_widths(config: EIEConfig, network: CompressedNetwork) -> None:
    """Check that a network was made for the widths of a machine; raise :class:`CompileError`."""
    for name, option in (("act_width", "--act-width {}"),
                         ("v_width", "--v-width {}"),
                         ("codebook_width", "--config FILE with codebook_width = {}")):
        made_for, there = getattr(network, name), getattr(config, name)
        if made_for not in (None, there):
            raise CompileError(
                f"{name} must be {made_for}, for which the network was compressed, not {there}: "
                f"choose another machine (--config or --preset of `eie compile`), or compress the "
                f"model again for this one (`eie compress {option.format(there)}`)")


def _choose_rows(config: EIEConfig, network: CompressedNetwork, *, keep_all: bool) -> LiveNetwork:
    """Choose the formats of the whole network, then the rows and inputs that remain."""
    formats = choose_formats(config, network)
    return LiveNetwork.whole(network, formats) if keep_all else \
        remove_dead_rows(config, network, formats)


def _place_inputs(network: CompressedNetwork, live: LiveNetwork) -> NDArray[np.int64]:
    """Number the columns of the live inputs of a network."""
    columns = np.full(network.layers[0].n_cols, NOT_SENT)
    columns[live.inputs] = np.arange(len(live.inputs))
    return columns


def row_weights(layer: Layer) -> NDArray[np.int64]:
    """Count the weights of each row of a layer."""
    return np.bincount(layer.codes.indices, minlength=layer.n_rows)


def measure_needs(config: EIEConfig, network: CompressedNetwork, sent: Sequence[bool],
                  counts: Sequence[NDArray[np.int64]], codebooks: Sequence[NDArray[np.int64]]
                  ) -> Needs:
    """Measure the memory that a network needs.

    Parameters
    ----------
    sent : sequence of :class:`bool`
        For each layer, true if its results go to the host.
    counts : sequence of int64, n_pe × n_tiles × n_columns
        Number of entries of each column, for each layer.
    codebooks : sequence of int64 arrays
        Codebook of each layer.
    """
    vectors, widest = widest_vectors(config, network)
    tiles = [n_tiles(config, layer.n_rows) for layer in network.layers]
    columns = [n_slots(layer.n_cols, config.n_pe) * config.n_pe for layer in network.layers]
    return Needs(
        descriptors=sum(tiles) + sum(sent),
        pointers=sum(count * of_tile for count, of_tile in zip(tiles, columns)),
        entries=sum((count.sum(axis=(1, 2)) for count in counts), np.zeros(config.n_pe, np.int64)),
        codebooks=frozenset(codebook.tobytes() for codebook in codebooks),
        biases=count_bias_words(config, network), vectors=vectors, widest=widest)
