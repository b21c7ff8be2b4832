"""`eie_compiler.lowering.program`: descriptors of compiled networks."""

import dataclasses

import numpy as np

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack

ROOMY = EIEConfig(n_pe=4, act_depth=1 << 12, ptr_depth=1 << 14, spmat_depth=1 << 12)


def network_of(sizes, seed=21, **options):
    return random_network(np.random.default_rng(seed), sizes, **options)


def program_of(build):
    return unpack(Layouts.of(build.config).descriptor, build.images["ccu.program"])


def test_a_layer_with_more_rows_than_accumulators_is_several_tiles():
    config = EIEConfig(n_pe=4, acc_depth=8)
    build = compile_network(network_of([10, 70, 5]), config, outputs="all")
    program = program_of(build)
    # 70 rows are 18 slots: tiles of 8, 8 and 2; then an output, the next layer, an output.
    assert program["start"]["send"].tolist() == [0, 0, 0, 1, 0, 1]
    assert program["barrier"].tolist() == [1, 0, 0, 1, 1, 1]
    assert program["final"].tolist() == [0, 0, 0, 0, 0, 1]
    assert program["end"]["last_word"].tolist()[:3] == [1, 1, 0]
    assert np.diff(program["end"]["destination"][:3]).tolist() == [2, 2]
    assert np.diff(program["end"]["bias"][:3]).tolist() == [2, 2]
    assert program["ptr_base"].tolist() == [0, 12, 24, 0, 36, 0]    # 10 inputs are 3 slots of 4
    assert program["start"]["source"][3] == program["end"]["destination"][0]
    assert program["start"]["last_word"].tolist() == [0, 0, 0, 4, 4, 0]
    # The last of 70 elements is lane 1 of row 4 of PE 1; the last of 5, lane 1 of row 0 of PE 0.
    assert program["start"]["last_lane"].tolist() == [0, 0, 0, 1, 0, 1]
    assert program["start"]["last_pe"].tolist() == [0, 0, 0, 1, 0, 0]
    assert program["result_barrier"].tolist() == [1, 1, 1, 0, 1, 0]
    assert build.report["layers"][0]["tiles"] == 3


def test_layers_with_the_same_codebook_share_it():
    codes = np.ones((4, 4), np.uint8)
    layers = tuple(make_layer(codes, codebook=[0, weight, 0, 0], name=name)
                   for name, weight in [("a", 0.5), ("b", 0.25 + 1 / 512), ("c", 0.5)])
    build = compile_network(CompressedNetwork(layers, 8, 2), dataclasses.replace(ROOMY, v_width=2))
    assert program_of(build)["start"]["codebook"].tolist() == [0, 1, 0, 0]
    assert build.images["pe_3.codebook"].shape == (2 * 4, 1)
