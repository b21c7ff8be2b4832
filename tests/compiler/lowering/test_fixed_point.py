import dataclasses
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_compiler.errors import CompileError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.fixed_point import (
    activation_range,
    choose_format,
    measure_precision,
    partial_sum_bounds,
)
from eie_compiler.random_networks import make_layer, random_codes, random_network
from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits

NARROW = EIEConfig.isca2016(n_pe=4)    # 32-bit accumulators, 16-bit operands


def random_layer(rng, *, n_rows=6, n_cols=40, density=0.7, v_width=3, scale=1.0, **changes):
    codebook = [0.0, *rng.normal(0, scale, (1 << v_width) - 1)]
    return make_layer(random_codes(rng, n_rows, n_cols, density, v_width), codebook=codebook,
                      bias=rng.normal(0, 4 * scale, n_rows), **changes)


def terms(layer, chosen):
    """Nonzero weights of each row and its bias in the accumulator, as Python integers."""
    for row, bias in zip(layer.codes.toarray(), chosen.bias.tolist()):
        yield [int(chosen.codebook[code]) for code in row if code], bias << chosen.bias_shift


def partial_sums(addends):
    total = 0
    for addend in addends:
        total += addend
        yield total


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32), relu=st.booleans())
def test_adversarial_inputs_reach_the_bound_and_never_exceed_it(seed, relu):
    layer = random_layer(np.random.default_rng(seed))
    low, high = activation_range(NARROW, nonnegative=relu)
    chosen = choose_format(NARROW, layer, 8, (low, high))
    least, greatest = [], []
    for weights, bias in terms(layer, chosen):
        # Greatest sum: the best product of each weight, positive ones first.
        best = sorted([*(max(w * low, w * high) for w in weights), bias], reverse=True)
        worst = sorted([*(min(w * low, w * high) for w in weights), bias])
        greatest.append(max(0, *partial_sums(best)))
        least.append(min(0, *partial_sums(worst)))
    assert (min(least), max(greatest)) == (chosen.lowest, chosen.highest)
    minimum, maximum = limits(NARROW.acc_width)
    assert minimum <= chosen.lowest <= chosen.highest <= maximum
    spare = NARROW.acc_width - chosen.spare_bits
    minimum, maximum = limits(spare)
    assert minimum <= chosen.lowest <= chosen.highest <= maximum
    minimum, maximum = limits(spare - 1)
    assert chosen.lowest < minimum or chosen.highest > maximum


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32), relu=st.booleans())
def test_no_input_in_any_order_exceeds_the_bound(seed, relu):
    rng = np.random.default_rng(seed)
    layer = random_layer(rng)
    low, high = activation_range(NARROW, nonnegative=relu)
    chosen = choose_format(NARROW, layer, 8, (low, high))
    for weights, bias in terms(layer, chosen):
        inputs = rng.choice([low, 0, high, int(rng.integers(low, high))], len(weights))
        addends = [*(w * int(a) for w, a in zip(weights, inputs)), bias]
        rng.shuffle(addends)
        sums = list(partial_sums(addends))
        assert chosen.lowest <= min(sums)
        assert max(sums) <= chosen.highest


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32), scale=st.sampled_from([1e-3, 0.1, 1.0, 30.0]),
       config=st.sampled_from([NARROW, EIEConfig(n_pe=4), EIEConfig(n_pe=4, acc_width=60)]))
def test_one_more_bit_of_scale_is_impossible(seed, scale, config):
    layer = random_layer(np.random.default_rng(seed), scale=scale, output_frac=2)
    low, high = limits(config.act_width)
    chosen = choose_format(config, layer, 4, (low, high))
    assert chosen.shift == chosen.weight_frac + 4 - 2

    finer = Fraction(2) ** (chosen.weight_frac + 1)
    codebook = [round(Fraction(weight) * finer) for weight in layer.codebook]
    minimum, maximum = limits(config.codebook_width)
    if chosen.shift == config.max_shift or not minimum <= min(codebook) <= max(codebook) <= \
            maximum:
        return
    acc_scale = finer * 2 ** 4
    biases = [round(Fraction(bias) * acc_scale / 2 ** config.max_bias_shift)
              for bias in layer.bias]
    if not low <= min(biases) <= max(biases) <= high:
        return
    overflows = False
    for row, bias in zip(layer.codes.toarray(), layer.bias):
        # The bias in the accumulator is off by less than 2 ** max_bias_shift.
        positive = sum(max(codebook[c] * low, codebook[c] * high) for c in row if c)
        positive += max(0, round(Fraction(bias) * acc_scale)) + 2 ** config.max_bias_shift
        negative = sum(min(codebook[c] * low, codebook[c] * high) for c in row if c)
        negative += min(0, round(Fraction(bias) * acc_scale)) - 2 ** config.max_bias_shift
        least, greatest = limits(config.acc_width)
        overflows = overflows or negative < least or positive > greatest
    assert overflows


