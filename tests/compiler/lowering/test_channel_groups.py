"""`eie_compiler.lowering.channel_groups`: groups of channels, and their places in PEs."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.lowering.channel_groups import (
    ChannelGroups,
    find_groups,
    follow_groups,
    place_groups,
)
from eie_hdl.config import EIEConfig


def groups_of(n_sources, n_results, weights):
    """Groups of these numbers of channels of either map, and weights."""
    numbers = np.arange(len(weights))
    return ChannelGroups(np.repeat(numbers, n_sources), np.repeat(numbers, n_results),
                         np.array(weights))


def place(config, groups, mapping):
    """Place groups of a source that no layer computes."""
    return place_groups(config, groups, mapping, before=np.zeros(len(groups.sources), np.int64))


def test_channels_are_in_a_group_if_weights_connect_them():
    codes = np.zeros((5, 4, 2), np.uint8)    # results, channels, taps
    codes[0, 2, 1] = codes[3, 2, 0] = codes[3, 0, 0] = 1
    codes[4, 1, 0] = codes[4, 1, 1] = 2
    sources, results, weights = find_groups(csc_array(codes.reshape(5, 8)), 2)
    assert sources.tolist() == [0, 1, 0, 2]
    assert results.tolist() == [0, 3, 4, 0, 1]
    assert weights.tolist() == [3, 2, 0, 0, 0]


def test_channels_of_a_dense_convolution_are_one_group():
    assert len(find_groups(csc_array(np.ones((3, 4), np.uint8)), 2).weights) == 1


@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
@pytest.mark.parametrize("seed", range(10))
def test_channels_of_a_group_are_in_one_pe(seed, mapping):
    rng = np.random.default_rng(seed)
    n_pe, n_groups, n_taps = 1 << int(rng.integers(5)), int(rng.integers(1, 30)), 3
    sizes = rng.integers(1, 4, (2, n_groups))
    of_result, of_source = (np.repeat(np.arange(n_groups), each) for each in sizes)
    for channels in (of_result, of_source):
        rng.shuffle(channels)
    codes = (of_result[:, np.newaxis] == np.repeat(of_source, n_taps)) \
        & (rng.random((len(of_result), len(of_source) * n_taps)) < 0.5)
    groups = find_groups(csc_array(codes.astype(np.uint8)), n_taps)
    sources, results = place(EIEConfig(n_pe=n_pe), groups, mapping)
    row, column = np.nonzero(codes)
    assert (results[row] % n_pe == sources[column // n_taps] % n_pe).all()
    for places in (sources, results):
        slot, pe = np.divmod(places, n_pe)
        # In each PE, from slot 0 without a gap, and in the order of the channels.
        for number in range(n_pe):
            assert slot[pe == number].tolist() == list(range(np.count_nonzero(pe == number)))


def test_interleaved_groups_are_in_successive_pes():
    groups = groups_of([1, 2, 1, 1], [2, 1, 1, 1], [9, 9, 9, 9])
    sources, results = place(EIEConfig(n_pe=2), groups, "interleaved")
    assert sources.tolist() == [0, 1, 3, 2, 5]
    assert results.tolist() == [0, 2, 1, 4, 3]


@pytest.mark.parametrize("seed", range(5))
def test_balanced_groups_share_weights_in_the_fewest_slots(seed):
    weights = np.random.default_rng(seed).integers(1, 10, 40)
    fullest = {}
    for mapping in ("balanced", "interleaved"):
        sources, results = place(EIEConfig(n_pe=8), groups_of(1, 2, weights), mapping)
        assert sources.max() // 8 == 4 and results.max() // 8 == 9
        fullest[mapping] = np.bincount(sources % 8, weights).max()
    assert fullest["balanced"] <= -(-weights.sum() // 8) + 1
    assert fullest["balanced"] < fullest["interleaved"]


def test_single_channels_fill_the_slots_that_groups_leave():
    # 60 pairs leave room for one channel in four of 16 PEs, in either map.
    sizes = np.array([(1, 1)] * 60 + [(1, 0)] * 4 + [(0, 1)] * 4)
    sources, results = place(
        EIEConfig(n_pe=16), groups_of(*sizes.T, [7] * 60 + [0] * 8), "balanced")
    assert sources.max() < 64 and results.max() < 64


def test_a_large_group_makes_room_for_others():
    groups = groups_of([3, 1, 1, 1], [3, 1, 1, 1], [1, 5, 5, 5])
    sources, results = place(EIEConfig(n_pe=2), groups, "balanced")
    assert sources.tolist() == results.tolist() == [0, 2, 4, 1, 3, 5]


def test_work_of_the_layer_before_is_balanced_too():
    groups = groups_of(1, 1, [1] * 8)
    before = np.array([9, 9, 9, 9, 1, 1, 1, 1])
    sources, results = place_groups(EIEConfig(n_pe=4), groups, "balanced", before=before)
    assert sources.tolist() == results.tolist()
    assert np.bincount(sources % 4, before).tolist() == [10] * 4


def test_results_follow_the_channels_of_their_group():
    groups = groups_of([2, 1, 0, 1], [1, 2, 1, 1], [4, 4, 0, 4])
    config = EIEConfig(n_pe=4)
    # Groups in PEs 3, 1, and 3; a row without weights may be anywhere, here in PE 2.
    sources, results = follow_groups(config, groups, np.array([3, 7, 1, 11]))
    assert sources.tolist() == [3, 7, 1, 11]
    assert results.tolist() == [3, 1, 5, 2, 7]
    assert follow_groups(config, groups, np.array([3, 6, 1, 11])) is None
