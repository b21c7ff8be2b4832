"""Random recurrent cells: formats and numbers, of all kinds."""

import typing

import numpy as np
import pytest

from eie_bench.onchip.cells import SMALL_RECURRENT
from eie_bench.onchip.recurrences import Kind, make_recurrence, products_of
from eie_compiler.graph.graph import Recurrence
from eie_compiler.graph.layers import find_layers
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.network import CompressedNetwork

SIZES = {"n_inputs": 3, "n_hidden": 9, "n_steps": 4, "density": 0.5}


@pytest.mark.parametrize("kind", typing.get_args(Kind))
def test_a_step_of_each_kind_is_a_program_without_rounding_of_its_own(kind):
    graph = make_recurrence(kind, np.random.default_rng(1), SMALL_RECURRENT, **SIZES, reverse=True)
    build = compile_graph(graph, SMALL_RECURRENT)
    (node,) = build.graph.nodes
    assert isinstance(node.computation, Recurrence) and node.computation.scan.reverse
    assert build.graph.notes == () and graph.shapes["cell"] == (4, 9)


def test_the_same_seed_gives_the_same_weights():
    one, same, other = (make_recurrence("LSTM", np.random.default_rng(seed), SMALL_RECURRENT,
                                        **SIZES) for seed in (1, 1, 2))
    codebooks = [next(iter(find_layers(graph, CompressedNetwork).values())).layers[0].codebook
                 for graph in (one, same, other)]
    assert (codebooks[0] == codebooks[1]).all() and (codebooks[0] != codebooks[2]).any()


def test_matrix_products_are_those_of_the_cell():
    graph = make_recurrence("LSTM", np.random.default_rng(1), SMALL_RECURRENT, **SIZES)
    alone = products_of(graph)
    ((_, network),) = find_layers(graph, CompressedNetwork).items()
    assert alone.nodes[0].computation is network and alone.inputs == {"vector": (12,)}
    gru = make_recurrence("GRU", np.random.default_rng(1), SMALL_RECURRENT, **SIZES)
    with pytest.raises(ValueError):    # of two layers
        products_of(gru)
