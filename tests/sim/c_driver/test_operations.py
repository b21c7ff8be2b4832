"""Operations in C, by the header of the driver, against their definitions in Python."""

import ctypes
import math
import subprocess

import numpy as np
import pytest

from eie_compiler.graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Magnitude,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Quantise,
    Reverse,
    Sigmoid,
    Sign,
    Slice,
    Subtract,
    Tanh,
    Transpose,
)
from eie_compiler.graph.operations.arithmetic import fix_constants, fix_limit
from eie_compiler.graph.operations.tanh_table import TABLE
from eie_hdl.numeric import saturate
from eie_sim.c_driver.program import C_FLAGS
from support.operations import highest_frac, near_squares, random_words

#: Functions that a library exports under their own names; those of headers are inline.
WRAPPERS = """
#include "eie_operations.h"
int64_t (*const unary[])(int32_t, int, int) = {eie_convert, eie_sign, eie_hard_swish, eie_tanh,
                                               eie_sigmoid};
int64_t (*const binary[])(int64_t, int64_t, const int *, int) = {eie_sum, eie_difference,
                                                                 eie_product, eie_maximum,
                                                                 eie_magnitude};
const uint16_t *table(void);
const uint16_t *table(void) { return eie_tanh_table; }
#define WRAP(type, name, parameters, arguments) \\
    type name parameters; \\
    type name parameters { RETURN_##type eie_##name arguments; }
#define RETURN_size_t return
#define RETURN_void
#define ALL unsigned rank, const size_t *sizes, const ptrdiff_t *one, const ptrdiff_t *other
#define ELEMENTS &(struct eie_elements){rank, sizes, {one, other}}
WRAP(size_t, map, (int which, const int32_t *x, int32_t *y, size_t n, int f, int to, unsigned w),
     (unary[which], x, y, n, f, to, w))
WRAP(size_t, clip, (const int32_t *x, int32_t *y, size_t n, int f, int to, int64_t low,
                    int64_t high, unsigned w), (x, y, n, f, to, low, high, w))
WRAP(size_t, mean, (const int32_t *x, int32_t *y, size_t n, size_t count, int f, int to,
                    unsigned w), (x, y, n, count, f, to, w))
WRAP(void, move, (ALL, const int32_t *x, int32_t *y), (ELEMENTS, x, y))
WRAP(size_t, combine, (ALL, int which, const int32_t *a, const int32_t *b, int32_t *y,
                       const int *f, int to, unsigned w),
     (binary[which], ELEMENTS, a, b, y, f, to, w))
WRAP(size_t, scale, (ALL, const int32_t *x, const struct eie_scaling *by, int32_t *y, int64_t low,
                     int64_t high, unsigned w), (ELEMENTS, x, by, y, low, high, w))
WRAP(size_t, leaky_relu, (ALL, const int32_t *x, const struct eie_scaling *by, int32_t *y, int f,
                          int to, unsigned w), (ELEMENTS, x, by, y, f, to, w))
WRAP(size_t, to_integers, (ALL, const int32_t *x, const struct eie_scaling *by, int32_t *y, int to,
                           int64_t low, int64_t high, unsigned w),
     (ELEMENTS, x, by, y, to, low, high, w))
WRAP(void, max_pool, (const struct eie_pool *pool, const int32_t *x, int32_t *y), (pool, x, y))
WRAP(size_t, average_pool, (const struct eie_pool *pool, const int32_t *x, int32_t *y, int f,
                            int to, unsigned w), (pool, x, y, f, to, w))
"""

#: Fields of ``struct eie_scaling``.
SCALING = np.dtype([("multiplier", np.int32), ("shift", np.int32), ("addend", np.int64)])


class Pool(ctypes.Structure):
    _fields_ = [("shape", ctypes.c_int * 3), ("kernel", ctypes.c_int * 2),
                ("stride", ctypes.c_int * 2), ("padding", ctypes.c_int * 4),
                ("count_padding", ctypes.c_bool), ("uncounted", ctypes.c_int * 2)]


def pool_of(operation, shape):
    return ctypes.byref(Pool(shape, operation.kernel, operation.stride, operation.padding,
                             getattr(operation, "count_padding", False),
                             getattr(operation, "uncounted", (0, 0))))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operations")
    (folder / "wrappers.c").write_text(WRAPPERS, encoding="utf-8")
    # Undefined arithmetic ends the process.
    subprocess.run(["gcc", *C_FLAGS, "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error",
                    "-shared", "-fPIC", "-o", folder / "wrappers.so", folder / "wrappers.c"],
                   check=True)
    loaded = ctypes.CDLL(str(folder / "wrappers.so"))
    for name in ("map", "clip", "mean", "combine", "scale", "leaky_relu", "to_integers",
                 "average_pool"):
        getattr(loaded, name).restype = ctypes.c_size_t
    loaded.table.restype = ctypes.POINTER(ctypes.c_uint16 * 192)
    return loaded