def test_the_codebook_loses_bits_where_the_accumulator_is_narrow():
    layer = random_layer(np.random.default_rng(7), n_cols=400)
    wide, narrow = (choose_format(config, layer, 8, limits(16))
                    for config in (EIEConfig(n_pe=4), NARROW))
    assert np.abs(wide.codebook).max() >= 1 << 14
    assert wide.spare_bits > 0
    assert narrow.spare_bits == 0
    # Eight accumulator bits fewer, some of which were spare.
    assert wide.weight_frac - narrow.weight_frac == 8 - wide.spare_bits


def test_inputs_after_a_relu_leave_more_room():
    codes = np.ones((1, 1 << 17), np.uint8)
    codes[0, ::2] = 2
    layer = make_layer(codes, codebook=[0, 0.9, -0.9, 0])
    config = EIEConfig(acc_width=46)
    signed, positive = (choose_format(config, layer, 8, activation_range(config, nonnegative=relu))
                        for relu in (False, True))
    assert positive.weight_frac == signed.weight_frac + 1


def test_bias_is_as_fine_as_it_fits():
    layer = make_layer(np.ones((2, 1), np.uint8), codebook=[0, 0.5, 0, 0],
                       bias=np.array([0.25, -0.125]))
    chosen = choose_format(EIEConfig(), layer, 8, limits(16))
    assert chosen.codebook[1] == 1 << 14    # 0.5 with the 15 bits that 16-bit words leave
    assert chosen.weight_frac == 15
    assert chosen.bias_shift == 7           # 0.25 is 2 ** 21 in the accumulator, 2 ** 14 as a word
    assert chosen.bias.tolist() == [1 << 14, -(1 << 13)]


def test_bias_is_shifted_by_as_much_as_the_multiplier_takes():
    layer = make_layer(np.ones((1, 1), np.uint8), codebook=[0, 0.5, 0, 0], bias=np.array([60.0]))
    chosen = choose_format(EIEConfig(), layer, 8, limits(16))
    assert chosen.weight_frac == 15
    assert chosen.bias_shift == EIEConfig().max_bias_shift == 14
    assert chosen.bias.tolist() == [60 << 9]


def test_the_lowest_number_of_a_width_needs_no_more_than_that_width():
    layer = make_layer(np.ones((1, 1), np.uint8), codebook=[0, 0.5, 0, 0])
    chosen = choose_format(EIEConfig(acc_width=32), layer, 8, limits(16))
    assert chosen.lowest == -(1 << 29)
    assert chosen.spare_bits == 32 - 30


def test_sums_beyond_62_bits_are_not_mistaken_for_small_ones():
    counts = np.array([[0, 1 << 20], [0, 1]])
    low, high = partial_sum_bounds(counts, np.array([0, (1 << 23) - 1]), np.zeros(2, np.int64),
                                   limits(24))
    assert (low[0], high[0]) == (-(1 << 62), 1 << 62)
    assert high[1] == ((1 << 23) - 1) ** 2
    assert low[1] == -((1 << 23) - 1) * (1 << 23)


def test_a_layer_without_weights_has_a_format():
    layer = make_layer(np.zeros((3, 4), np.uint8), codebook=[0, 1, 2, 3],
                       bias=np.array([1.0, 2.0, -3.0]))
    chosen = choose_format(EIEConfig(), layer, 8, limits(16))
    at = chosen.weight_frac + 8 - chosen.bias_shift
    assert chosen.bias.tolist() == [1 << at, 2 << at, -3 << at]


def test_weights_have_no_more_fraction_bits_than_a_limit():
    layer = make_layer(np.ones((1, 1), np.uint8), codebook=[0, 1, 0, 0], output_frac=8)
    free = choose_format(EIEConfig(), layer, 4, limits(16))
    limited = choose_format(EIEConfig(), dataclasses.replace(
        layer, max_weight_frac=free.weight_frac - 3), 4, limits(16))
    assert limited.weight_frac == free.weight_frac - 3
    same = dataclasses.replace(layer, max_weight_frac=free.weight_frac)
    assert choose_format(EIEConfig(), same, 4, limits(16)).weight_frac == free.weight_frac


