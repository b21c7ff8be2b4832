"""`eie_compiler.lowering.stages`: layers with the geometry of their maps."""

import dataclasses

import numpy as np

from eie_compiler.lowering.dead_rows import LiveNetwork
from eie_compiler.lowering.fixed_point import choose_formats
from eie_compiler.lowering.stages import list_stages
from eie_compiler.patches import Patches
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig

CONFIG = EIEConfig(n_pe=4, loops=True)


def test_layers_after_a_convolution_are_of_its_pixels():
    patches = Patches((3, 6, 9), kernel=(3, 2), stride=(1, 2), loop=2)
    network = random_network(np.random.default_rng(1), [patches.n_inputs, 5, 4], density=0.5,
                             v_width=4, frac=6)
    network = dataclasses.replace(network, patches=patches)
    live = LiveNetwork.whole(network, choose_formats(CONFIG, network))
    first, second = list_stages(live, patches)
    assert first.patches == patches and first.n_taps == 6
    assert second.patches == Patches((5, 4, 4), loop=2) and second.n_taps == 1
    assert [first.layer, second.layer] == list(network.layers)
    assert [first.chosen, second.chosen] == live.formats