def convert(argument):
    """Convert an argument to the type of C."""
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data_as(ctypes.c_void_p)
    if isinstance(argument, list):    # formats
        return (ctypes.c_int * len(argument))(*argument)
    return argument


def compute(function, shape, *arguments):
    """Call a function with a result of `shape` in place of None; return it and the count."""
    result = np.zeros(shape, np.int32)
    count = function(*(convert(result if one is None else one) for one in arguments))
    return result, count


def check(found, exact, width):
    """Compare words, and the number of those that saturated, with exact words."""
    words, count = found
    np.testing.assert_array_equal(words, saturate(exact, width))
    assert count == np.count_nonzero(saturate(exact, width) != exact)


def elements(shape, *others):
    """Arguments for the elements of a result, and of arrays that are broadcast to its shape."""
    strides = [np.array(np.broadcast_to(other, shape).strides, np.int64) // other.itemsize
               for other in others]
    return ctypes.c_uint(len(shape)), np.array(shape, np.uint64), *strides


def scalings(*constants, frac, to):
    fixed = fix_constants(*constants, frac=frac, to=to)
    packed = np.empty(fixed.shift.shape, SCALING)
    for name in SCALING.names:
        packed[name] = getattr(fixed, name)
    return packed


INT64, SIZE = ctypes.c_int64, ctypes.c_size_t
NO_LIMITS = INT64(-1 << 62), INT64(1 << 62)


def test_the_table_is_that_of_python(library):
    assert list(library.table().contents) == TABLE.tolist()


@pytest.mark.parametrize("number, operation, fracs", [
    (0, Concat(0), (-64, -9, 0, 12, 64)), (1, Sign(), (0,)),
    (2, HardSwish(), (-64, -3, -1, 0, 9, 32)),
    (3, Tanh(), (-64, -3, 0, 11, 13, 14, 64)), (4, Sigmoid(), (-64, -3, 0, 11, 12, 14, 64))])
def test_functions_of_all_words(library, number, operation, fracs):
    words = np.append(np.arange(-1 << 15, 1 << 15),
                      random_words(np.random.default_rng(number), 1000, 24)).astype(np.int32)
    for frac in fracs:
        for to in (-64, -2, 0, 1, 7, 15, 20, 32):
            if to < 1 and isinstance(operation, Sigmoid) \
                    or to > frac + 20 and isinstance(operation, (Concat, HardSwish)) \
                    or to > 20 and isinstance(operation, Sign):
                continue
            exact = operation.words(words[None].astype(np.int64), fracs=[frac], frac=to)[0]
            check(compute(library.map, words.shape, number, words, None, SIZE(len(words)), frac,
                          to, 16), exact, 16)


@pytest.mark.parametrize("number, operation", [
    (0, Add()), (1, Subtract()), (2, Multiply()), (3, Maximum()), (4, Magnitude())])
@pytest.mark.parametrize("seed", range(10))
def test_pairs_of_words(library, number, operation, seed):
    rng = np.random.default_rng(seed)
    shapes = [((3, 4, 5), (3, 4, 5)), ((3, 4, 5), (3, 1, 1)), ((4, 1), (3, 1, 5))][seed % 3]
    width = int(rng.choice([8, 16, 24]))
    one, other = (random_words(rng, shape, width).astype(np.int32) for shape in shapes)
    fracs = [int(frac) for frac in rng.integers(-12, 13, 2)] if seed < 8 else [64, -64]
    highest = highest_frac(type(operation), fracs)
    exact_of = [tensor[None].astype(np.int64) for tensor in (one, other)]
    shape = operation.shape(*shapes)
    for frac in (highest, min(fracs), -64):
        exact = operation.words(*exact_of, fracs=fracs, frac=frac)[0]
        check(compute(library.combine, shape, *elements(shape, one, other), number, one, other,
                      None, fracs, frac, width), exact, width)


def test_magnitudes_of_near_squares(library):
    one, other, floors = near_squares()
    one, other = one.astype(np.int32), other.astype(np.int32)
    found, _ = compute(library.combine, one.shape, *elements(one.shape, one, other), 4, one,
                       other, None, [0, 0], -1, 32)
    np.testing.assert_array_equal(found, floors + 1 >> 1)


