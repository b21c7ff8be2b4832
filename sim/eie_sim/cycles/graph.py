"""Cycles of the programs of a graph, predicted from some of their vectors."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.evaluation import apply_layers
from eie_compiler.graph.execution import Execution
from eie_compiler.graph.graph import Subgraph
from eie_compiler.graph.layers import find_programs
from eie_compiler.graph_build import GraphBuild
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.lowering.loops import set_loops
from eie_compiler.lowering.operation_layers import lower_operations
from eie_compiler.network import CompressedNetwork
from eie_compiler.sampling import spread

from ..golden.build_model import BuildModel
from .model import predict_back_to_back
from .steps import build_steps

__all__ = ["predict_graph"]

Words = NDArray[np.int64]

#: Calls of a program that are predicted: steps of a scan.
_CALLS = 8


def predict_graph(build: GraphBuild, words: Mapping[str, Words], most: int) -> dict[str, float]:
    """Predict the cycles of each program for a batch, the vectors of a call back to back.

    They are those of the engine ``"cycle-model"``, but layers of programs without states are
    computed without the golden model, and only some steps of a scan are predicted.

    Parameters
    ----------
    words : mapping of :class:`str` to int64 (batch, ...)
        Words of each input, as from :meth:`~eie_compiler.graph_build.GraphBuild.to_words`.
    most : :class:`int`
        Most vectors of a call that are predicted; with :data:`~..node_runs.SAMPLE`, those of the
        engine.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`float`
        Cycles by path.

    Raises
    ------
    CycleModelError
        If Numba is not installed.
    """
    counts: dict[str, int] = defaultdict(int)
    calls: dict[str, list[Words]] = defaultdict(list)
    compute = _make_runner(build)

    def run(path: str, vectors: Words) -> Words:
        counts[path] += len(vectors)
        length = build.programs[path].sequence_length
        calls[path].append(vectors[spread(len(vectors), most, length)])
        return compute(path, vectors)

    Execution(build.graph, build.config.act_width, run).run(words)
    return {path: counts[path] * _predict(build, path, [some[at] for at in
                                                        spread(len(some), _CALLS)])
            for path, some in calls.items()}


def _make_runner(build: GraphBuild) -> Callable[[str, Words], Words]:
    """Make a runner of programs, as of :class:`~eie_compiler.graph.execution.Execution`, in NumPy.
    """
    layers, programs = IntegerGraph(build.graph, build.config).layers, find_programs(build.graph)

    def run(path: str, vectors: Words) -> Words:
        for layer in layers[path]:
            vectors = layer(vectors)
        return vectors

    def run_program(path: str, vectors: Words) -> Words:
        lowered = build.programs[path]
        if lowered.steps:    # the layers do not say what its states are
            (results,), _ = BuildModel(lowered).run(vectors)
            return results
        program = programs[path]
        if isinstance(program, CompressedNetwork):
            patches = program.patches
            if not patches or not patches.loop:
                return run(path, vectors)
            # A vector is an image, of which the layers are computed pixel by pixel.
            pixels = dataclasses.replace(patches, loop=0)
            results = apply_layers(pixels, vectors.reshape(len(vectors), *patches.shape),
                                   lambda words: run(path, words))
        else:
            assert isinstance(program, Subgraph)
            prefix, body = path.removesuffix(path.rpartition("/")[2]), set_loops(
                lower_operations(program, build.config).body, {})
            shape = body.inputs[program.input]
            results = Execution(body, build.config.act_width, lambda name, words: run(
                prefix + name, words)).run({program.input: vectors.reshape(-1, *shape)}
                                           )[body.outputs[0]]
        return results.reshape(len(vectors), -1)

    return run_program


def _predict(build: GraphBuild, path: str, calls: list[Words]) -> float:
    """Predict the mean cycles of a vector."""
    program, together = build.programs[path], np.concatenate(calls)
    steps, cycles, first = build_steps(program, together), 0, 0
    for call in calls:
        cycles += predict_back_to_back(program, call,
                                       programs=steps[first:first + len(call)]).interval
        first += len(call)
    return cycles / len(together)
