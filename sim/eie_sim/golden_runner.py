"""Layers of a graph on the golden model, with their work, and predictions of the cycle model."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph_build import GraphBuild
from eie_compiler.sampling import spread

from .cycles.model import predict_back_to_back, predict_build
from .golden.build_model import BuildModel
from .golden.model import Statistics
from .node_runs import SAMPLE, NodeRun

__all__ = ["Call", "GoldenRunner"]

Words = NDArray[np.int64]

#: Function of the path of a node, and of how many of its vectors have been run.
Advance = Callable[[str, int], None]


class Call(NamedTuple):
    """Call of the program of a node: its results, and the vectors that are sampled."""

    results: Words
    sample: Words


class GoldenRunner:
    """Runner of layers on the golden model, which also predicts their cycles if wanted.

    Attributes
    ----------
    calls : :class:`list` of :class:`Call`
        Calls of programs so far.
    steps : :class:`list`
        Result of each step of the host.
    """

    def __init__(self, build: GraphBuild, runs: dict[str, NodeRun], advance: Advance, *,
                 predict: bool) -> None:
        self.calls: list[Call] = []
        self.steps: list[Words] = []
        self._build = build
        self._runs = runs
        self._advance = advance
        self._predict = predict
        self._models: dict[str, BuildModel] = {}

    def run(self, path: str, words: Words) -> Words:
        program, node = self._build.programs[path], self._runs[path]
        words = program.to_words(words, words=True).values
        sample = node.choose(len(words))
        results, statistics = self._compute(path, words)
        node.count(results, statistics)
        self._advance(path, len(words))
        if self._predict:
            for prediction in predict_build(program, words[sample]):
                node.add_counters(prediction.counters)
            if len(sample):
                timed = words[spread(len(words), SAMPLE, program.sequence_length)]
                node.timed += len(timed)
                node.cycles += predict_back_to_back(program, timed).interval
            self._advance(path, len(words))
        self.calls.append(Call(results, sample))
        return results

    def watch(self, path: str, words: Words) -> None:
        """Keep the result of a step of the host."""
        if not self._runs[path].on_accelerator:
            self.steps.append(words)

    def _compute(self, path: str, words: Words) -> tuple[Words, Statistics]:
        if path not in self._models:
            self._models[path] = BuildModel(self._build.programs[path])
        outputs, statistics = self._models[path].run(words)
        return outputs[0], statistics
