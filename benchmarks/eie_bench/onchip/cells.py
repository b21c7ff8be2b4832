"""Recurrent cells that are one program of the machine each, and their sequences."""

import dataclasses
import typing

import numpy as np

from eie_compiler.graph.graph import Graph
from eie_compiler.lowering.integer_graph import IntegerGraph

from .cases import MACHINE, SMALL, Case, Engine, Floats, make_case
from .recurrences import Kind, make_recurrence, products_of

__all__ = ["LSTM", "PRODUCTS", "RECURRENT", "SMALL_RECURRENT", "make_cells", "make_small_cells"]

#: Machines of the cells. Sums have codebooks, too.
RECURRENT, SMALL_RECURRENT = (dataclasses.replace(machine, n_codebooks=16, products=True,
                                                  tables=True)
                              for machine in (MACHINE, SMALL))

#: Names of the cases of which the verdict has the ratio.
LSTM, PRODUCTS = "LSTM of 384 cells, 10 %", "its matrix products alone"


def make_cells(seed: int) -> list[Case]:
    """Make the cases of recurrent cells of some size, and of the matrix products of one of them."""
    rng = np.random.default_rng(seed)

    def dense(*shape: int) -> Floats:
        return rng.integers(1, 1 << 12, shape) * rng.choice([-1, 1], shape) / 2.0 ** 14

    lstm = make_recurrence("LSTM", rng, RECURRENT, n_inputs=384, n_hidden=384, n_steps=6,
                           density=0.1)
    gru = make_recurrence("GRU", rng, RECURRENT, n_inputs=100, n_hidden=256, n_steps=6,
                          density=0.2)
    sequences = dense(2, 6, 384)
    return [make_case("cell", name, graph, images, RECURRENT) for name, graph, images in (
        (LSTM, lstm, sequences), (PRODUCTS, products_of(lstm), _join_states(lstm, sequences)),
        ("GRU of 256 cells, 20 %", gru, dense(2, 6, 100)))]


def _join_states(graph: Graph, sequences: Floats) -> Floats:
    """Make the vectors of the matrix products of a cell: each input, and the state before it."""
    (output,) = graph.outputs
    states = IntegerGraph(graph, RECURRENT).run({"sequence": sequences})[output] \
        / 2.0 ** (graph.fracs or {})[output]
    before = np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)
    joined = np.concatenate([sequences, before], axis=2)
    return joined.reshape(-1, joined.shape[2])


def make_small_cells(seed: int, engine: Engine) -> list[Case]:
    """Make the cases of small recurrent cells of all kinds and of unusual sizes."""
    rng = np.random.default_rng(seed)
    sizes: dict[Kind, tuple[int, int]] = dict(zip(typing.get_args(Kind), (
        (5, 13), (13, 5), (20, 7), (3, 33), (1, 1), (2, 270))))
    cases = []
    for number, (kind, (n_inputs, n_hidden)) in enumerate(sizes.items()):
        graph = make_recurrence(kind, rng, SMALL_RECURRENT, n_inputs=n_inputs, n_hidden=n_hidden,
                                n_steps=4, density=min(0.5, 30 / n_hidden),
                                reverse=number % 2 == 1)
        limit = 1 << SMALL_RECURRENT.act_width - 1
        words = rng.integers(-limit, limit, (3, 4, n_inputs))
        words[0, ::2] = 0
        words[1] = rng.choice([-limit, 0, limit - 1], words[1].shape)
        cases.append(make_case("small cell", f"{kind}, {n_inputs} and {n_hidden}", graph,
                               words / 2.0 ** (graph.fracs or {})["sequence"], SMALL_RECURRENT,
                               engine))
    return cases
