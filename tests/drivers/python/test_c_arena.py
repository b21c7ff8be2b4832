"""Places of tensors in an arena: none overlap while they live."""

import random

import pytest

from eie_driver.c_arena import ALWAYS, Tensor, join, place


def lives_with(one, other):
    return one.first <= other.last and other.first <= one.last


@pytest.mark.parametrize("seed", range(20))
def test_tensors_that_live_at_the_same_time_do_not_overlap(seed):
    rng = random.Random(seed)
    tensors = []
    for _ in range(30):
        first = rng.randrange(20)
        tensors.append(Tensor(rng.randrange(1, 50), first, rng.choice(
            [first, first + 1, first + rng.randrange(10), ALWAYS])))
    n_words = place(tensors)
    for at, one in enumerate(tensors):
        assert 0 <= one.place <= n_words - one.size
        for other in tensors[:at]:
            assert not lives_with(one, other) or one.place + one.size <= other.place \
                or other.place + other.size <= one.place
    greatest = max(sum(tensor.size for tensor in tensors if tensor.first <= at <= tensor.last)
                   for at in range(40))
    assert greatest <= n_words <= sum(tensor.size for tensor in tensors)


def test_tensors_that_follow_one_another_share_their_words():
    tensors = [Tensor(10, 0, 1), Tensor(10, 2, 3), Tensor(5, 4, 4)]
    assert place(tensors) == 10


def test_a_result_has_the_words_of_an_operand_that_is_read_last_by_its_step():
    operand, result = Tensor(8, 0, 3), Tensor(8, 3, 5)
    join(operand, result, 3)
    other = Tensor(8, 4, 6)
    assert place([operand, result, other]) == 16
    assert result.place == operand.place != other.place


@pytest.mark.parametrize(("operand", "result"), [
    (Tensor(8, 0, 4), Tensor(8, 3, 5)),     # read later, too
    (Tensor(8, 0, 3), Tensor(8, 2, 5)),     # written before
    (Tensor(9, 0, 3), Tensor(8, 3, 5)),     # of another size
], ids=["read", "written", "size"])
def test_other_results_have_words_of_their_own(operand, result):
    join(operand, result, 3)
    assert place([operand, result]) == operand.size + result.size


def test_a_chain_of_results_shares_the_words_of_the_first():
    tensors = [Tensor(8, at, at + 1) for at in range(5)]
    for at, (operand, result) in enumerate(zip(tensors, tensors[1:]), 1):
        join(operand, result, at)
    assert place(tensors) == 8
