"""Packing in NumPy against constants of Amaranth."""

import re

import numpy as np
import pytest
from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data, enum

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, n_beats
from eie_hdl.packing import pack, unpack

#: Words that can be packed.
WORDS = ["entry", "spmat_word", "ptr", "count", "value", "weight", "acc", "act_word", "scan",
         "activation", "start", "end", "operand", "descriptor", "load_header", "run", "read",
         "result"]

N_WORDS = 6


def random_values(shape, rng):
    """Random field values of words; the first has the least, the second the greatest ones."""
    if isinstance(shape, data.StructLayout):
        return {name: random_values(field.shape, rng) for name, field in shape}
    if isinstance(shape, data.ArrayLayout):
        elements = [random_values(shape.elem_shape, rng) for _ in range(shape.length)]
        if isinstance(shape.elem_shape, data.StructLayout):
            return {name: np.stack([element[name] for element in elements], axis=-1)
                    for name in elements[0]}
        return np.stack(elements, axis=-1)
    if isinstance(shape, enum.EnumType):
        low, high = 0, max(member.value for member in shape)
    else:
        shape = Shape.cast(shape)
        low = -(2 ** (shape.width - 1)) if shape.signed else 0
        high = low + 2 ** shape.width - 1
    values = rng.integers(low, high, N_WORDS, endpoint=True)
    values[:2] = low, high
    return values


def word(shape, values, n):
    """The `n`-th word as an integer, made by Amaranth."""
    def initial(shape, values, *index):
        if isinstance(shape, data.StructLayout):
            return {name: initial(field.shape, values[name], *index) for name, field in shape}
        if isinstance(shape, data.ArrayLayout):
            return [initial(shape.elem_shape, values, *index, i) for i in range(shape.length)]
        return int(values[index])

    if isinstance(shape, data.Layout):
        return shape.const(initial(shape, values, n)).as_bits()
    return initial(shape, values, n) & ((1 << shape.width) - 1)


def joined(beats):
    return sum(int(beat) << BEAT_WIDTH * n for n, beat in enumerate(beats))


def same(values, others):
    if isinstance(values, dict):
        return values.keys() == others.keys() and all(
            same(values[name], others[name]) for name in values)
    return others.dtype == np.int64 and np.array_equal(values, others)


@pytest.mark.parametrize("name", WORDS)
def test_packed_words_are_amaranths_constants(config, name):
    shape = getattr(Layouts.of(config), name)
    values = random_values(shape, np.random.default_rng(1))
    words = pack(shape, values)
    assert words.shape == (N_WORDS, n_beats(shape))
    assert words.dtype == np.uint64
    assert [joined(beats) for beats in words] == [word(shape, values, n) for n in range(N_WORDS)]
    assert same(values, unpack(shape, words))


def test_field_may_span_two_beats():
    shape = data.StructLayout({"low": 60, "across": signed(10), "high": 60})
    words = pack(shape, {"low": [0], "across": [-2], "high": [3]})
    assert words.tolist() == [[0xE << 60, 0x3F | 3 << 6, 0]]
    assert unpack(shape, words)["across"].tolist() == [-2]


def test_entry_is_code_and_run():
    shape = Layouts.of(PRESETS["tiny"]).spmat_word
    assert pack(shape, {"v": [[5, 1]], "z": [[2, 3]]}).tolist() == [[5 | 2 << 3 | 1 << 5 | 3 << 8]]


def test_fields_are_broadcast_against_each_other():
    shape = Layouts.of(EIEConfig()).entry
    words = pack(shape, {"v": np.arange(6).reshape(2, 3), "z": 1})
    assert words[..., 0].tolist() == [[16, 17, 18], [19, 20, 21]]
    assert unpack(shape, words)["z"].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_no_words_pack_into_no_words():
    shape = Layouts.of(EIEConfig()).spmat_word
    words = pack(shape, {"v": np.zeros((0, 8), int), "z": np.zeros((0, 8), int)})
    assert words.shape == (0, 2)
    assert unpack(shape, words)["v"].shape == (0, 8)


def test_zero_width_fields_are_zero():
    shape = Layouts.of(EIEConfig(n_codebooks=1)).start
    words = pack(shape, {"codebook": [0], "source": [3], "last_word": [1], "send": [1],
                         "last_lane": [3], "last_pe": [4], "watched": [2], "unwritten": [0]})
    assert unpack(shape, words)["codebook"].tolist() == [0]


@pytest.mark.parametrize("name, values, message", [
    ("entry", {"v": [0, 16], "z": 0}, "v must be from 0 to 15, not from 0 to 16"),
    ("entry", {"v": 1, "z": [-1, 3]}, "z must be from 0 to 63, not from -1 to 3"),
    ("spmat_word", {"v": [[0] * 7 + [99]], "z": [[0] * 8]},
     "v must be from 0 to 15, not from 99 to 99"),
    ("value", [-32769], "Values must be from -32768 to 32767, not from -32769 to -32769"),
    ("act_word", [[0, 0, 0, 32768]],
     "Values must be from -32768 to 32767, not from 32768 to 32768"),
])
def test_value_that_does_not_fit_is_rejected(name, values, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pack(getattr(Layouts.of(EIEConfig()), name), values)


def test_value_that_does_not_fit_is_named_by_its_path():
    shape = Layouts.of(EIEConfig()).descriptor
    values = dict.fromkeys(shape.members, 0)
    values["start"] = dict.fromkeys(shape.members["start"].members, 0)
    values["end"] = {**dict.fromkeys(shape.members["end"].members, 0), "shift": 32}
    with pytest.raises(ValueError, match=r"^end\.shift must be from 0 to 31, not from 32 to 32$"):
        pack(shape, values)


def test_value_of_a_zero_width_field_must_be_zero():
    shape = Layouts.of(EIEConfig(n_codebooks=1)).start
    with pytest.raises(ValueError, match="^codebook must be from 0 to 0, not from 1 to 1$"):
        pack(shape, {"codebook": [1], "source": [3], "last_word": [1], "dense": [1],
                     "watched": [2]})


def test_union_is_rejected():
    shape = data.UnionLayout({"a": 3, "b": 5})
    for attempt in (lambda: pack(shape, {"a": 1}),
                    lambda: unpack(shape, np.zeros((1, 1), np.uint64))):
        with pytest.raises(TypeError, match="^" + re.escape(
                f"Word must not contain a union, such as {shape!r}") + "$"):
            attempt()


def test_field_wider_than_a_beat_is_rejected():
    with pytest.raises(TypeError, match="^Field must be at most 64 bits wide, not 65$"):
        pack(unsigned(65), [0])


def test_pack_rejects_values_that_are_not_integers():
    with pytest.raises(TypeError, match=r"^Values must be integers, not float64$"):
        pack(signed(4), np.array([1.5]))
