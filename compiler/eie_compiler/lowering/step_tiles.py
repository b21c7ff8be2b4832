"""Tiles of a step of a recurrence."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Table

from ..network import Layer
from .convolution import Convolution, FeatureMap
from .fixed_point import LayerFormat, LayerInput, activation_range
from .memory_map import n_words
from .step_places import StepPlaces
from .step_stages import Drained, StepStages, Weighted
from .step_vectors import StepVector

__all__ = ["StepTile", "make_tiles"]


class StepTile(NamedTuple):
    """Tile of a step. Rows are counted from the first one of the vectors.

    Attributes
    ----------
    node : :class:`str`
        Name of the node.
    inputs : :class:`~.fixed_point.LayerInput`
        Layer of the tile: rows and weights, if it has any, and the biases of its accumulators.
    chosen : :class:`~.fixed_point.LayerFormat`
        Its format.
    convolution : :class:`~.convolution.Convolution`, optional
        Geometry of its source; None if no activations are multiplied by weights.
    source : :class:`int`, optional
        First row of the source, if there is one.
    destination : :class:`int`
        First row of the results.
    reads_input, writes_input : :class:`bool`
        True if they are in the input buffer of the program.
    operand, factor : :class:`int`, optional
        First rows of the vector that takes the place of the biases, and of its factor.
    factors : int64 array, optional
        Constants that are the factor, by row of the tile.
    table : :class:`~eie_hdl.format.Table`
        Function of the results.
    """

    node: str
    inputs: LayerInput
    chosen: LayerFormat
    convolution: Convolution | None
    source: int | None
    destination: int
    reads_input: bool = False
    writes_input: bool = False
    operand: int | None = None
    factor: int | None = None
    factors: NDArray[np.int64] | None = None
    table: Table = Table.NONE


def make_tiles(config: EIEConfig, found: StepStages, places: StepPlaces
               ) -> tuple[list[StepTile], list[StepTile]]:
    """Make the tiles that reset the states, and those of a step."""
    maker = _Tiles(config, found, places)
    return list(maker.reset()), [tile for stages in _group(config, found.stages, places)
                                 for tile in maker.make(stages)]


class _Tiles:
    """Tiles of the stages of a step."""

    def __init__(self, config: EIEConfig, found: StepStages, places: StepPlaces) -> None:
        self._config, self._found, self._places = config, found, places
        self._columns = ACTS_PER_WORD * config.n_pe    # of a row

    def make(self, stages: Sequence[Weighted | Drained]) -> Iterator[StepTile]:
        """Make the tiles of a stage, or of several whose vectors follow one another."""
        first = stages[0]
        if isinstance(first, Weighted):
            return self._make_weighted(first)
        rows = sum(self._words(stage.result) for stage in stages if isinstance(stage, Drained))
        return itertools.chain.from_iterable(
            self._drain(first, destination, rows) for destination in self._destinations(first))

    def reset(self) -> Iterator[StepTile]:
        """Make the tiles that write zeros to the states, and to rows that no vector uses."""
        found, places = self._found, self._places
        cleared = np.zeros(places.n_words, np.bool_)
        for vector, row in places.rows.items():
            first = row if vector in found.states else row + self._words(vector)
            cleared[first:row + places.sizes[vector]] = True
        if places.n_buffers > 1:
            cleared[places.words:2 * places.words] = cleared[:places.words]
        bounds = np.flatnonzero(np.diff(cleared, prepend=False, append=False))
        for row, end in bounds.reshape(-1, 2).tolist():
            yield from self._drain(Drained("reset", None, found.input), row, end - row)

    def _destinations(self, stage: Drained) -> list[int]:
        """List the first rows of the result: a state is in each input buffer."""
        row = self._places.rows[stage.result]
        if stage.result not in self._found.beside or stage.result not in self._found.states:
            return [row]
        return [row + buffer * self._places.words for buffer in range(self._places.n_buffers)]

    def _drain(self, stage: Drained, destination: int, rows: int) -> Iterator[StepTile]:
        """Make the tiles of an operation on elements in so many rows."""
        beside = self._found.beside - set(self._found.states)
        for first in range(0, rows, self._config.tile_words):
            size = self._columns * min(self._config.tile_words, rows - first)
            layer = Layer(stage.node, csc_array((size, size), dtype=np.uint8),
                          np.zeros(1 << self._config.v_width), np.zeros(size), relu=stage.relu,
                          output_frac=stage.result.frac)
            chosen = LayerFormat(0, stage.bias_shift, stage.shift,
                                 np.zeros(len(layer.codebook), np.int64),
                                 np.zeros(size, np.int64), 0, 0, 0)
            operand, factor = (None if vector is None else self._places.rows[vector] + first
                               for vector in (stage.operand, stage.factor))
            frac = (stage.operand or stage.result).frac
            yield StepTile(
                stage.node, LayerInput(layer, frac, activation_range(
                    self._config, nonnegative=False)), chosen, None,
                None, destination + first,
                writes_input=stage.result in beside, operand=operand, factor=factor,
                factors=None if stage.factors is None else self._spread_factors(
                    stage, first, size), table=stage.table)

    def _spread_factors(self, stage: Drained, first: int, size: int) -> NDArray[np.int64]:
        """Place constants in the rows of a tile that begins at row `first` of the result."""
        assert stage.factors is not None
        return _spread(stage.factors, self._find_rows(
            self._places.columns[stage.result], first, size), size)

    def _find_rows(self, columns: NDArray[np.int64], first: int, size: int) -> NDArray[np.int64]:
        """Find the rows of elements in a tile that begins at row `first` of the SRAM, else −1."""
        rows = columns - first * self._columns
        return np.where((rows >= 0) & (rows < size), rows, -1)

    def _make_weighted(self, stage: Weighted) -> Iterator[StepTile]:
        """Make the tiles of a layer or sum."""
        places, step = self._places, self._config.tile_words
        begin = places.rows[stage.results[0]]
        columns = np.concatenate([places.columns[vector]
                                  + self._columns * (places.rows[vector] - begin)
                                  for vector in stage.results])
        # Rows between the results, after one that is read together with a longer vector, are zeros.
        last = stage.results[-1]
        words = places.rows[last] + self._words(last) - begin
        for first in range(0, words, step):
            size = self._columns * min(step, words - first)
            rows = self._find_rows(columns, first, size)
            local = first if stage.is_local else 0    # first row of the sources that is read
            convolution, codes = self._connect(stage, rows, size, local)
            layer = dataclasses.replace(stage.inputs.layer, codes=codes,
                                        bias=_spread(stage.inputs.layer.bias, rows, size))
            chosen = dataclasses.replace(stage.chosen,
                                         bias=_spread(stage.chosen.bias, rows, size))
            source = min(places.rows[vector] for vector in stage.sources)
            yield StepTile(
                stage.node, stage.inputs._replace(layer=layer), chosen, convolution,
                source + local, begin + first,
                reads_input=self._found.input in stage.sources)

    def _connect(self, stage: Weighted, rows: NDArray[np.int64], size: int, first: int
                 ) -> tuple[Convolution, csc_array]:
        """Make the geometry and the codes of a tile with these rows, −1 of others.

        In local mode, sources are read from row `first` of each on.
        """
        places = self._places
        length = size if stage.is_local else max(vector.size for vector in stage.sources)
        sources = sorted(stage.sources, key=lambda vector: places.rows[vector])
        columns = np.concatenate([
            sources.index(vector) * length + places.columns[vector] - first * self._columns
            for vector in stage.sources])
        codes = stage.inputs.layer.codes.tocoo()
        at, column = codes.coords
        inside = rows[at] >= 0
        distance = (places.rows[sources[-1]] - places.rows[sources[0]]) * self._columns
        convolution = Convolution(
            source=FeatureMap(height=1, width=1, pitch=length, row_pixels=1), kernel=(1, 1),
            output=(1, 1), pitch=size, local=stage.is_local, parts=len(sources),
            distance=distance)
        tile = csc_array((codes.data[inside], (rows[at[inside]], columns[column[inside]])),
                         shape=(size, convolution.n_columns))
        tile.sort_indices()
        return convolution, tile

    def _words(self, vector: StepVector) -> int:
        return n_words(vector.size, self._config.n_pe)


def _spread(values: NDArray[Any], rows: NDArray[np.int64], size: int) -> NDArray[Any]:
    """Place values in these rows of a tile, without those of row −1."""
    placed = np.zeros(size, values.dtype)
    placed[rows[rows >= 0]] = values[rows >= 0]
    return placed


def _group(config: EIEConfig, stages: Sequence[Weighted | Drained], places: StepPlaces
           ) -> Iterator[list[Weighted | Drained]]:
    """Group the parts of an operation whose vectors follow one another."""
    group: list[Weighted | Drained] = []
    for stage in stages:
        if group and not _continues(config, group, stage, places):
            yield group
            group = []
        group.append(stage)
    yield group


def _continues(config: EIEConfig, group: Sequence[Weighted | Drained], stage: Weighted | Drained,
               places: StepPlaces) -> bool:
    """True if a stage is the same operation as those of a group, in the rows after them.

    It may not be their reader, as a conversion of the result of a conversion is.
    """
    before = group[-1]
    if not (isinstance(before, Drained) and isinstance(stage, Drained)):
        return False
    if before.factors is not None or stage.factors is not None \
            or any(getattr(before, name) != getattr(stage, name)
                   for name in ("node", "bias_shift", "shift", "relu", "table")):
        return False
    if any(vector in one.writes for one in group for vector in stage.reads):
        return False
    return all(new is None if old is None else new is not None and places.rows[new]
               == places.rows[old] + n_words(old.size, config.n_pe)
               for old, new in ((before.operand, stage.operand), (before.factor, stage.factor),
                                (before.result, stage.result)))