@pytest.mark.parametrize("changes, config, message", [
    ({"codebook": [0, 1, 0, 0], "max_weight_frac": 3}, EIEConfig(),
     "at a shift of 0 weights have 4 fraction bits, more than max_weight_frac = 3"),
    ({"codebook": [0, 1e6, 0, 0]}, EIEConfig(),
     "at a shift of 0 a weight is 16000000, which codebook_width = 16 bits do not hold"),
    ({"codebook": [0, 1e-6, 0, 0], "output_frac": -32}, EIEConfig(),
     "at a shift of 31 all weights round to zero"),
    ({"codebook": [0, 1, 0, 0], "bias": np.array([1e9])}, EIEConfig(),
     "at a shift of 0 a bias of 1e+09 does not fit act_width = 16 bits, shifted left by 14"),
    ({"codebook": [0, 100, 0, 0], "codes": np.ones((1, 5000), np.uint8), "output_frac": 12},
     EIEConfig(acc_width=32),
     "at a shift of 0 sums of row 0 need 43 bits, and acc_width is 32"),
])
def test_a_layer_that_no_scale_fits_is_refused(changes, config, message):
    fields = {"codes": np.ones((1, 1), np.uint8), "output_frac": 8} | changes
    limit = fields.pop("max_weight_frac", None)
    layer = dataclasses.replace(make_layer(fields.pop("codes"), **fields), max_weight_frac=limit)
    whole = (f"layer 'fc1': some codebook scale must fit input_frac = 4 and output_frac = "
             f"{layer.output_frac}, but {message}: change output_frac, or widen the machine")
    with pytest.raises(CompileError, match=f"^{re.escape(whole)}$"):
        choose_format(config, layer, 4, limits(config.act_width))


def test_only_layers_after_a_relu_rely_on_positive_inputs():
    rng = np.random.default_rng(9)
    for relu in (False, True):
        network = random_network(rng, [20, 20, 20], density=1.0, relu=relu)
        report = compile_network(network, EIEConfig(n_pe=4)).report["layers"][1]
        codebook = np.array(report["formats"]["codebook"])
        weights = codebook[network.layers[1].codes.toarray()]
        if relu:
            products = np.maximum(weights, 0) * 32767
        else:
            products = np.maximum(weights * 32767, weights * -32768)
        assert report["overflow"]["highest"] >= products.sum(axis=1).max()
        bias = (1 << 15) << report["formats"]["bias_shift"]
        assert report["overflow"]["highest"] <= products.sum(axis=1).max() + bias


@pytest.mark.parametrize("acc_width, lost_bits", [(32, 5), (35, 2), (37, 0), (40, 0)])
def test_narrow_accumulator_costs_bits_of_weights(acc_width, lost_bits):
    config = EIEConfig(acc_width=acc_width)
    # 64 weights of 15 bits, and inputs of 15 bits, need 36 bits and the sign.
    layer = make_layer(np.ones((1, 64), np.uint8), codebook=[0, 0.9, 0, 0], output_frac=8)
    inputs = layer, 15, activation_range(config, nonnegative=False)
    chosen = choose_format(config, *inputs)
    precision = measure_precision(config, chosen, *inputs)
    assert (precision.lost_bits, precision.acc_width) == (lost_bits, 37)
    word = round(0.9 * 2 ** chosen.weight_frac) / 2 ** chosen.weight_frac
    assert precision.error == pytest.approx(abs(word / 0.9 - 1))
    finest = round(0.9 * 2 ** 15) / 2 ** 15
    assert precision.possible_error == pytest.approx(abs(finest / 0.9 - 1))


def test_a_tile_without_weights_loses_none():
    layer = make_layer(np.zeros((2, 4), np.uint8), codebook=[0, 0, 0, 0])
    coarse = dataclasses.replace(choose_format(NARROW, layer, 8, (-8, 7)), weight_frac=-60)
    precision = measure_precision(NARROW, coarse, layer, 8, (-8, 7))
    assert (precision.lost_bits, precision.error) == (0, 0.0)


def test_weights_of_zero_have_no_error():
    layer = make_layer(np.zeros((1, 4), np.uint8), codebook=[0, 0, 0, 0])
    inputs = layer, 8, (-8, 7)
    assert measure_precision(NARROW, choose_format(NARROW, *inputs), *inputs).error == 0
