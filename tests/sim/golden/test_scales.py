"""`eie_sim.golden.scales`, against exact integers and an example at hand."""

import re

import numpy as np
import pytest

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits
from eie_sim.golden.model import GoldenModel
from eie_sim.golden.scales import Quantiser, scale_rows
from eie_sim.golden.tile import GoldenError
from support.loop_machine import LoopMachine
from support.row_scales import exceeds_range, interleave, make_entry, scale_row

CONFIGS = {width: EIEConfig(n_pe=1, act_width=width, codebook_width=24, acc_width=acc_width,
                            loops=True, scales=True)
           for width, acc_width in ((9, 40), (12, 48), (16, 40), (24, 60))}


def scale(config, accs, fractions, shifts, *, shift, relu, rounding, zero):
    """Results of accumulators of a single pixel, one for each row, and if they did not fit."""
    n = len(accs)
    quantiser = Quantiser(*(np.full((n, 1, 1), number) for number in (
        min(rounding, config.act_width - 1), zero)))
    words = interleave(config, np.array(fractions), np.array(shifts))[:, np.newaxis, np.newaxis]
    results, exceeds = scale_rows(config, np.array(accs)[:, np.newaxis, np.newaxis], words,
                                  shift=shift, is_positive=bool(relu), quantiser=quantiser)
    return results[:, 0, 0].tolist(), exceeds[:, 0, 0].tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", CONFIGS)
def test_rows_have_the_results_of_exact_integers(width, seed):
    """Around zero, half of a step, and both ends of operands and results."""
    config, rng = CONFIGS[width], np.random.default_rng([width, seed])
    low, high = limits(config.acc_width)
    for rounding in range(1 << (width - 1).bit_length()):
        for relu in (0, 1):
            shift, zero = int(rng.integers(config.max_shift + 1)), int(rng.integers(-128, 128))
            zero = [-128, 0, 127, zero][seed]
            fractions, shifts = rng.integers(*limits(width), (2, 60))
            shifts[::2] &= -16
            fractions[::5], fractions[1::5] = 0, -1
            places = (shift + shifts % 16) % (config.max_shift + 1)
            accs = rng.integers(-4 << width, 4 << width, 60) << np.minimum(places, 24) >> 2
            accs[:8] = low, high, -1, 0, 1, low + 1, high >> 1, low >> 1
            accs = np.clip(accs, low, high)
            fields = {"shift": shift, "relu": relu}
            quantiser = {"rounding": rounding, "zero": zero}
            rows = [[*map(int, row)] for row in zip(accs, fractions, shifts)]
            results, exceeds = scale(config, accs, fractions, shifts, **fields, **quantiser)
            assert results == [scale_row(config, *row, **fields, **quantiser) for row in rows]
            assert exceeds == [not rounding and exceeds_range(config, *row, **fields)
                               for row in rows]


def test_a_row_at_hand():
    """Of 16 bits: 1000 times 1.5, divided by 2 ** 3; and then as a number of 8 bits.

    A step of the latter is 2 ** 7, from 2 ** 14 down. 187.5 is 1.46 steps; with the zero point,
    which is subtracted again, it does not saturate.
    """
    def row(acc, rounding, zero=0, relu=0):
        (result,), (exceeds,) = scale(CONFIGS[16], [acc], [-1 << 15], [2], shift=1, relu=relu,
                                      rounding=rounding, zero=zero)
        return result, exceeds

    assert row(1000, 0) == (188, False)    # a half is rounded up
    assert row(-1000, 0) == (-187, False)
    assert row(-1000, 0, relu=1) == (0, False)
    assert row(1000, 0, zero=100) == (188, False)    # no bit is rounded away
    assert row(1000, 7) == row(1000, 7, zero=-128) == row(1000, 7, zero=126) == (128, False)
    assert row(1 << 20, 0) == ((1 << 15) - 1, True)
    assert row(1 << 20, 7) == (127 << 7, False)
    assert row(1 << 20, 7, zero=-128) == (255 << 7, False)
    assert row(-1 << 20, 7, zero=-128) == (0, False)    # ReLU by saturation
    assert row(-1 << 20, 7, zero=-64) == (-64 << 7, False)
    assert row(-1 << 20, 7, zero=-64, relu=1) == (64 << 7, False)    # of the number with its zero
    assert row(-1 << 20, 7, zero=127) == (-255 << 7, False)


