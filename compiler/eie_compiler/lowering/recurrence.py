"""Lowering of a recurrence: a step is one program, and its states stay in the activation SRAMs."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig

from ..errors import CompileError
from ..graph.graph import Recurrence
from ..graph_build import find_nonnegative_inputs
from .capacity import Needs
from .csc import SortedCodes
from .dead_rows import DeadRows
from .lower import Mapping, sort_tile
from .lowered_network import Lowered, ProgramInput
from .memory_map import n_words
from .step_copies import drop_copies
from .step_formats import fit_formats
from .step_lowering import list_step_stages
from .step_places import StepPlaces, place_step
from .step_stages import Weighted
from .step_tiles import StepTile, make_tiles

__all__ = ["LoweredStep", "lower_recurrence"]


class Constants(NamedTuple):
    """Constants of a step in the activation SRAMs. Rows are counted from the first of them.

    Attributes
    ----------
    rows : :class:`dict` of (:class:`str`, :class:`int`) to :class:`int`
        First row of each: ``bias`` or ``factor``, and the number of the tile.
    words : :class:`dict` of :class:`int` to int64 array
        Constants other than zeros by first row, in the order of columns.
    n_words : :class:`int`
        Rows.
    """

    rows: dict[tuple[str, int], int]
    words: dict[int, NDArray[np.int64]]
    n_words: int


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LoweredStep(Lowered):
    """Step of a recurrence. Lists are by tile; `columns` are those of the input and of the result.

    Attributes
    ----------
    tiles : :class:`list` of :class:`~.step_tiles.StepTile`
        The tiles that reset the states, then those of a step.
    reset : :class:`int`
        Number of the former.
    places : :class:`~.step_places.StepPlaces`
        Places of the vectors.
    result : :class:`int`
        First row of the result, counted from the first one of the vectors.
    result_frac : :class:`int`
        Its fraction bits.
    steps : :class:`int`
        Steps of a sequence.
    """

    tiles: Sequence[StepTile]
    reset: int
    places: StepPlaces
    result: int
    result_frac: int
    steps: int

    @functools.cached_property
    def constants(self) -> "Constants":
        """Biases and constant factors of the tiles. Zeros share their rows."""
        def words(constants: NDArray[np.int64]) -> int:
            return n_words(len(constants), self.config.n_pe)

        listed = {("bias", at): tile.chosen.bias for at, tile in enumerate(self.tiles)
                  if tile.operand is None}
        listed |= {("factor", at): tile.factors for at, tile in enumerate(self.tiles)
                   if tile.factors is not None}
        top = max((words(each) for each in listed.values() if not each.any()), default=0)
        rows, placed = dict[tuple[str, int], int](), dict[int, NDArray[np.int64]]()
        for key, each in listed.items():
            rows[key] = top if each.any() else 0
            if each.any():
                placed[top] = each
                top += words(each)
        return Constants(rows, placed, top)

    @functools.cached_property
    def needs(self) -> Needs:
        """Memory that a step needs."""
        counts = [codes.counts for codes in self.codes]
        weighted = [tile for tile in self.tiles if tile.convolution is not None]
        return Needs(
            descriptors=len(self.tiles) + 1,
            pointers=sum(count.shape[2] for count in counts),
            entries=sum((count.sum(axis=(1, 2)) for count in counts),
                        np.zeros(self.config.n_pe, np.int64)),
            codebooks=frozenset(tile.chosen.codebook.tobytes() for tile in weighted),
            biases=self.constants.n_words,
            vectors=self.places.n_words,
            widest=max(weighted, key=lambda tile: tile.inputs.layer.n_cols).node)


def lower_recurrence(recurrence: Recurrence, config: EIEConfig, *, mapping: Mapping = "balanced"
                     ) -> LoweredStep:
    """Lower a step of a recurrence for a machine.

    Raises
    ------
    CompileError
        If the machine does not compute a node of the step; the message names it.
    """
    if not config.loops:
        raise CompileError("loops must be true, for a recurrence, whose layers are loops")
    scan = fit_formats(recurrence.scan, config)
    found = drop_copies(list_step_stages(scan, config))
    if not any(found.input in stage.reads for stage in found.stages):
        raise CompileError("a step must have a layer of its input")
    most = config.tile_words + sum(
        n_words(vector.size, config.n_pe) for stage in found.stages
        for vector in stage.writes
        if (stage.chosen.bias.any() if isinstance(stage, Weighted)
            else stage.factors is not None))
    places = place_step(config, found, mapping, most)
    reset, step = make_tiles(config, found, places)
    tiles, first = [*reset, *step], places.rows[found.result[0]]
    layers = [tile.inputs.layer for tile in tiles]
    return LoweredStep(
        config=config, input=ProgramInput(found.input.frac, bool(
            find_nonnegative_inputs(scan.body) & {next(iter(scan.body.inputs))})),
        whole=[tile.inputs for tile in tiles], layers=layers,
        formats=[tile.chosen for tile in tiles], dead=[DeadRows.none()] * len(tiles),
        mapping=mapping, columns=[places.columns[found.input], np.concatenate([
            places.columns[vector] + (places.rows[vector] - first) * ACTS_PER_WORD * config.n_pe
            for vector in found.result])],
        rows=[np.arange(layer.n_rows) for layer in layers],
        codes=[_sort(config, tile) for tile in tiles], nodes=[tile.node for tile in tiles],
        tiles=tiles, reset=len(reset), places=places, result=first,
        result_frac=found.result[0].frac, steps=recurrence.steps)


def _sort(config: EIEConfig, tile: StepTile) -> SortedCodes:
    """Sort the codes of a tile, which has neither codes nor columns if it has no source."""
    if tile.convolution is not None:
        return sort_tile(config, tile.inputs.layer, tile.convolution)
    return SortedCodes(np.zeros(0, np.uint8), np.zeros(0, np.int64),
                       np.zeros((config.n_pe, 1, 0), np.int64))
