"""`eie_compiler.lowering.loop_cycles`: estimates of loops in either mode."""

import dataclasses

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.lowering.lower import lower_network
from eie_compiler.patches import Patches
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH
from support.graphs import SAME_SIZE, grouped

CONFIG = EIEConfig(n_pe=4, spmat_depth=1 << 12, ptr_depth=1 << 12, act_depth=1 << 12, loops=True,
                   local=True)


def lower(config, rows=(16,), n_taps=9):
    """Strips of two pixels of a convolution of 8 groups of a channel, with all weights of taps."""
    patches = Patches((8, 4, 6), **SAME_SIZE, loop=2)
    network = random_network(np.random.default_rng(1), [patches.n_inputs, *rows], density=1, frac=6)
    first, *others = grouped(network, 8).layers
    codes = first.codes.toarray()
    codes[:, np.arange(patches.n_inputs) % 9 >= n_taps] = 0
    layers = (dataclasses.replace(first, codes=csc_array(codes)), *others)
    return lower_network(dataclasses.replace(network, layers=layers, patches=patches), config)


@pytest.mark.parametrize("config, n_taps, of_strip", [
    # 3 · 4 pixels of 8 channels are broadcast, half of them.
    (dataclasses.replace(CONFIG, local=False), 9, 3 * 4 * 8 / 2 + 3),
    # A PE has 2 · 4 rows of a strip, with 9 weights each.
    (CONFIG, 9, 2 * 4 * 9 / 2 + 2 * 4),
    # With a weight each, it takes longer to find the activations of two channels.
    (CONFIG, 1, 3 * 4 * 2 / 2 + 3)])
def test_a_strip_needs_the_most_of_activations_and_entries(config, n_taps, of_strip):
    lowered = lower(config, n_taps=n_taps)
    assert lowered.convolutions[0].local == config.local
    # The result has 4 · 6 pixels.
    assert lowered.loop_cycles == 12 * (5 + of_strip) + 12 * config.n_levels


def test_layers_follow_one_another():
    both, first = lower(CONFIG, (16, 4)), lower(CONFIG)
    # Two pixels of 16 channels are broadcast; a PE has a row of each.
    assert both.loop_cycles - first.loop_cycles \
        == 12 * (5 + max(2 * 16 / 2 + 1, 2 * 16 / 2 + 2)) + 12 * CONFIG.n_levels


def test_results_that_take_longer_to_send_are_not_computed_in_local_mode():
    config = dataclasses.replace(CONFIG, n_pe=64)
    lowered = lower(config)
    # The 16 channels would be in two slots of 8 of 64 PEs.
    assert lowered.loop_cycles < 24 * 2 * 64 * config.act_width / BEAT_WIDTH
    assert not lowered.convolutions[0].local
