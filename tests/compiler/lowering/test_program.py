"""`eie_compiler.lowering.program`: descriptors of compiled networks."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
from eie_compiler.vectors import scatter
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.golden.model import GoldenModel

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


def test_on_a_machine_with_loops_a_tile_is_a_loop_of_one_pixel():
    config = EIEConfig(n_pe=4, acc_depth=8, loops=True)
    program = program_of(compile_network(network_of([10, 70, 5]), config, outputs="all"))
    # 10 inputs are 3 slots of 4, and 70 are 18, in tiles of 8, 8 and 2; each layer has an output.
    loop = program["loop"]
    for name in ("length", "columns", "width"):
        assert loop[name].tolist() == [12, 12, 12, 0, 72, 0]
    assert loop["last_slot"].tolist() == [7, 7, 3, 0, 3, 0]
    assert program["end"]["last_lane"].tolist() == [3, 3, 3, 0, 3, 0]
    assert program["start"]["last_lane"].tolist() == [3, 3, 3, 1, 3, 1]
    assert program["start"]["last_pe"].tolist() == [3, 3, 3, 1, 3, 0]
    for name in ("x", "x_step", "last_x", "y", "y_step", "segment_step"):
        assert not loop[name].any()


@pytest.mark.parametrize("sizes", [[10, 70, 5], [3, 1, 33], [200, 9]])
@pytest.mark.parametrize("n_pe", [1, 4, 16])
def test_networks_have_the_same_results_on_a_machine_with_loops(sizes, n_pe):
    """So do their counts, tile by tile."""
    config = dataclasses.replace(ROOMY, n_pe=n_pe, acc_depth=8)
    network = network_of(sizes, seed=n_pe)
    builds = [compile_network(network, dataclasses.replace(config, loops=loops), outputs="all")
              for loops in (False, True)]
    inputs = np.random.default_rng(5).integers(-9999, 9999, (3, sizes[0]))
    inputs[:, ::3] = 0
    (expected, counts), (outputs, others) = (
        GoldenModel(build.config, build.images).run_counted(
            scatter(build.input, inputs, n_pe), build.input.base_word) for build in builds)
    for output, other in zip(outputs, expected, strict=True):
        assert output.tolist() == other.tolist()
    for count, other in zip(counts, others, strict=True):
        assert count.tolist() == other.tolist()
