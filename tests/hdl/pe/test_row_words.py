"""RowWords, with words as the drain reads them."""

import random

import pytest

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.numeric import limits
from eie_hdl.pe.row_words import RowWords

CONFIG = EIEConfig(n_pe=1, act_width=9, codebook_width=12, acc_width=24, loops=True, scales=True)


#: Cycle in which nothing is drained.
IDLE = ("plain", [0] * ACTS_PER_WORD, None, None)


def random_word(rng):
    return [rng.randint(*limits(CONFIG.act_width)) for _ in range(ACTS_PER_WORD)]


def cycles(rng, kind, n_rows):
    """Yield the word at the SRAM, the lane or None, and what is expected of the row.

    Words that are not needed are random.
    """
    words = {name: [random_word(rng) for _ in range(-(-n_rows // ACTS_PER_WORD))]
             for name in ("bias", "factor", "shift")}
    if kind != "plain":
        yield words["bias"][0], None, None
    for row in range(n_rows):
        number, lane = divmod(row, ACTS_PER_WORD)
        expected = [words[name][number][lane] for name in ("bias", "factor", "shift")]
        if lane == 0:
            word = words["bias" if kind == "plain" else "factor"][number]
        elif kind == "plain":
            word = words["bias"][number]
        elif lane == 1 and kind == "scale":
            word = words["shift"][number]
        elif lane == 3 and row + 1 < n_rows:
            word = words["bias"][number + 1]
        else:
            word = random_word(rng)
        yield word, lane, expected
    # Of a tile of one row, or whose last word has one.
    yield (words["shift"][-1] if kind == "scale" and n_rows % ACTS_PER_WORD == 1
           else random_word(rng)), None, None


@pytest.mark.parametrize("seed", range(6))
def test_words_of_rows_are_selected(simulate, seed):
    """Of tiles of all kinds, back to back: a factor with pairs, a shift of 0 without a scale."""
    rng = random.Random(seed)
    kinds = [rng.choice(["plain", "pairs", "scale"]) for _ in range(60)]
    steps = [(kind, *step) for kind in kinds
             for step in cycles(rng, kind, rng.choice([1, 2, 3, 4, 5, 8, 11]))]
    dut = RowWords(CONFIG)

    async def bench(ctx):
        for number in range(len(steps) + 3):
            kind, _, lane, expected = steps[number - 1] if 0 < number <= len(steps) else IDLE
            if lane is not None:
                assert ctx.get(dut.bias) == expected[0], (number, kind)
                assert kind == "plain" or ctx.get(dut.factor) == expected[1], (number, kind)
            kind, _, lane, expected = steps[number - 3] if number >= 3 else IDLE
            if lane is not None:
                scale = ctx.get(dut.scale)
                assert (scale.fraction, scale.shift) == (
                    (expected[1] % 2 ** CONFIG.act_width, expected[2] % 16) if kind == "scale"
                    else (0, 0)), (number, kind)
            kind, word, lane, _ = steps[number] if number < len(steps) else IDLE
            drains = lane is not None
            ctx.set(dut.word, word)
            ctx.set(dut.lane, lane if drains else rng.randrange(4))
            ctx.set(dut.drains, drains)
            ctx.set(dut.pairs, drains and kind != "plain")
            ctx.set(dut.scales, drains and kind == "scale")
            await ctx.tick()

    simulate(dut, bench)
