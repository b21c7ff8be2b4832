"""`eie_compiler.lowering.channel_groups`: groups of channels, and their places in PEs."""

import numpy as np
import pytest

from eie_compiler.lowering.channel_groups import ChannelGroups, find_groups, place_groups
from eie_hdl.config import EIEConfig


def groups_of(n_sources, n_results, weights):
    """Groups of these numbers of channels of either map, and weights."""
    numbers = np.arange(len(weights))
    return ChannelGroups({0: np.repeat(numbers, n_sources), 1: np.repeat(numbers, n_results)},
                         np.array(weights))


def find(links, *sizes):
    """Groups of maps of these numbers of channels, of which each has one weight."""
    return find_groups({pair: tuple(map(np.array, channels)) for pair, channels in links.items()},
                       {number: np.ones(size, np.int64) for number, size in enumerate(sizes)})


def test_channels_are_in_a_group_if_weights_connect_them():
    groups = find({(0, 1): ([2, 2, 0, 1], [0, 3, 3, 4])}, 4, 5)
    assert groups.groups[0].tolist() == [0, 1, 0, 2]
    assert groups.groups[1].tolist() == [0, 3, 4, 0, 1]
    assert groups.weights.tolist() == [4, 2, 1, 1, 1]


def test_groups_reach_over_several_maps():
    # Two layers, and one that reads the first map and the third together.
    groups = find({(0, 1): ([0, 1], [1, 0]), (1, 2): ([0], [2]), (0, 3): ([0], [0]),
                   (2, 3): ([2, 0], [0, 1])}, 2, 2, 3, 2)
    assert {number: found.tolist() for number, found in groups.groups.items()} == {
        0: [0, 0], 1: [0, 0], 2: [1, 2, 0], 3: [0, 1]}
    assert groups.weights.tolist() == [6, 2, 1]


def test_channels_of_a_dense_convolution_are_one_group():
    rows, columns = np.divmod(np.arange(12), 4)
    assert len(find({(0, 1): (columns, rows)}, 4, 3).weights) == 1


@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
@pytest.mark.parametrize("seed", range(10))
def test_channels_of_a_group_are_in_one_pe(seed, mapping):
    rng = np.random.default_rng(seed)
    n_pe, n_groups, n_maps = 1 << int(rng.integers(5)), int(rng.integers(1, 30)), 3
    maps = [np.repeat(np.arange(n_groups), rng.integers(1, 4, n_groups)) for _ in range(n_maps)]
    for channels in maps:
        rng.shuffle(channels)
    links = {(one, other): tuple(np.nonzero(
        (maps[one][:, np.newaxis] == maps[other]) & (rng.random((len(maps[one]), len(maps[other])))
                                                     < 0.6)))
             for one in range(n_maps) for other in range(one + 1, n_maps)}
    groups = find(links, *map(len, maps))
    places = place_groups(EIEConfig(n_pe=n_pe), groups, mapping)
    for (one, other), (sources, results) in links.items():
        assert (places[one][sources] % n_pe == places[other][results] % n_pe).all()
    for each in places.values():
        slot, pe = np.divmod(each, n_pe)
        # In each PE, from slot 0 without a gap, and in the order of the channels.
        for number in range(n_pe):
            assert slot[pe == number].tolist() == list(range(np.count_nonzero(pe == number)))


def test_interleaved_groups_are_in_successive_pes():
    groups = groups_of([1, 2, 1, 1], [2, 1, 1, 1], [9, 9, 9, 9])
    sources, results = place_groups(EIEConfig(n_pe=2), groups, "interleaved").values()
    assert sources.tolist() == [0, 1, 3, 2, 5]
    assert results.tolist() == [0, 2, 1, 4, 3]


@pytest.mark.parametrize("seed", range(5))
def test_balanced_groups_share_weights_in_the_fewest_slots(seed):
    weights = np.random.default_rng(seed).integers(1, 10, 40)
    fullest = {}
    for mapping in ("balanced", "interleaved"):
        sources, results = place_groups(EIEConfig(n_pe=8), groups_of(1, 2, weights),
                                        mapping).values()
        assert sources.max() // 8 == 4 and results.max() // 8 == 9
        fullest[mapping] = np.bincount(sources % 8, weights).max()
    assert fullest["balanced"] <= -(-weights.sum() // 8) + 1
    assert fullest["balanced"] < fullest["interleaved"]


def test_single_channels_fill_the_slots_that_groups_leave():
    # 60 pairs leave room for one channel in four of 16 PEs, in either map.
    sizes = np.array([(1, 1)] * 60 + [(1, 0)] * 4 + [(0, 1)] * 4)
    sources, results = place_groups(
        EIEConfig(n_pe=16), groups_of(*sizes.T, [7] * 60 + [0] * 8), "balanced").values()
    assert sources.max() < 64 and results.max() < 64


def test_a_large_group_makes_room_for_others():
    groups = groups_of([3, 1, 1, 1], [3, 1, 1, 1], [1, 5, 5, 5])
    sources, results = place_groups(EIEConfig(n_pe=2), groups, "balanced").values()
    assert sources.tolist() == results.tolist() == [0, 2, 4, 1, 3, 5]
