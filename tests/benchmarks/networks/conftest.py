"""A small task for all tests of the networks."""

import numpy as np
import pytest

from eie_bench.networks.task import Task
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations.elementwise import Add
from eie_compiler.model import Model, ModelLayer
from eie_hdl.config import EIEConfig


@pytest.fixture
def graph():
    """A residual connection around a linear layer, then another layer."""
    rng = np.random.default_rng(2)
    first, second = (Model((ModelLayer(name, rng.normal(size=(n, 6)), rng.normal(size=n)),))
                     for name, n in (("first", 6), ("second", 3)))
    return Graph({"x": (6,)}, (Node("first", first, ("x",)), Node("sum", Add(), ("x", "first")),
                               Node("second", second, ("sum",))), ("second",))


@pytest.fixture
def task(graph):
    """Task of that network with random inputs, for codes of 4 bits on four PEs."""
    inputs = {"x": np.random.default_rng(3).normal(size=(9, 6))}
    return Task("small", "a test", lambda: graph, inputs, inputs, (4,), EIEConfig(n_pe=4),
                labels=np.arange(9) % 3, n_verilog=2, batch=4, remark="random")