@pytest.mark.parametrize("seed", range(6))
def test_constants(library, seed):
    rng = np.random.default_rng(seed)
    words = random_words(rng, (3, 4, 5), 16).astype(np.int32)
    scale, shift = rng.normal(size=(3, 1, 1)) * 2.0 ** -seed, rng.normal(size=(3, 1, 1))
    frac, to = (int(number) for number in rng.integers(8, 16, 2))
    given = {"fracs": [frac], "frac": to}
    operand = words[None].astype(np.int64)
    by = scalings(scale, shift, frac=frac, to=to)
    check(compute(library.scale, words.shape, *elements(words.shape, words, by), words, by, None,
                  *NO_LIMITS, 16), Affine(scale, shift).words(operand, **given)[0], 16)
    by = scalings(scale, 0.0, frac=frac, to=to)
    check(compute(library.leaky_relu, words.shape, *elements(words.shape, words, by), words, by,
                  None, frac, to, 16), LeakyRelu(scale).words(operand, **given)[0], 16)
    by = scalings(0.2, 0.5, frac=frac, to=to)
    check(compute(library.scale, words.shape, *elements(words.shape, words, by), words, by, None,
                  INT64(0), INT64(fix_limit(1.0, to)), 16),
          HardSigmoid(0.2, 0.5).words(operand, **given)[0], 16)
    check(compute(library.clip, words.shape, words, None, SIZE(words.size), frac, to,
                  INT64(fix_limit(-0.7, to)), INT64(fix_limit(math.inf, to)), 16),
          Clip(-0.7, math.inf).words(operand, **given)[0], 16)


@pytest.mark.parametrize("low, high", [(-8, 7), (0, 15), (-34, 221), (-1 << 23, 1 << 23)])
@pytest.mark.parametrize("frac, to", [(12, 0), (3, 5), (-2, 0), (9, 20), (0, 32)])
def test_integers(library, low, high, frac, to):
    words = random_words(np.random.default_rng(7), (3, 4, 5), 16).astype(np.int32)
    scale = np.array([[[0.3]], [[17.0]], [[700.0]]])
    by = scalings(scale, 0.0, frac=frac, to=0)
    exact = Quantise(scale, low, high).words(words[None].astype(np.int64), fracs=[frac], frac=to)
    check(compute(library.to_integers, words.shape, *elements(words.shape, words, by), words, by,
                  None, to, INT64(low), INT64(high), 16), exact[0], 16)


@pytest.mark.parametrize("options", [
    {"kernel": (2, 2), "stride": (2, 2)},
    {"kernel": (3, 3), "stride": (1, 2), "padding": (1, 1, 2, 1), "uncounted": (1, 0)},
    {"kernel": (3, 2), "stride": (1, 3), "padding": (0, 1, 2, 0)},
    {"kernel": (7, 6), "stride": (1, 1)}])
def test_pooling(library, options):
    words = random_words(np.random.default_rng(9), (3, 7, 6), 16).astype(np.int32)
    operand = words[None].astype(np.int64)
    geometry = {name: value for name, value in options.items() if name != "uncounted"}
    maximum = MaxPool(**geometry)
    found, _ = compute(library.max_pool, maximum.shape(words.shape),
                       pool_of(maximum, words.shape), words, None)
    np.testing.assert_array_equal(found, maximum.words(operand, fracs=[3], frac=3)[0])
    for count in (False, True):
        average = AveragePool(**options, count_padding=count)
        for frac, to in ((3, 3), (3, 9), (9, 3), (64, -64)):
            check(compute(library.average_pool, average.shape(words.shape),
                          pool_of(average, words.shape), words, None, frac, to, 16),
                  average.words(operand, fracs=[frac], frac=to)[0], 16)


@pytest.mark.parametrize("frac, to", [(3, 3), (3, 9), (9, 3), (64, -64), (0, 20)])
def test_means(library, frac, to):
    words = random_words(np.random.default_rng(10), (4, 147), 16).astype(np.int32)
    check(compute(library.mean, 4, words, None, SIZE(4), SIZE(147), frac, to, 16),
          Mean((1,)).words(words[None].astype(np.int64), fracs=[frac], frac=to)[0], 16)


@pytest.mark.parametrize("operation, source, target", [
    (Transpose((2, 0, 1)), lambda x: x.transpose(2, 0, 1), lambda y: y),
    (Slice(1, 1, 4, 2), lambda x: x[:, 1:4:2], lambda y: y),
    (Reverse(1), lambda x: x[:, ::-1], lambda y: y),
    (Pad((1, 0, 2), (0, 0, 1)), lambda x: x, lambda y: y[1:, :, 2:-1])])
def test_words_are_moved(library, operation, source, target):
    words = random_words(np.random.default_rng(11), (3, 4, 5), 16).astype(np.int32)
    expected = operation.words(words[None], fracs=[3], frac=3)[0]
    found = np.zeros(expected.shape, np.int32)
    one, other = source(words), target(found)
    library.move(*map(convert, (*elements(one.shape, one, other), one, other)))
    np.testing.assert_array_equal(found, expected)
