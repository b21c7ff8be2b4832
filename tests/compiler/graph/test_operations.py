import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.graph import operations
from eie_compiler.graph.operation import Operation
from eie_compiler.graph.operations import OPERATIONS, Quantise, Sigmoid
from support.operations import CASES, random_words


def values(operation):
    return {field.name: getattr(operation, field.name) for field in dataclasses.fields(operation)}


def test_all_operations_are_listed():
    assert {type(operation) for operation, _ in CASES} == set(OPERATIONS.values())
    assert {name for name in operations.__all__ if name.istitle() or name != name.upper()} \
        == set(OPERATIONS)
    assert all(issubclass(one, Operation) and one.__name__ == name
               for name, one in OPERATIONS.items())


@pytest.mark.parametrize("operation, shapes", CASES, ids=lambda case: type(case).__name__)
def test_an_operation_is_defined_by_its_fields(operation, shapes):
    fields = values(operation)
    assert all(isinstance(value, (int, float, str, tuple, np.ndarray)) for value in fields.values())
    same = OPERATIONS[type(operation).__name__](**fields)
    x = [np.random.default_rng(1).normal(size=(2, *shape)) for shape in shapes]
    np.testing.assert_array_equal(same.real(*x), operation.real(*x))
    if fields:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(operation, next(iter(fields)), 0)


#: Fraction bits of the operands and of the result.
FORMATS = [(12, 11), (9, 14), (3, -2), (-2, 3)]


@pytest.mark.parametrize("fine, coarse", FORMATS)
@pytest.mark.parametrize("operation, shapes", CASES, ids=lambda case: type(case).__name__)
def test_words_are_those_of_the_real_numbers(operation, shapes, fine, coarse):
    rng = np.random.default_rng(2)
    frac = fine if operation.keeps_format else coarse
    if isinstance(operation, Sigmoid):    # refuses coarser ones
        frac = max(frac, 1)
    if isinstance(operation, Quantise):
        frac = max(frac, 0)
    fracs = [fine - (at and not operation.keeps_format) for at in range(len(shapes))]
    words = [random_words(rng, (50, *shape), 16) for shape in shapes]
    tensors = [word * 2.0 ** -frac for word, frac in zip(words, fracs)]
    found = operation.words(*words, fracs=fracs, frac=frac)
    real = operation.real(*tensors)
    assert found.dtype == np.int64
    assert found.shape == real.shape == (50, *operation.shape(*shapes))
    errors = np.abs(found * 2.0 ** -frac - real)
    bounds = np.broadcast_to(operation.rounding(*tensors, fracs=fracs, frac=frac), errors.shape)
    assert (errors <= bounds).all()
    # Where words are rounded, the bound is no empty one. Integers differ near halves alone.
    assert errors.max() >= 0.3 * bounds.max() or frac >= max(fracs) \
        or isinstance(operation, Quantise)


@pytest.mark.parametrize("operation, shapes", CASES, ids=lambda case: type(case).__name__)
def test_intervals_enclose_all_results_and_hardly_more(operation, shapes):
    rng = np.random.default_rng(4)
    centres = [rng.normal(size=(40, *shape)) for shape in shapes]
    radii = [np.abs(rng.normal(size=centre.shape)) for centre in centres]
    least, greatest = operation.enclose(*((centre - radius, centre + radius)
                                          for centre, radius in zip(centres, radii)))
    found = np.array([operation.real(*(
        centre + radius * np.clip(1.2 * rng.uniform(-1, 1, centre.shape), -1, 1)
        for centre, radius in zip(centres, radii))) for _ in range(400)])
    assert (least <= found + 1e-12).all() and (found - 1e-12 <= greatest).all()
    reached = found.max(axis=0) - found.min(axis=0), greatest - least
    assert reached[0].mean() > 0.4 * reached[1].mean()


@pytest.mark.parametrize("operation, shapes", CASES, ids=lambda case: type(case).__name__)
def test_results_are_never_negative_where_that_is_claimed(operation, shapes):
    rng = np.random.default_rng(3)
    for positive in np.ndindex((2,) * len(shapes)):
        words = [np.abs(word) if one else word for one, word in
                 zip(positive, (random_words(rng, (9, *shape), 16) for shape in shapes))]
        if operation.is_nonnegative(*map(bool, positive)):
            assert operation.words(*words, fracs=[9] * len(shapes), frac=9).min() >= 0


def test_the_page_of_the_operations_has_each():
    page = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`([A-Z]\w+)\(", page)) == set(OPERATIONS)


def test_words_of_an_empty_batch():
    for operation, shapes in CASES:
        words = [np.zeros((0, *shape), np.int64) for shape in shapes]
        assert operation.words(*words, fracs=[3] * len(shapes), frac=3).shape \
            == (0, *operation.shape(*shapes))
