"""`eie_compiler.lowering.map_places`: places of channels, and layers in local mode."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.lowering.fixed_point import choose_format
from eie_compiler.lowering.map_places import place_channels, place_maps
from eie_compiler.lowering.stages import Stage
from eie_compiler.network import Layer
from eie_compiler.patches import Patches
from eie_hdl.config import EIEConfig

MACHINE = EIEConfig(n_pe=8, loops=True, local=True)


@pytest.mark.parametrize("n_pe, n_channels, strip", [
    (16, 40, 1), (16, 6, 8), (64, 40, 2), (64, 10, 4), (4, 7, 3)])
def test_channels_are_placed_to_balance_the_strip(n_pe, n_channels, strip):
    config = EIEConfig(n_pe=n_pe)
    weights = np.random.default_rng(1).integers(0, 40, n_channels)
    found = {}
    for mapping in ("balanced", "interleaved"):
        places = place_channels(config, weights, strip, mapping)
        assert len(set(places)) == n_channels
        pitch = next(q for q in range(n_channels, 999) if q * strip % n_pe == 0)
        assert 0 <= places.min() <= places.max() < pitch
        pes = (np.arange(strip)[:, np.newaxis] * pitch + places) % n_pe
        found[mapping] = np.bincount(pes.ravel(), np.tile(weights, strip), n_pe).max()
    assert found["balanced"] <= found["interleaved"]
    assert places.tolist() == list(range(n_channels))


def make_stage(matrix, strip=2):
    """Stage whose layer has these codes of one tap: results × channels."""
    codes = csc_array(np.asarray(matrix, np.uint8))
    layer = Layer(f"layer{codes.shape}", codes, np.array([0, 0.5] + 14 * [0.0]),
                  np.zeros(codes.shape[0]), relu=False, output_frac=8)
    return Stage(layer, choose_format(MACHINE, layer, 8, (-128, 127)),
                 Patches((codes.shape[1], 4, 4), loop=strip))


def test_maps_around_a_local_layer_fill_whole_slots():
    dense, each = make_stage(np.ones((12, 3))), make_stage(np.eye(12))
    stages = [dense, each, make_stage(np.ones((4, 12)))]
    broadcast = place_maps(MACHINE, stages, "balanced", local=False)
    assert broadcast.local == [False] * 3
    assert broadcast.pitches == [3, 12, 12, 4]
    maps = place_maps(MACHINE, stages, "balanced", local=True)
    assert maps.local == [False, True, False]
    assert maps.pitches == [3, 16, 16, 4]
    assert [len(places) for places in maps.places] == [3, 12, 12, 4]


def test_a_layer_after_a_local_one_is_local_where_its_channels_are_together():
    each, pairs = np.eye(16), np.kron(np.eye(8), np.ones((2, 2)))
    for second, is_local in ((each, True), (pairs, True), (pairs[:, ::2].repeat(2, 1), True),
                             (np.roll(pairs, 1, axis=1), False)):
        # Pairs of channels are in a PE, those of the last matrix in two.
        stages = [make_stage(pairs), make_stage(second)]
        maps = place_maps(MACHINE, stages, "interleaved", local=True)
        assert maps.local == [True, is_local]
        for stage, sources, results in zip(stages, maps.places, maps.places[1:]):
            rows, columns = stage.layer.codes.nonzero()
            is_same = results[rows] % 8 == sources[columns] % 8
            assert is_same.all() or stage is stages[1] and not is_local


def test_work_of_the_layer_before_is_balanced_where_its_result_is_local():
    dense = np.zeros((16, 20))
    dense[:4] = 1    # four rows have all weights
    maps = place_maps(MACHINE, [make_stage(dense), make_stage(np.eye(16))], "balanced", local=True)
    assert np.bincount(maps.places[1][:4] % 8, minlength=8).max() == 1
