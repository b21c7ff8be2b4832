"""A program that keeps its state from start to start: a recurrent layer, made by hand."""

import dataclasses

import numpy as np

from eie_compiler.build import Build
from eie_compiler.files.build_manifest import describe_memory
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph_build import GraphBuild
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import Vector
from eie_hdl.config import EIEConfig
from eie_hdl.format import last_element

from .loop_machine import LoopMachine

__all__ = ["CONFIG", "N", "RecurrentLayer", "draw_words", "make_graph", "make_layer"]

CONFIG = EIEConfig(
    n_pe=4, v_width=3, z_width=2, entries_per_word=2, queue_depth=4, act_width=8, codebook_width=7,
    acc_width=20, acc_depth=16, spmat_depth=256, ptr_depth=128, act_depth=64, n_codebooks=1,
    program_depth=16, loops=True)

#: Elements of an input and of the state. They end within a row of the activation SRAMs.
N = 12

#: Rows of the initial state, the biases, the results and the input. The state follows the input.
_INITIAL, _BIAS, _RESULT, _INPUT = 0, 1, 2, 3
_STATE = _INPUT + 1
_STRIDE = 2

_SHIFT = 7
_BIAS_SHIFT = 3

#: Descriptors of the program before this one.
_FIRST_DESCRIPTOR = 1


@dataclasses.dataclass(frozen=True, eq=False)
class RecurrentLayer:
    """Layer h' = relu(W · [x; h] + bias), whose results are sent, then become its state h.

    Attributes
    ----------
    build : :class:`~eie_compiler.build.Build`
        Its program, at a descriptor after another program.
    weights : int64 (N, 2 · N)
        W.
    bias, initial : int64 (N,)
        Biases, and h at the beginning of a sequence.
    bias_shift, shift : :class:`int`
        Left shift of a bias, and right shift of a sum.
    """

    build: Build
    weights: np.ndarray
    bias: np.ndarray
    initial: np.ndarray
    bias_shift: int = _BIAS_SHIFT
    shift: int = _SHIFT

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Compute the results (batch, N) of whole sequences (batch, N), one step at a time."""
        results = []
        for sequence in np.split(words, len(words) // self.build.steps):
            state = self.initial
            for x in sequence:
                acc = self.weights @ np.concatenate([x, state]) + (self.bias << self.bias_shift)
                rounded = (acc + (1 << self.shift - 1)) >> self.shift
                state = np.clip(rounded, 0, 127)
                results.append(state)
        return np.array(results)


def make_layer(*, steps: int, buffers: int = 1, seed: int = 1) -> RecurrentLayer:
    """Make a random layer whose sequences have so many vectors, with one or two input buffers."""
    rng = np.random.default_rng(seed)
    codebook = rng.integers(-63, 64, 1 << CONFIG.v_width)
    machine = LoopMachine(CONFIG, codebook[np.newaxis])
    # Nothing may depend on what the rows hold before.
    machine.activations[:] = rng.integers(-128, 128, machine.activations.shape)
    initial, bias = rng.integers(1, 100, N), rng.integers(-100, 100, N)
    for row, vector in ((_INITIAL, initial), (_BIAS, bias)):
        machine.activations[row * machine.group:][:N] = vector
    codes = rng.integers(1, 1 << CONFIG.v_width, (N, 2 * N)) * (rng.random((N, 2 * N)) < 0.5)
    states = [_STATE + _STRIDE * buffer for buffer in range(buffers)]

    machine.send(_BIAS, 1, final=1)
    for number, state in enumerate(states):
        _copy(machine, _INITIAL, state, alone=int(number == 0))
    distance = (_STATE - _INPUT) * machine.group
    machine.tile(
        codes, start={"source": _INPUT, **last_element(CONFIG, distance + N)},
        end={"destination": _RESULT, "bias": _BIAS, "bias_shift": _BIAS_SHIFT, "shift": _SHIFT,
             "relu": 1},
        loop={"segment_step": distance, "width": N, "length": N, "last_slot": N // CONFIG.n_pe - 1},
        alone=1, barrier=1, result_barrier=1, offset_source=1, frees_input=int(buffers == 2))
    for state in states:
        _copy(machine, _RESULT, state)
    machine.send(_RESULT, N)
    images = machine.images()
    source, *layers = (Vector(name, row, np.arange(N), 0) for name, row in (
        ("input", _INPUT), ("results", _RESULT), ("state", _STATE)))
    report = {
        "mapping": "interleaved", "dead_inputs": 0, "total": {},
        "memory": describe_memory(CONFIG, images, CONFIG.act_depth),
        "layers": [{
            "name": layer.name, "shape": [N, 1], "density": 1.0, "tiles": 1, "entries": 0,
            "paddings": 0, "entry_balance": 1.0, "dead_rows": {"unread": [], "constant": []},
            "formats": {"input_frac": 0, "output_frac": 0},
            "overflow": {"acc_width": CONFIG.acc_width}} for layer in layers]}
    build = Build(
        config=CONFIG, images=images, input=source, input_words=1,
        input_stride=_STRIDE if buffers == 2 else 0, outputs=(layers[0],), layers=tuple(layers),
        report=report, first_descriptor=_FIRST_DESCRIPTOR, steps=steps, reset=len(states))
    return RecurrentLayer(build, codebook[codes] * (codes != 0), bias, initial)


def _copy(machine, row, destination, **flags):
    """Add a tile that copies a row as its biases: its only segment does not exist."""
    machine.tile(
        np.zeros((N, 1), np.int64), start={"source": row},
        end={"destination": destination, "bias": row, "bias_shift": 1, "shift": 1},
        loop={"y": 1, "width": 1, "length": 1, "last_slot": N // CONFIG.n_pe - 1}, barrier=1,
        **flags)


def make_graph(layer: RecurrentLayer, n_vectors: int) -> GraphBuild:
    """Make the build of a graph that computes the layer twice, for inputs (n_vectors, N)."""
    rng = np.random.default_rng(1)
    # Its own layers only give shapes; no row is dead.
    network = random_network(rng, [N, N], density=1, v_width=CONFIG.v_width, frac=0)
    graph = Graph({"x": (n_vectors, N)}, (
        Node("once", network, ("x",)), Node("twice", network, ("once",))), ("twice",),
        dict.fromkeys(("x", "once", "twice"), 0))
    build = compile_graph(graph, CONFIG)
    return dataclasses.replace(build, programs=dict.fromkeys(build.programs, layer.build))


def draw_words(n_sequences: int, steps: int, *, seed: int = 2) -> np.ndarray:
    """Draw inputs (n_sequences · steps, N), of which half of the elements are zero."""
    rng = np.random.default_rng(seed)
    shape = n_sequences * steps, N
    return rng.integers(-128, 128, shape) * (rng.random(shape) < 0.5)
