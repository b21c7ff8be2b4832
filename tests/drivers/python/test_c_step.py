"""Steps of the C driver: their initialisers, and the parts of tensors that they name."""

import math

from eie_driver.c_arena import Tensor
from eie_driver.c_step import Operand, Step, copy


def operand(place, shape, frac=0):
    return Operand(Tensor(math.prod(shape), 0, 0, place), shape, frac)


def test_a_step_names_the_places_and_formats_of_its_tensors():
    one, other = operand(10, (2, 3), 4), operand(30, (2, 3), 5)
    step = Step("sum", ".scale = {scalings}", [one, one.part(3)], other.part(1).part(1))
    assert step.text("table") == (
        "{eie_run_sum, {10, 13}, 32, {4, 4}, 5, {.scale = table}}")
    assert step.tensors == [one.tensor, one.tensor, other.tensor]
    assert Step("loop", "3").text("") == "{eie_run_loop, {0}, 0, {0}, 0, {3}}"


def test_a_copy_moves_by_words_in_each_iteration():
    step = copy(operand(0, (4,)), operand(4, (4,)), (4,), [(1,), (1,)], advance=(2, 3), loop=1)
    assert step.text("").endswith("{2, 3}, 1}}}")
