import numpy as np
import pytest

from eie_compiler.lowering.row_mapping import balanced, interleaved, n_slots
from eie_hdl.config import EIEConfig


def work_per_tile(config, weights, columns):
    """Sum the work of each PE in each tile."""
    slot, pe = np.divmod(columns, config.n_pe)
    work = np.zeros((slot.max() // config.acc_depth + 1, config.n_pe), np.int64)
    np.add.at(work, (slot // config.acc_depth, pe), weights)
    return work


def test_interleaved_is_row_modulo_pes():
    columns = interleaved(EIEConfig(n_pe=4), np.zeros(10, np.int64))
    assert (columns % 4).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert (columns // 4).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5, 63, 64, 65, 200])
@pytest.mark.parametrize("n_pe, acc_depth", [(1, 4), (4, 16), (16, 64), (64, 4)])
def test_balanced_puts_every_row_into_a_slot_of_its_own_and_takes_no_more(n_rows, n_pe, acc_depth):
    rng = np.random.default_rng(n_rows)
    weights = rng.geometric(0.05, n_rows)
    columns = balanced(EIEConfig(n_pe=n_pe, acc_depth=acc_depth), weights)
    assert len(set(columns.tolist())) == n_rows
    assert columns.min() >= 0
    assert columns.max() // n_pe + 1 == n_slots(n_rows, n_pe)


def test_balanced_gives_pes_the_same_work_in_every_tile():
    rng = np.random.default_rng(1)
    config = EIEConfig(n_pe=16, acc_depth=16)
    weights = rng.integers(50, 500, 1000)
    work = work_per_tile(config, weights, balanced(config, weights))
    assert work.shape == (4, 16)
    assert (work.max(axis=1) < 1.02 * work.mean(axis=1)).all()
    in_order = work_per_tile(config, weights, interleaved(config, weights))
    assert (in_order.max(axis=1) > 1.1 * in_order.mean(axis=1)).all()


def test_balanced_gives_every_tile_its_share_of_heavy_rows():
    config = EIEConfig(n_pe=16, acc_depth=16)
    weights = np.random.default_rng(6).integers(1, 1000, 300)
    columns = balanced(config, weights)
    first = columns < 16 * 16
    assert np.count_nonzero(first) == 256
    for tile in (weights[first], weights[~first]):
        assert abs(tile.mean() / weights.mean() - 1) < 0.02


def test_balanced_gives_the_heaviest_row_to_the_pe_with_the_fewest_rows():
    config = EIEConfig(n_pe=2, acc_depth=4)
    weights = np.array([1, 1, 1, 1, 1, 9, 1])
    columns = balanced(config, weights)
    pe = columns % 2
    assert np.bincount(pe).tolist() in ([3, 4], [4, 3])
    assert np.count_nonzero(pe == pe[5]) == 3


@pytest.mark.parametrize("n_rows, bound", [(1000, 1.01), (600, 1.03), (2400, 1.001)])
def test_balanced_gives_the_pes_with_one_row_more_light_ones(n_rows, bound):
    """Heaviest-first assignment alone would leave an excess of about half a row."""
    config = EIEConfig(n_pe=64, acc_depth=64)
    weights = np.random.default_rng(n_rows).binomial(4096, 0.1, n_rows)
    columns = balanced(config, weights)
    n_rows_of_pe = np.bincount(columns % 64, minlength=64)
    assert n_rows_of_pe.max() == n_rows_of_pe.min() + 1
    (work,) = work_per_tile(config, weights, columns)
    assert work.max() < bound * work.mean()
    mean_row = work / n_rows_of_pe
    assert mean_row[n_rows_of_pe.argmax()] < mean_row[n_rows_of_pe.argmin()]


def test_balanced_does_not_depend_on_anything_but_the_weights():
    weights = np.random.default_rng(2).integers(0, 5, 500)    # many ties
    config = EIEConfig(n_pe=8)
    np.testing.assert_array_equal(balanced(config, weights), balanced(config, weights.copy()))


def test_rows_of_a_pe_stay_in_order_within_a_tile():
    config = EIEConfig(n_pe=4, acc_depth=16)
    columns = balanced(config, np.random.default_rng(4).integers(0, 99, 60))
    for pe in range(4):
        slots = columns[columns % 4 == pe] // 4
        assert (np.diff(slots) > 0).all()
