"""`eie_sim.cycles.segments`: words and masks of segments, by a loop over columns."""

import random

import numpy as np
import pytest

from eie_hdl.config import EIEConfig
from eie_hdl.format import n_elements
from eie_sim.cycles.segments import Segments
from eie_sim.golden.loops import Loop
from support.segment_loops import random_fields, walk


def test_a_source_without_a_loop_is_one_segment_of_whole_words():
    nonzero = np.zeros((1, 16), bool)
    nonzero[0, [1, 4, 9, 15]] = True
    segments = Segments.whole(16)
    assert (segments.n_tiles, segments.words(2).tolist(), segments.origin(2).tolist()) == (
        1, [2], [0])
    # Column = slot · 2 + PE, four slots in a word.
    assert segments.mask(nonzero, 2).tolist() == [[0b0100, 0b0000], [0b0001, 0b1001]]


@pytest.mark.parametrize("n_pe", [1, 4, 16])
def test_segments_of_a_loop_are_those_that_are_walked(n_pe):
    config = EIEConfig(n_pe=n_pe, loops=True)
    rng, numbers = random.Random(n_pe), np.random.default_rng(n_pe)
    group = 4 * n_pe
    for _ in range(20):
        fields = random_fields(config, rng)
        n_rows = 4 * fields["end"]["last_word"] + fields["end"]["last_lane"] + 1
        loop = Loop.decode(config, fields["loop"], n_elements=n_elements(config, fields["start"]),
                           n_rows=n_rows)
        segments = Segments.of(loop)
        kept = np.flatnonzero(~segments.skipped)
        walked = list(walk(config, fields))
        assert segments.ends[kept].tolist() == [is_last for *_, is_last, _ in walked]
        nonzero = numbers.random((loop.n_pixels, loop.n_columns)) < 0.5
        nonzero[:, len(nonzero[0]) // loop.length * loop.length:] = False
        base = group * fields["start"]["source"]
        mask = segments.mask(_existing(segments, nonzero), n_pe)
        first_word = np.cumsum(segments.words(n_pe)) - segments.words(n_pe)
        tile = 0
        for number, (first, last, origin, is_last, _) in zip(kept, walked):
            if first is not None:
                assert segments.first[number] == first - base
                assert segments.last[number] == last - base
                assert segments.offset[number] == origin - fields["ptr_base"] + base
                assert segments.origin(n_pe)[number] == (
                    segments.offset[number] + (first - base) // group * group)
                for place in range(first - base, last - base + 1):
                    word = first_word[number] + place // group - (first - base) // group
                    bit = mask[place % n_pe, word] >> place % group // n_pe & 1
                    assert bit == nonzero[tile, place + segments.offset[number]]
            tile += is_last


def _existing(segments, nonzero):
    """Clear the columns that do not exist."""
    kept = np.zeros_like(nonzero)
    per_tile = len(segments.first) // segments.n_tiles
    for number, (first, last, offset) in enumerate(zip(
            segments.first, segments.last, segments.offset)):
        if first <= last:
            part = slice(first + offset, last + offset + 1)
            kept[number // per_tile, part] = nonzero[number // per_tile, part]
    return kept