@pytest.mark.parametrize("width", CONFIGS)
def test_a_factor_of_one_without_rounding_changes_nothing(width):
    config, rng = CONFIGS[width], np.random.default_rng(width)
    accs = rng.integers(-4 << width, 4 << width, 200)
    for shift in range(config.max_shift + 1):
        results, _ = scale(config, accs, [0] * 200, [-16] * 200, shift=shift, relu=0, rounding=0,
                           zero=100)
        expected = np.clip(accs + (1 << shift >> 1) >> shift, *limits(width))
        assert results == expected.tolist()


@pytest.mark.parametrize("rounding, zero", [(0, 0), (7, -128), (15, 127), (9, -1)])
def test_a_quantiser_is_entry_0_of_its_codebook(rounding, zero):
    """Of each PE its own, whatever the bits above it are."""
    config = EIEConfig(n_pe=2, v_width=2, n_codebooks=2, loops=True, scales=True)
    codebooks = np.ones((2, 4), np.int64)
    codebooks[1, 0] = make_entry(config, rounding, zero, above=5)
    model = GoldenModel(config, machine(config, codebooks).images())
    found = Quantiser.decode(config, model._memories, 1, 3)
    assert found.rounding.tolist() == [[[rounding]]] * 6 and found.zero.tolist() == [[[zero]]] * 6


def machine(config, codebooks, **end):
    """Machine with one tile of two words, in rows 3 and 4, and an output."""
    made = LoopMachine(config, codebooks)
    made.tile(np.zeros((8 * config.n_pe, 1), np.int64), start={"source": 0},
              end={"destination": 3, "bias": 10, "scale": 1, "factor": 20, **end},
              loop={"width": 1, "length": 1, "last_slot": 7}, result_barrier=1)
    made.send(3, 1)
    return made


@pytest.mark.parametrize("end, message", [
    ({"multiply": 1}, "end.multiply and end.scale must not both be set"),
    ({"factor": 29}, "end.factor must leave its 4 rows below act_depth = 32, not begin at 29"),
    ({"factor": 4}, "end.destination must not overlap the rows of end.factor, at 4, but is at 3"),
    ({"factor": 0}, "end.destination must not overlap the rows of end.factor, at 0, but is at 3"),
    ({"bias": 3}, "end.destination must not overlap the rows of end.bias, at 3, but is at 3"),
])
def test_bad_rows_of_scales_are_refused(end, message):
    config = EIEConfig(n_pe=2, v_width=2, n_codebooks=1, act_depth=32, loops=True, products=True,
                       scales=True)
    codebooks = np.ones((1, 4), np.int64)
    GoldenModel(config, machine(config, codebooks, factor=28).images())    # the last rows
    with pytest.raises(GoldenError, match=f"^Descriptor 0: {re.escape(message)}$"):
        GoldenModel(config, machine(config, codebooks, **end).images())


def test_a_quantiser_must_be_in_the_image():
    config = EIEConfig(n_pe=2, v_width=2, n_codebooks=1, act_depth=32, loops=True, scales=True)
    images = machine(config, np.ones((1, 4), np.int64)).images()
    images["pe_1.codebook"] = images["pe_1.codebook"][:0]
    with pytest.raises(GoldenError, match="^Descriptor 0: entry 0 of codebook 0 must be in the "
                                          "codebook image of PE 1, as rows are scaled$"):
        GoldenModel(config, images)
