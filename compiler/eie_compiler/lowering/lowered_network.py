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
from .convolution import Convolution, map_sizes
from .csc import SortedCodes, sort_codes
from .dead_rows import LiveNetwork, remove_dead_rows
from .fixed_inputs import fix_input
from .fixed_point import choose_formats
from .loop_cycles import estimate_loops
from .loop_layers import LoopLayers, make_loops
from .memory_map import count_bias_words, vector_sizes, widest_vectors
from .row_mapping import MAPPINGS

__all__ = ["LoweredNetwork", "Mapping", "Outputs", "lower_network", "measure_needs",
           "require_widths", "row_weights"]

#: Assignment of rows to PEs, and results that go to the host.
Mapping = Literal["balanced", "interleaved"]
Outputs = Literal["last", "all"]

#: Entries of the fullest PE, relative to the fewest, up to which loops are chosen by their cycles.
_MORE_ENTRIES = 1.5


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
    rows : :class:`list` of int64 arrays
        Column number of each row of each layer, within what its program computes at a time.
    vectors : :class:`list` of :class:`int`
        Elements of the input, and of the results of each layer, in the activation SRAMs.
    convolutions : :class:`list` of :class:`~.convolution.Convolution`
        Geometry of each layer if the layers are loops, whose rows and weights are those of their
        tiles; else empty.
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
    rows: list[NDArray[np.int64]]
    vectors: list[int]
    convolutions: list[Convolution]
    codes: list[SortedCodes]
    needs: Needs

    def estimate_loops(self, config: EIEConfig) -> float:
        """Estimate the cycles of an image, of layers that are loops."""
        return estimate_loops(config, self.convolutions, self.live.network.layers, self.columns)


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
        If the machine has other widths than the network, or no formats for it; or if the network
        is a loop that the machine cannot run.
    """
    if mapping not in MAPPINGS:
        raise CompileError(f"mapping must be {' or '.join(MAPPINGS)}, not {mapping!r}")
    if outputs not in ("last", "all"):
        raise CompileError(f"outputs must be last or all, not {outputs!r}")
    require_widths(config, network)
    _require_loops(config, network)
    preprocessing = fix_input(config, network)
    live = _choose_rows(config, network, keep_all=keep_dead_rows or outputs == "all"
                        or mapping == "interleaved")

    def complete(live: LiveNetwork, columns: list[NDArray[np.int64]], rows: list[NDArray[np.int64]],
                 vectors: list[int], codes: list[SortedCodes],
                 convolutions: list[Convolution]) -> LoweredNetwork:
        layers = live.network.layers
        sent = [outputs == "all" or layer is layers[-1] for layer in layers]
        needs = measure_needs(config, live.network, sent, vectors,
                              [layer.counts for layer in codes],
                              [chosen.codebook for chosen in live.formats])
        return LoweredNetwork(network, live, preprocessing, mapping, sent, columns, rows, vectors,
                              convolutions, codes, needs)

    if network.patches is not None and network.patches.loop:
        return _choose_mode(config, [
            complete(loops.live, loops.columns,
                     [np.arange(layer.n_rows) for layer in loops.live.network.layers],
                     map_sizes(loops.convolutions), _sort_tiles(config, loops), loops.convolutions)
            for loops in make_loops(config, live, network.patches, mapping)])
    rows = [MAPPINGS[mapping](config, row_weights(layer)) for layer in live.network.layers]
    codes = [sort_codes(config, layer.codes, after, before) for layer, before, after
             in zip(live.network.layers, [np.arange(len(live.inputs)), *rows], rows)]
    return complete(live, [_place_inputs(network, live), *rows], rows, vector_sizes(live.network),
                    codes, [])


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


def _require_loops(config: EIEConfig, network: CompressedNetwork) -> None:
    """Check that a loop is for a machine with loops, and for words."""
    if network.patches is not None and network.patches.loop:
        if not config.loops:
            raise CompileError("loops must be true, for a network that was compiled for loops")
        if network.preprocessing is not None:
            raise CompileError("a loop must be of a network without preprocessing, which is of the "
                               "elements of a patch")


def _choose_rows(config: EIEConfig, network: CompressedNetwork, *, keep_all: bool) -> LiveNetwork:
    """Choose the formats of the whole network, then the rows and inputs that remain."""
    formats = choose_formats(config, network)
    return LiveNetwork.whole(network, formats) if keep_all else \
        remove_dead_rows(config, network, formats)


def _choose_mode(config: EIEConfig, options: Sequence[LoweredNetwork]) -> LoweredNetwork:
    """Choose the loops that fit, or lack the least memory, and of these the fastest.

    Other programs need memory, too: loops with many more entries in a PE are the last choice.
    """
    if len(options) == 1:    # as on each machine without local mode
        return options[0]
    most = _MORE_ENTRIES * min(int(option.needs.entries.max()) for option in options)

    def rate(option: LoweredNetwork) -> tuple[float, bool, float]:
        shortages = option.needs.find_shortages(config).values()
        return (max((shortage.excess for shortage in shortages), default=0.0),
                int(option.needs.entries.max()) > most,
                option.estimate_loops(config))

    return min(options, key=rate)


def _sort_tiles(config: EIEConfig, loops: LoopLayers) -> list[SortedCodes]:
    """Sort the codes of the tiles of loops, which have no columns to fill up a slot.

    In local mode, a PE has only the columns of its own lanes.
    """
    tiles = []
    for layer, convolution in zip(loops.live.network.layers, loops.convolutions):
        codes = sort_codes(config, layer.codes, np.arange(layer.n_rows), np.arange(layer.n_cols))
        counts = codes.counts[:, :, :layer.n_cols]
        if convolution.local:
            counts = np.stack([of_pe[:, pe::config.n_pe] for pe, of_pe in enumerate(counts)])
        tiles.append(dataclasses.replace(codes, counts=counts))
    return tiles


def _place_inputs(network: CompressedNetwork, live: LiveNetwork) -> NDArray[np.int64]:
    """Number the columns of the live inputs of a network."""
    columns = np.full(network.layers[0].n_cols, NOT_SENT)
    columns[live.inputs] = np.arange(len(live.inputs))
    return columns


def row_weights(layer: Layer) -> NDArray[np.int64]:
    """Count the weights of each row of a layer."""
    return np.bincount(layer.codes.indices, minlength=layer.n_rows)


def measure_needs(config: EIEConfig, network: CompressedNetwork, sent: Sequence[bool],
                  vectors: Sequence[int], counts: Sequence[NDArray[np.int64]],
                  codebooks: Sequence[NDArray[np.int64]]) -> Needs:
    """Measure the memory that a network needs.

    Parameters
    ----------
    sent : sequence of :class:`bool`
        For each layer, true if its results go to the host.
    vectors : sequence of :class:`int`
        Elements of the input, and of the results of each layer.
    counts : sequence of int64, n_pe × n_tiles × n_columns
        Number of entries of each column, for each layer.
    codebooks : sequence of int64 arrays
        Codebook of each layer.
    """
    n_vector_words, widest = widest_vectors(config, network, vectors)
    return Needs(
        descriptors=sum(count.shape[1] for count in counts) + sum(sent),
        pointers=sum(count.shape[1] * count.shape[2] for count in counts),
        entries=sum((count.sum(axis=(1, 2)) for count in counts), np.zeros(config.n_pe, np.int64)),
        codebooks=frozenset(codebook.tobytes() for codebook in codebooks),
        biases=count_bias_words(config, network), vectors=n_vector_words, widest=widest)
