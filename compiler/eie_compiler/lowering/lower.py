"""Lowering of the layers of a node for a machine."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..network import CompressedNetwork, Layer
from ..vectors import NOT_SENT
from .convolution import Convolution, map_sizes
from .csc import SortedCodes, sort_codes
from .dead_rows import DeadRows, LiveNetwork, remove_dead_rows
from .fixed_inputs import fix_input
from .fixed_point import LayerInput, choose_formats, layers_with_inputs
from .loop_layers import make_loops
from .lowered_network import LoweredNetwork, ProgramInput, choose_mode
from .memory_map import vector_sizes
from .row_mapping import MAPPINGS, row_weights
from .stages import Stage, list_stages

__all__ = ["Mapping", "Outputs", "lower_network", "lower_stages", "require_widths", "sort_tile"]

#: Assignment of rows to PEs, and results that go to the host.
Mapping = Literal["balanced", "interleaved"]
Outputs = Literal["last", "all"]

#: Entries of the fullest PE, relative to the fewest, up to which loops are chosen by their cycles.
_MORE_ENTRIES = 1.5


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
    source = ProgramInput(network.input_frac, network.nonnegative_inputs, network.patches,
                          fix_input(config, network))
    live = _choose_rows(config, network, keep_all=keep_dead_rows or outputs == "all"
                        or mapping == "interleaved")
    whole, patches = layers_with_inputs(config, network), network.patches
    if patches is not None and patches.loop:
        n_taps = math.prod(patches.kernel)
        return lower_stages(config, source, whole, list_stages(live, patches), mapping,
                            channels=live.inputs[::n_taps] // n_taps, dead=live.dead,
                            outputs=outputs)
    layers = live.network.layers
    rows = [MAPPINGS[mapping](config, row_weights(layer)) for layer in layers]
    codes = [sort_codes(config, layer.codes, after, before) for layer, before, after
             in zip(layers, [np.arange(len(live.inputs)), *rows], rows)]
    return LoweredNetwork(
        config=config, input=source, whole=whole, layers=layers, formats=live.formats,
        dead=live.dead, mapping=mapping, sent=_choose_sent(len(layers), outputs),
        columns=[_place_inputs(network, live), *rows], rows=rows,
        vectors=vector_sizes(layers), sources=[(at,) for at in range(len(layers))],
        convolutions=[], codes=codes)


def lower_stages(config: EIEConfig, source: ProgramInput, whole: Sequence[LayerInput],
                 stages: Sequence[Stage], mapping: Mapping, *, channels: NDArray[np.int64],
                 dead: Sequence[DeadRows], outputs: Outputs = "last",
                 more_entries: float = _MORE_ENTRIES) -> LoweredNetwork:
    """Lower stages to loops of a machine.

    Parameters
    ----------
    source, whole, dead
        As of :class:`~.lowered_network.LoweredNetwork`.
    stages, mapping, channels
        As for :func:`~.loop_layers.make_loops`.
    outputs
        As for :func:`lower_network`.
    more_entries
        As for :func:`~.lowered_network.choose_mode`.

    Raises
    ------
    CompileError
        As from :func:`~.loop_layers.make_loops`.
    """
    return choose_mode([
        LoweredNetwork(
            config=config, input=source, whole=whole, layers=loops.layers, formats=loops.formats,
            dead=dead, mapping=mapping, sent=_choose_sent(len(stages), outputs),
            columns=loops.columns, rows=[np.arange(layer.n_rows) for layer in loops.layers],
            vectors=map_sizes(loops.convolutions), sources=loops.sources,
            convolutions=loops.convolutions, codes=[sort_tile(config, *tile)
                                                    for tile in zip(loops.layers,
                                                                    loops.convolutions)],
            nodes=[stage.node for stage in stages])
        for loops in make_loops(config, stages, mapping, channels=channels)],
        more_entries=more_entries)


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


def _choose_sent(n_layers: int, outputs: Outputs) -> list[bool]:
    """Choose for each layer if its results go to the host."""
    return [outputs == "all" or layer == n_layers - 1 for layer in range(n_layers)]


def sort_tile(config: EIEConfig, layer: Layer, convolution: Convolution) -> SortedCodes:
    """Sort the codes of the tile of a loop, which has no columns to fill up a slot.

    In local mode, a PE has only the columns of its own lanes.
    """
    codes = sort_codes(config, layer.codes, np.arange(layer.n_rows), np.arange(layer.n_cols))
    counts = codes.counts[:, :, :layer.n_cols]
    if convolution.local:
        counts = np.stack([of_pe[:, pe::config.n_pe] for pe, of_pe in enumerate(counts)])
    return dataclasses.replace(codes, counts=counts)


def _place_inputs(network: CompressedNetwork, live: LiveNetwork) -> NDArray[np.int64]:
    """Number the columns of the live inputs of a network."""
    columns = np.full(network.layers[0].n_cols, NOT_SENT)
    columns[live.inputs] = np.arange(len(live.inputs))
    return columns
