"""`eie_compiler.lowering.build_report`: counts of entries, words and bits."""

import numpy as np

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack


def network_of(sizes, seed=21, **options):
    return random_network(np.random.default_rng(seed), sizes, **options)


def test_the_report_counts_what_is_in_the_images():
    network = network_of([50, 100, 30], density=0.05)
    config = EIEConfig(n_pe=4, acc_depth=16, z_width=2)
    build = compile_network(network, config, mapping="interleaved")
    report = build.report
    spmat = [unpack(Layouts.of(config).spmat_word, build.images[f"pe_{pe}.spmat"])
             for pe in range(4)]
    assert report["total"]["macs_dense_input"] == sum((words["v"] > 0).sum() for words in spmat)
    assert report["total"]["nonzeros"] == sum(layer.n_nonzeros for layer in network.layers)
    # Words after the last entry are zero, but a padding entry has a full run.
    paddings = sum(((words["v"] == 0) & (words["z"] == 3)).sum() for words in spmat)
    assert report["total"]["paddings"] == paddings > 0
    assert report["total"]["entries"] == report["total"]["nonzeros"] + paddings
    for layer, counted in zip(network.layers, report["layers"]):
        assert counted["shape"] == list(layer.codes.shape)
        assert counted["density"] == layer.n_nonzeros / np.prod(layer.codes.shape)
        assert counted["entries"] == counted["nonzeros"] + counted["paddings"]
        assert counted["entries_per_pe"]["mean"] * 4 == counted["entries"]
        assert 0 < counted["entry_balance"] <= 1
    memory = report["memory"]
    assert memory["spmat"]["words_used"] == max(map(len, (words["v"] for words in spmat)))
    assert memory["ptr_even"]["words_used"] == len(build.images["pe_0.ptr_even"])
    assert memory["act"]["bits"] == 4 * config.act_depth * 64
    assert memory["program"]["instances"] == 1


def test_entry_balance_is_counted_tile_by_tile():
    # One PE has all the work of the first tile, the other all of the second.
    codes = np.zeros((16, 3), np.uint8)
    codes[[0, 2, 4, 6, 9, 11, 13, 15]] = 1
    network = CompressedNetwork((make_layer(codes, codebook=[0, 1, 0, 0]),), 8, 2)
    balance = [compile_network(network, EIEConfig(n_pe=2, v_width=2, acc_depth=depth),
                               mapping="interleaved").report["layers"][0]["entry_balance"]
               for depth in (4, 8)]
    assert balance == [0.5, 1.0]
