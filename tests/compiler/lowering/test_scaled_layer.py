"""Scales of rows in the arithmetic of the machine."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.errors import CompileError
from eie_compiler.graph.operations import Quantise
from eie_compiler.lowering.fixed_point import choose_format
from eie_compiler.lowering.scaled_layer import (
    Quantiser,
    ScaledLayer,
    fix_scales,
    is_quantised,
    quantiser_of,
)
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack

CONFIG = EIEConfig(loops=True, scales=True)


def make(scale, *, quantiser=None, relu=False, output_frac=7, bias=None, n_cols=4, seed=0):
    scale = np.asarray(scale, np.float64)
    codes = np.random.default_rng(seed).integers(1, 16, (len(scale), n_cols)).astype(np.uint8)
    codebook = np.array([0, *range(-7, 0), *range(1, 9)], np.float64)
    return ScaledLayer("fc", csc_array(codes), codebook,
                       np.zeros(len(scale)) if bias is None else bias, relu, output_frac,
                       scale=scale, quantiser=quantiser)


def compute(layer, words, input_frac):
    """Words of a layer, in its format; and what they should be, as numbers before limits."""
    chosen = choose_format(CONFIG, layer, input_frac, (-(1 << 15), (1 << 15) - 1))
    weights = chosen.codebook[layer.codes.toarray()]
    sums = words @ weights.T + (chosen.bias << chosen.bias_shift)
    numbers = words * 2.0 ** -input_frac
    exact = (numbers @ layer.codebook[layer.codes.toarray()].T + layer.bias) * layer.scale
    return chosen.scales(sums, chosen.shift, relu=layer.relu), exact


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("zero, low, high", [(-128, 0, 255), (0, -128, 127), (94, -222, 33),
                                             (127, -255, 0)])
def test_quantised_results_are_nearly_those_of_real_numbers(seed, zero, low, high):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(-4, 1, 30)) * 0.02
    layer = make(scale, quantiser=Quantiser(8, zero), relu=low == 0, bias=rng.normal(size=30) * 200,
                 seed=seed, n_cols=25)
    words = rng.integers(-255, 256, (400, 25)) << 7
    found, exact = compute(layer, words, 7)
    assert (found % (1 << 7) == 0).all()
    integers, limited = found >> 7, np.clip(exact, low, high)
    assert integers.min() == low and integers.max() == high
    assert np.abs(integers - limited).max() < 0.5 + 0.01
    assert (integers != np.clip(np.floor(exact + 0.5), low, high)).mean() < 0.002


@pytest.mark.parametrize("zero", [-128, 94])
def test_results_of_zeros_are_the_nearest_integers(zero):
    rng = np.random.default_rng(1)
    bias = rng.integers(2000, 4000, 200).astype(np.float64)    # exact in an accumulator
    middle = rng.integers(20, 31, 200) + 0.5
    layer = make((middle + rng.choice([-1e-4, 1e-4], 200)) / bias, quantiser=Quantiser(8, zero),
                 bias=bias)
    found, exact = compute(layer, np.zeros((1, 4), np.int64), 7)
    np.testing.assert_array_equal(found[0] >> 7, np.rint(exact[0]))
    assert 50 < (exact > middle).sum() < 150    # on both sides of the middle


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("relu", [False, True])
def test_results_of_a_word_are_as_exact_as_their_factors(seed, relu):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.uniform(-3, 2, 20))
    layer = make(scale, relu=relu, output_frac=3, bias=rng.normal(size=20) * 50, seed=seed)
    words = rng.integers(-(1 << 15), 1 << 15, (200, 4))
    found, exact = compute(layer, words, 9)
    exact = np.maximum(exact, 0) if relu else exact
    inside = (found >= -(1 << 15)) & (found < 1 << 15)
    errors = np.abs(found * 2.0 ** -3 - exact)[inside]
    assert (errors <= 2.0 ** -3 + np.abs(exact[inside]) * 2.0 ** -15).all()
    assert inside.mean() > 0.5


@pytest.mark.parametrize("scale", [1.0, 0.5, 1.9999, 1.9999999, 3.0, 0.75, 1e-9, 1e9])
@pytest.mark.parametrize("width", [16, 9])
def test_a_scale_is_a_factor_and_a_shift(scale, width):
    config = EIEConfig(loops=True, scales=True, act_width=width)
    fixed = fix_scales(config, make([scale, scale / 1000]))
    for wanted, shift, fraction in zip((scale, scale / 1000), fixed.shifts, fixed.fractions):
        assert -(1 << width - 1) <= fraction < 1 << width - 1 and 0 <= shift < 16
        factor = 1 + Fraction(int(fraction) % (1 << width), 1 << width)
        found = factor / (1 << int(shift)) * Fraction(2) ** (fixed.frac - 7)
        assert abs(found / Fraction(wanted) - 1) <= Fraction(1, 2 << width)


def test_scales_of_rows_are_not_too_different():
    assert fix_scales(CONFIG, make([1.0, 2.0 ** -15])).shifts.tolist() == [0, 15]
    with pytest.raises(CompileError, match="must be within a factor of 32768 of each other, not "
                                           "65536"):
        fix_scales(CONFIG, make([1.0, 2.0 ** -16]))


@pytest.mark.parametrize("low, high, bits, zero", [
    (0, 255, 8, -128), (-128, 127, 8, 0), (-222, 33, 8, 94), (-255, 0, 8, 127), (0, 15, 4, -8),
    (-8, 7, 4, 0), (0, 1, 1, -1), (-512, 511, 10, 0), (0, 1023, 10, -512)])
def test_bits_and_zero_point_of_a_quantisation(low, high, bits, zero):
    assert quantiser_of(Quantise(1.0, low, high), 16, 15 - bits) == (bits, zero)


@pytest.mark.parametrize("low, high, frac, message", [
    (-127, 127, 7, "integers must be all of some number of bits, with zero, not from -127 to 127"),
    (1, 256, 7, "with zero, not from 1 to 256"), (0, 6, 7, "not from 0 to 6"),
    (-256, -1, 7, "with zero, not from -256 to -1"),
    (0, 255, 6, "result must have 7 fraction bits, for integers of 8 bits, not 6"),
    (-511, 512, 5, "zero point of 10 bits must be a multiple of 4, not -1"),
    (0, (1 << 15) - 1, 0, "integers must have at most 14 bits, not 15")])
def test_other_quantisations_are_refused(low, high, frac, message):
    with pytest.raises(CompileError, match=message):
        quantiser_of(Quantise(1.0, low, high), 16, frac)


@pytest.mark.parametrize("width, bits", [(16, 8), (16, 4), (12, 4), (24, 8)])
def test_the_unused_entry_of_the_codebook_says_how_results_are_quantised(width, bits):
    config = EIEConfig(loops=True, scales=True, act_width=width, acc_width=60, codebook_width=16)
    layer = make([0.1, 0.2], quantiser=Quantiser(bits, -(1 << bits - 1)),
                 output_frac=width - 1 - bits)
    assert is_quantised(layer) and not is_quantised(make([1.0]))
    chosen = choose_format(config, layer, 2, (0, (1 << width - 1) - 1))
    fields = unpack(Layouts.of(config).quantiser,
                    np.array([[int(chosen.codebook[0]) % (1 << 16)]], np.uint64))
    assert (fields["rounding"], fields["zero"]) == (width - 1 - bits, -128)
    assert -(1 << 15) <= chosen.codebook[0] < 1 << 15


def test_a_scaled_layer_without_a_format():
    with pytest.raises(CompileError, match="^layer 'fc': some codebook scale must fit"):
        choose_format(CONFIG, make([2.0 ** 40]), 7, (0, 1))
