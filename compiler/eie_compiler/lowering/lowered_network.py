"""Networks lowered for a machine, before they get places in its memories."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..network import Layer
from ..patches import Patches
from ..preprocessing import FixedPreprocessing
from .capacity import Needs
from .convolution import Convolution, LoopLayers
from .csc import SortedCodes
from .dead_rows import DeadRows
from .fixed_point import LayerFormat, LayerInput
from .loop_cycles import estimate_loops
from .memory_map import Sources, count_bias_words, widest_vectors

__all__ = ["Lowered", "LoweredNetwork", "ProgramInput", "choose_mode", "measure_needs"]


class ProgramInput(NamedTuple):
    """Input of a program.

    Attributes
    ----------
    frac : :class:`int`
        Fraction bits.
    nonnegative : :class:`bool`
        True if no word is negative.
    patches : :class:`~..patches.Patches`, optional
        Patches that the host cuts from images.
    preprocessing : :class:`~..preprocessing.FixedPreprocessing`, optional
        Preprocessing by the host.
    """

    frac: int
    nonnegative: bool
    patches: Patches | None = None
    preprocessing: FixedPreprocessing | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Lowered:
    """Layers, or tiles of a step, in the formats of a machine. Lists are by layer.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    input : :class:`ProgramInput`
        What the host sends.
    whole : :class:`list` of :class:`~.fixed_point.LayerInput`
        Layers of the network, with their inputs.
    layers : :class:`list` of :class:`~..network.Layer`
        What remains of them; of loops, the rows and weights of their tiles.
    formats : :class:`list` of :class:`~.fixed_point.LayerFormat`
        Their formats.
    dead : :class:`list` of :class:`~.dead_rows.DeadRows`
        Rows that were removed.
    mapping : :class:`str`
        Mapping of the rows.
    columns : :class:`list` of int64 arrays
        Column numbers of all elements of the input of the whole network, and of the results.
    rows : :class:`list` of int64 arrays
        Column number of each row, within what its program computes at a time.
    codes : :class:`list` of :class:`~.csc.SortedCodes`
        Weights.
    nodes : :class:`list` of :class:`str`
        Node of each layer of a subgraph, or of each tile of a step; else empty.
    """

    config: EIEConfig
    input: ProgramInput
    whole: Sequence[LayerInput]
    layers: Sequence[Layer]
    formats: Sequence[LayerFormat]
    dead: Sequence[DeadRows]
    mapping: str
    columns: Sequence[NDArray[np.int64]]
    rows: Sequence[NDArray[np.int64]]
    codes: Sequence[SortedCodes]
    nodes: Sequence[str] = ()

    @property
    def needs(self) -> Needs:
        """Memory that the program needs."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LoweredNetwork(Lowered):
    """Layers in the formats of a machine, with their rows on PEs.

    `columns` and `vectors` begin with the input.

    Attributes
    ----------
    sent : :class:`list` of :class:`bool`
        True if the results go to the host.
    vectors : :class:`list` of :class:`int`
        Elements in the activation SRAMs.
    sources : :class:`list` of :class:`tuple` of :class:`int`
        Vectors that each layer reads, as of :class:`~.convolution.LoopLayers`.
    convolutions : :class:`list` of :class:`~.convolution.Convolution`
        Geometry of each layer if the layers are loops; else empty.
    """

    sent: Sequence[bool]
    vectors: Sequence[int]
    sources: Sequence[tuple[int, ...]]
    convolutions: Sequence[Convolution]

    @functools.cached_property
    def needs(self) -> Needs:
        """Memory that the layers need."""
        return measure_needs(self.config, self.layers, self.sent, self.vectors, self.sources,
                             [codes.counts for codes in self.codes],
                             [chosen.codebook for chosen, is_maximum
                              in zip(self.formats, self.maximum) if not is_maximum])

    @property
    def maximum(self) -> Sequence[bool]:
        """For each layer, true if it takes maxima, for which any codebook will do."""
        return [convolution.maximum for convolution in self.convolutions] \
            or [False] * len(self.layers)

    @property
    def loop_cycles(self) -> float:
        """Estimate of the cycles of an image, of layers that are loops."""
        return estimate_loops(self.config, LoopLayers(
            self.convolutions, self.layers, self.formats, self.sources, self.columns))


def choose_mode(options: Sequence[LoweredNetwork], *, more_entries: float) -> LoweredNetwork:
    """Choose the loops that fit, or lack the least memory, and of these the fastest.

    Parameters
    ----------
    more_entries : :class:`float`
        Other programs need memory, too: loops with more entries in a PE, relative to the fewest,
        are the last choice.
    """
    if len(options) == 1:    # as on each machine without local mode
        return options[0]
    most = more_entries * min(int(option.needs.entries.max()) for option in options)

    def rate(option: LoweredNetwork) -> tuple[float, bool, float]:
        shortages = option.needs.find_shortages(option.config).values()
        return (max((shortage.excess for shortage in shortages), default=0.0),
                int(option.needs.entries.max()) > most, option.loop_cycles)

    return min(options, key=rate)


def measure_needs(config: EIEConfig, layers: Sequence[Layer], sent: Sequence[bool],
                  vectors: Sequence[int], sources: Sources, counts: Sequence[NDArray[np.int64]],
                  codebooks: Sequence[NDArray[np.int64]]) -> Needs:
    """Measure the memory that layers need.

    Parameters
    ----------
    sent : sequence of :class:`bool`
        For each layer, true if its results go to the host.
    vectors, sources
        As for :func:`~.memory_map.place_activations`.
    counts : sequence of int64, n_pe × n_tiles × n_columns
        Number of entries of each column, for each layer.
    codebooks : sequence of int64 arrays
        Codebook of each layer that has one.
    """
    n_vector_words, widest = widest_vectors(config, layers, vectors, sent, sources)
    return Needs(
        descriptors=sum(count.shape[1] for count in counts) + sum(sent),
        pointers=sum(count.shape[1] * count.shape[2] for count in counts),
        entries=sum((count.sum(axis=(1, 2)) for count in counts), np.zeros(config.n_pe, np.int64)),
        codebooks=frozenset(codebook.tobytes() for codebook in codebooks),
        biases=count_bias_words(config, layers), vectors=n_vector_words, widest=widest)
