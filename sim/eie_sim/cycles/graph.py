"""Cycles of the programs of a graph, predicted from some of their vectors."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.evaluation import apply_layers
from eie_compiler.graph.execution import Execution
from eie_compiler.graph.layers import find_layers
from eie_compiler.graph_build import GraphBuild
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.network import CompressedNetwork
from eie_compiler.sampling import spread

from .model import predict_back_to_back
from .steps import build_steps

__all__ = ["predict_graph"]

Words = NDArray[np.int64]

#: Calls of a program that are predicted: steps of a scan.
_CALLS = 8


def predict_graph(build: GraphBuild, words: Mapping[str, Words], most: int) -> dict[str, float]:
    """Predict the cycles of each program for a batch, the vectors of a call back to back.

    They are those of the engine ``"cycle-model"``, but layers are computed without the golden
    model, and only some steps of a scan are predicted.

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
    layers = IntegerGraph(build.graph, build.config).layers
    networks = find_layers(build.graph, CompressedNetwork)
    counts: dict[str, int] = defaultdict(int)
    calls: dict[str, list[Words]] = defaultdict(list)

    def run(path: str, vectors: Words) -> Words:
        counts[path] += len(vectors)
        calls[path].append(vectors[spread(len(vectors), most)])
        patches = networks[path].patches
        if not patches or not patches.loop:
            return compute(path, vectors)
        # A vector is an image, of which the layers are computed pixel by pixel.
        images = vectors.reshape(len(vectors), *patches.shape)
        results = apply_layers(dataclasses.replace(patches, loop=0), images,
                               lambda pixels: compute(path, pixels))
        return results.reshape(len(vectors), -1)

    def compute(path: str, vectors: Words) -> Words:
        for layer in layers[path]:
            vectors = layer(vectors)
        return vectors

    Execution(build.graph, build.config.act_width, run).run(words)
    return {path: counts[path] * _predict(build, path, [some[at] for at in
                                                        spread(len(some), _CALLS)])
            for path, some in calls.items()}


def _predict(build: GraphBuild, path: str, calls: list[Words]) -> float:
    """Predict the mean cycles of a vector."""
    program, together = build.programs[path], np.concatenate(calls)
    steps, cycles, first = build_steps(program, together), 0, 0
    for call in calls:
        cycles += predict_back_to_back(program, call,
                                       programs=steps[first:first + len(call)]).interval
        first += len(call)
    return cycles / len(together)
