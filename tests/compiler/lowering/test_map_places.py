"""`eie_compiler.lowering.map_places`: places of channels, and layers in local mode."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.lowering.convolution import channel_pitch
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
        pitch = channel_pitch(config, n_channels, strip)
        places = place_channels(config, weights, pitch, mapping)
        assert len(set(places)) == n_channels
        assert pitch == next(q for q in range(n_channels, 999) if q * strip % n_pe == 0)
        assert 0 <= places.min() <= places.max() < pitch
        pes = (np.arange(strip)[:, np.newaxis] * pitch + places) % n_pe
        found[mapping] = np.bincount(pes.ravel(), np.tile(weights, strip), n_pe).max()
    assert found["balanced"] <= found["interleaved"]
    assert places.tolist() == list(range(n_channels))


def make_stage(matrix, *sources, strip=2):
    """Stage whose layer has these codes of one tap: results × channels."""
    codes = csc_array(np.asarray(matrix, np.uint8))
    layer = Layer(f"layer{codes.shape}", codes, np.array([0, 0.5] + 14 * [0.0]),
                  np.zeros(codes.shape[0]), relu=False, output_frac=8)
    return Stage(layer, choose_format(MACHINE, layer, 8, (-128, 127)),
                 Patches((codes.shape[1] // len(sources), 4, 4), loop=strip), sources)


def eye(n, *sources):
    """Stage of which each channel of the result reads its own."""
    return make_stage(np.hstack([np.eye(n)] * len(sources)), *sources)


def test_maps_around_a_local_layer_fill_whole_slots():
    stages = [make_stage(np.ones((12, 3)), 0), eye(12, 1), make_stage(np.ones((4, 12)), 2)]
    broadcast = place_maps(MACHINE, stages, "balanced", local=False)
    assert broadcast.local == [False] * 3
    assert broadcast.pitches == [3, 12, 12, 4]
    maps = place_maps(MACHINE, stages, "balanced", local=True)
    assert maps.local == [False, True, False]
    assert maps.pitches == [3, 16, 16, 4]
    assert [len(places) for places in maps.places] == [3, 12, 12, 4]


def assert_together(stage, places, result):
    """Check that all channels that weights connect are in one PE."""
    n = len(places[stage.sources[0]])
    rows, columns = stage.layer.codes.nonzero()
    for row, column in zip(rows, columns):
        source = places[stage.sources[column // n]][column % n]
        assert source % MACHINE.n_pe == places[result][row] % MACHINE.n_pe


@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
def test_layers_in_a_row_are_local_if_their_channels_can_be_together(mapping):
    pairs = np.kron(np.eye(8), np.ones((2, 2)))
    for second, is_local in ((np.eye(16), True), (pairs, True),
                             (np.roll(np.kron(np.eye(2), np.ones((8, 8))), 1, axis=1), False)):
        # Pairs of channels are in a PE. A second layer that connects all pairs is not local.
        stages = [make_stage(pairs, 0), make_stage(second, 1)]
        maps = place_maps(MACHINE, stages, mapping, local=True)
        assert maps.local == [True, is_local]
        for number, stage in enumerate(stages, 1):
            if maps.local[number - 1]:
                assert_together(stage, maps.places, number)


def test_maps_that_are_added_have_their_channels_in_the_same_pes():
    # A residual block: both addends are results of dense layers.
    stages = [make_stage(np.ones((12, 3)), 0), make_stage(np.ones((12, 12)), 1), eye(12, 2, 1),
              make_stage(np.ones((5, 24)), 3, 2)]
    maps = place_maps(MACHINE, stages, "balanced", local=True)
    assert maps.local == [False, False, True, False]
    assert_together(stages[2], maps.places, 3)
    assert maps.pitches[1:4] == [16] * 3
    # Without local mode, they only have the same columns of a pixel.
    maps = place_maps(MACHINE, [make_stage(np.ones((13, 3)), 0, strip=2),
                                make_stage(np.ones((15, 13)), 1, strip=1),
                                make_stage(np.ones((2, 28)), 1, 2, strip=4)], "balanced",
                      local=False)
    assert maps.pitches == [3, 16, 16, 2]


def test_maps_can_be_kept_from_growing():
    stages = [make_stage(np.ones((12, 3)), 0), eye(12, 1), make_stage(np.ones((16, 12)), 2),
              eye(16, 3)]
    maps = place_maps(MACHINE, stages, "balanced", local=True)
    assert maps.local == [False, True, False, True] and maps.pitches == [3, 16, 16, 16, 16]
    maps = place_maps(MACHINE, stages, "balanced", local=True, packed=True)
    assert maps.local == [False, False, False, True] and maps.pitches == [3, 12, 12, 16, 16]


def test_work_of_the_layer_before_is_balanced_where_its_result_is_local():
    dense = np.zeros((16, 20))
    dense[:4] = 1    # four rows have all weights
    stages = [make_stage(dense, 0), eye(16, 1)]
    maps = place_maps(MACHINE, stages, "balanced", local=True)
    assert maps.local == [False, True]
    assert np.bincount(maps.places[1][:4] % 8, minlength=8).max() == 1


def test_a_layer_is_not_local_if_the_layer_before_would_be_slower():
    """Twelve channels are in eight PEs, of which four have two, and the work of two rows before."""
    for weights, is_local in ((500, False), (2, True)):
        before = make_stage(np.ones((12, weights)), 0)
        maps = place_maps(MACHINE, [before, eye(12, 1)], "balanced", local=True)
        assert maps.local == [False, is_local]
