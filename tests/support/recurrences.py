"""Random steps of recurrent networks, compressed, for tests."""

import math

import numpy as np

from eie_compiler.graph.execution import Execution
from eie_compiler.graph.graph import Graph, Node, Recurrence, Scan
from eie_compiler.graph.layers import find_layers
from eie_compiler.graph.operations import (
    Add,
    Affine,
    Clip,
    Concat,
    Multiply,
    Sigmoid,
    Slice,
    Subtract,
    Tanh,
)
from eie_compiler.graph.subgraphs import inline_subgraphs
from eie_compiler.graph_build import GraphBuild
from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.step_formats import lower_recurrences
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_codes
from eie_hdl.config import EIEConfig
from eie_hdl.numeric import saturate
from eie_sim.graph_inference import infer_graph

__all__ = ["CONFIG", "StepBody", "compare", "graph_of", "random_gru", "random_lstm", "random_step",
           "require_recurrence", "run_numpy", "words_of"]

#: Machine whose tiles and words the vectors of these steps exceed.
CONFIG = EIEConfig(n_pe=4, acc_depth=8, act_depth=256, program_depth=128, spmat_depth=256,
                   ptr_depth=512, n_codebooks=16, loops=True, local=True, products=True,
                   tables=True)


def graph_of(scan: Scan, steps: int) -> Graph:
    """Make the graph of a scan alone: the sequence ``x``, and the results ``scan``."""
    (size,), fracs = next(iter(scan.body.inputs.values())), scan.body.fracs
    names = [next(iter(scan.body.inputs)), scan.body.outputs[0]]
    return Graph({"x": (steps, size)}, (Node("scan", scan, ("x",)),), ("scan",),
                 dict(zip(("x", "scan"), (fracs[name] for name in names))))


def words_of(scan: Scan, steps: int, batch: int, *, seed: int = 1, width: int = 16
             ) -> np.ndarray:
    """Draw words of sequences, of which a third is zero."""
    rng = np.random.default_rng(seed)
    (size,) = next(iter(scan.body.inputs.values()))
    high = 1 << width - 5
    words = rng.integers(-high, high, (batch, steps, size))
    return words * (rng.random(words.shape) < 2 / 3)


def run_numpy(build: GraphBuild, words: np.ndarray) -> np.ndarray:
    """Compute the results of a build's only input in NumPy, in the formats of the machine."""
    graph = inline_subgraphs(lower_recurrences(build.graph, build.config))
    networks = {path: IntegerNetwork(network, build.config)
                for path, network in find_layers(graph, CompressedNetwork).items()}

    def run_layers(path: str, vectors: np.ndarray) -> np.ndarray:
        for layer in networks[path].layers:
            vectors = saturate(layer.exact(vectors), build.config.act_width)
        return vectors

    computed = Execution(graph, build.config.act_width, run_layers).run({"x": words})
    return computed[graph.outputs[0]]


def require_recurrence(build: GraphBuild) -> None:
    """Check that the machine keeps the states of all scans of a build."""
    kinds = [node.computation for node in build.graph.nodes]
    assert not any(isinstance(kind, Scan) for kind in kinds), build.graph.notes
    assert any(isinstance(kind, Recurrence) for kind in kinds)


def compare(scan: Scan, config: EIEConfig = CONFIG, *, steps: int = 3, batch: int = 2,
            seed: int = 1, **options) -> GraphBuild:
    """Check that the golden model computes a scan, with its states on the chip, as NumPy does."""
    build = compile_graph(graph_of(scan, steps), config, **options)
    require_recurrence(build)
    words = words_of(scan, steps, batch, seed=seed, width=config.act_width)
    found = infer_graph(build, words, engine="golden", words=True).outputs["scan"]
    np.testing.assert_array_equal(found, run_numpy(build, words))
    assert np.ptp(found) > 0    # no constant
    return build


class StepBody:
    """Body of a scan that grows node by node."""

    def __init__(self, seed: int, inputs: dict[str, int], fracs: dict[str, int], *,
                 v_width: int = 4) -> None:
        self.rng, self.v_width = np.random.default_rng(seed), v_width
        self.inputs, self.fracs = inputs, dict(fracs)
        self.sizes = dict(inputs)
        self.nodes: list[Node] = []

    def add(self, operation, *operands: str, frac: int, size: int, name: str = "") -> str:
        name = name or f"n{len(self.nodes)}"
        self.nodes.append(Node(name, operation, operands))
        self.fracs[name], self.sizes[name] = frac, size
        return name

    def layer(self, operands: list[str], rows: int, *, frac: int, density: float = 0.5) -> str:
        """Add a layer on tensors, which are concatenated."""
        joined, wanted = operands[0], self.fracs[operands[0]]
        columns = sum(self.sizes[name] for name in operands)
        if len(operands) > 1:
            joined = self.add(Concat(0), *operands, frac=wanted, size=columns)
        weights = self.rng.normal(0, (density * columns) ** -0.5, (1 << self.v_width) - 1)
        layer = make_layer(random_codes(self.rng, rows, columns, density, v_width=self.v_width),
                           codebook=[0.0, *weights], name=f"fc{len(self.nodes)}",
                           bias=self.rng.normal(0, 0.3, rows), output_frac=frac)
        return self.add(CompressedNetwork((layer,), wanted, self.v_width), joined, frac=frac,
                        size=rows)

    def scan(self, output: str, states: dict[str, str], **options) -> Scan:
        return Scan(Graph({name: (size,) for name, size in self.inputs.items()},
                          tuple(self.nodes), (output,), self.fracs), tuple(states.items()),
                    **options)


