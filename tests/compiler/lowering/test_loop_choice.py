"""Choice between loops and strips: cycles, loads, and the notes that say why."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.loop_choice import choose_loops
from eie_compiler.lowering.loops import find_loops
from eie_compiler.lowering.strips import make_strips
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import EIEConfig
from support.graphs import SAME_SIZE, graph_of, random_convolution

CONFIG = EIEConfig(loops=True, spmat_depth=1 << 14, ptr_depth=1 << 13, act_depth=1 << 13)


@pytest.mark.parametrize("most", [0.9, 1.1])
def test_strips_are_kept_if_they_need_fewer_cycles(monkeypatch, most):
    def estimate(network, config, n_pixels, *, mapping="balanced"):
        return 1000.0 * most if network.patches.loop else 1000.0 + n_pixels

    for module in ("loop_choice", "strip_choice"):
        monkeypatch.setattr(f"eie_compiler.lowering.{module}.estimate_cycles", estimate)
    graph, strips = choose_loops(graph_of(random_convolution((2, 6, 12), [4], **SAME_SIZE)), CONFIG)
    is_loop = graph.nodes[0].computation.patches.loop > 0
    assert is_loop == (most < 1)
    assert graph.notes == (() if is_loop else (
        "no loop of the machine: node 'conv0': single pixels need fewer cycles, about 1,001 "
        "instead of 1,100",))
    assert is_loop or strips == {}


def test_there_are_no_loops_if_they_need_more_loads():
    graph = graph_of(*(random_convolution((4, 6, 12), [4], **SAME_SIZE) for _ in range(3)))
    config = dataclasses.replace(CONFIG, n_pe=64, act_depth=8, acc_depth=16, spmat_depth=64,
                                 ptr_depth=112)
    plain = compile_graph(graph, dataclasses.replace(config, loops=False))
    build = compile_graph(graph, config)
    assert len(build.loads) == len(plain.loads) == 1
    assert not any(program.patches.loop for program in build.programs.values())
    assert build.report["notes"][-1] == (
        "no loop of the machine: node 'conv2': loops need 3 loads of the memories, strips only 1")


def test_notes_name_strips_that_are_stored_and_preprocessing():
    network = random_convolution((2, 6, 12), [4], **SAME_SIZE)
    scaled = dataclasses.replace(network, preprocessing=Preprocessing(np.zeros(18), np.ones(18)))
    for stored, reason in ((make_strips(network, 3), "it has strips of 3 pixels"),
                           (scaled, "it has preprocessing")):
        graph = graph_of(stored)
        assert find_loops(graph, CONFIG).notes == (
            f"no loop of the machine: node 'conv0': {reason}",)
        assert find_loops(graph, dataclasses.replace(CONFIG, loops=False)).notes == ()
