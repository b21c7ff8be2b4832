"""Golden model of a build, with vectors in logical order."""

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import gather, scatter

from .model import GoldenModel, Statistics

__all__ = ["BuildModel"]

Words = NDArray[np.int64]


class BuildModel:
    """Program of a build on the golden model.

    Parameters
    ----------
    build : :class:`~eie_compiler.build.Build`
        The build. If it keeps states, a batch is whole sequences, one after another.

    Raises
    ------
    GoldenError
        As of :class:`~.model.GoldenModel`.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._model = GoldenModel(build.config, build.images, build.first_descriptor,
                                  steps=build.steps, reset=build.reset)

    def run(self, words: Words) -> tuple[list[Words], Statistics]:
        """Run the program for words (batch, n_inputs); return its outputs (batch, n_elements), and
        its work.

        Raises
        ------
        GoldenError, VectorError
            If the inputs do not fit.
        """
        placed, statistics = self._model.run_counted(*self._place(words))
        return [gather(vector, output) for vector, output
                in zip(self._build.outputs, placed, strict=True)], statistics

    def broadcasts(self, words: Words) -> list[NDArray[np.bool_]]:
        """Return masks for words (batch, n_inputs) as :meth:`.model.GoldenModel.broadcasts` does.
        """
        return self._model.broadcasts(*self._place(words))

    def _place(self, words: Words) -> tuple[Words, int]:
        source = self._build.input
        return scatter(source, words, self._build.config.n_pe), source.base_word