def random_lstm(*, n_inputs: int = 5, n_hidden: int = 19, peepholes: bool = False, seed: int = 1,
                **options) -> Scan:
    """Make an LSTM with random weights, whose result is its state ``h_next``."""
    body = StepBody(seed, {"x": n_inputs, "h": n_hidden, "c": n_hidden}, {"x": 9, "h": 14, "c": 12})
    n, frac = n_hidden, 11
    gates = body.layer(["x", "h"], 4 * n, frac=frac)
    i, f, o, g = (body.add(Slice(0, place * n, (place + 1) * n), gates, frac=frac, size=n)
                  for place in range(4))

    def gate(operand: str, state: str) -> str:
        if peepholes:
            seen = body.add(Affine(body.rng.normal(0, 0.5, n), 0.0), state, frac=12, size=n)
            operand = body.add(Add(), operand, seen, frac=frac, size=n)
        return body.add(Sigmoid(), operand, frac=14, size=n)

    kept = body.add(Multiply(), gate(f, "c"), "c", frac=12, size=n)
    new = body.add(Tanh(), g, frac=14, size=n)
    added = body.add(Multiply(), gate(i, "c"), new, frac=13, size=n)
    c = body.add(Add(), kept, added, frac=12, size=n)
    out = body.add(Tanh(), c, frac=14, size=n)
    h = body.add(Multiply(), gate(o, c), out, frac=14, size=n, name="h_next")
    return body.scan(h, {"h": h, "c": c}, **options)


def random_gru(*, is_reset_first: bool, n_inputs: int = 6, n_hidden: int = 17, seed: int = 1,
               **options) -> Scan:
    """Make a GRU with random weights, as :mod:`eie_compiler.frontends.recurrent_cells`.

    Parameters
    ----------
    is_reset_first : :class:`bool`
        True if the state is reset before the recurrent matrix; False if its product is.
    """
    body, n = StepBody(seed, {"x": n_inputs, "h": n_hidden}, {"x": 9, "h": 13}), n_hidden
    gates = body.layer(["x", "h"], (2 if is_reset_first else 4) * n, frac=11)

    def part(whole: str, at: int) -> str:
        return body.add(Slice(0, at * n, at * n + n), whole, frac=body.fracs[whole], size=n)

    summed = body.add(Slice(0, 0, 2 * n), gates, frac=11, size=2 * n)
    two = body.add(Sigmoid(), summed, frac=14, size=2 * n)
    z, r = part(two, 0), part(two, 1)
    if is_reset_first:
        new = body.layer(["x", body.add(Multiply(), r, "h", frac=13, size=n)], n, frac=11)
    else:
        reset = body.add(Multiply(), r, part(gates, 3), frac=11, size=n)
        new = body.add(Add(), part(gates, 2), reset, frac=11, size=n)
    new = body.add(Tanh(), new, frac=14, size=n)
    difference = body.add(Subtract(), "h", new, frac=13, size=n)
    change = body.add(Multiply(), z, difference, frac=13, size=n)
    h = body.add(Add(), new, change, frac=13, size=n, name="h_next")
    return body.scan(h, {"h": h}, **options)


def random_step(seed: int) -> Scan:
    """Make a step of random operations on vectors of one size."""
    rng = np.random.default_rng(seed)
    n, n_inputs = int(rng.integers(1, 24)), int(rng.integers(1, 24))
    states = [f"s{number}" for number in range(rng.integers(1, 4))]
    body = StepBody(seed, {"x": n_inputs, **dict.fromkeys(states, n)},
                 {"x": 9, **{state: int(rng.integers(9, 15)) for state in states}})

    def frac() -> int:
        return int(rng.integers(8, 13))

    parts = int(rng.integers(1, 4))
    first = body.layer(["x", states[0]] if rng.random() < 0.8 else ["x"], parts * n, frac=frac())
    pool = [*states, *(body.add(Slice(0, part * n, (part + 1) * n), first, size=n,
                                frac=body.fracs[first]) for part in range(parts))]
    for _ in range(rng.integers(3, 12)):
        one, other = rng.choice(pool[-6:], 2)
        kind = rng.choice(["add", "subtract", "multiply", "sigmoid", "tanh", "relu", "convert",
                           "scale", "layer", "two"])
        if kind == "layer":
            made = body.layer(["x", one] if rng.random() < 0.5 else [one], n, frac=frac())
        elif kind == "two":
            if one == other:
                continue
            made = body.layer([one, other], n, frac=frac())
        elif kind in ("add", "subtract", "multiply"):
            if one == other and kind != "multiply":
                continue
            operation = {"add": Add(), "subtract": Subtract(), "multiply": Multiply()}[kind]
            made = body.add(operation, one, other, frac=frac(), size=n)
        elif kind in ("sigmoid", "tanh"):
            made = body.add(Sigmoid() if kind == "sigmoid" else Tanh(), one, size=n,
                            frac=int(rng.choice([14, 14, 13, 15])))
        elif kind == "scale":
            made = body.add(Affine(rng.normal(0, 0.5, n), 0.0), one, frac=frac(), size=n)
        else:
            low = 0.0 if kind == "relu" else -math.inf
            made = body.add(Clip(low, math.inf), one, frac=frac(), size=n)
        pool.append(made)
    following = {}
    for state in states:
        source = rng.choice(pool[len(states):])
        following[state] = body.add(Clip(-math.inf, math.inf), source, size=n,
                                    frac=body.fracs[state])
    output = str(rng.choice([*following.values(), *pool[len(states):]]))
    return body.scan(output, following, reverse=bool(rng.random() < 0.3))
