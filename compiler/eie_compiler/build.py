"""Builds: memory images, placement of vectors, and the build report."""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_hdl.format import Layouts, Memory, n_beats
from eie_hdl.numeric import limits
from eie_hdl.registers import REGISTER

from .cycle_bound import bound_cycles
from .files.build_folder import StoredBuild, read_build, write_build, write_images
from .preprocessing import convert_inputs, quantise_inputs
from .vectors import Vector, VectorError, input_packets, n_input_words, packet

__all__ = ["Build", "Words"]


class Words(NamedTuple):
    """Inputs as fixed-point words.

    Attributes
    ----------
    values : int64 (batch, n_inputs)
        Words.
    saturated : int64 (batch,)
        Number of elements of each input that were beyond the range of the network.
    """

    values: NDArray[np.int64]
    saturated: NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Build(StoredBuild):
    """Compiled network for one machine.

    Attributes are those of :class:`~.files.build_folder.StoredBuild`.
    """

    @property
    def sequence_length(self) -> int:
        """Vectors that belong together: those of a sequence, or 1 without states."""
        return self.steps or 1

    def descriptor(self, number: int) -> int:
        """Return the descriptor at which vector `number` of a batch starts.

        A batch is whole sequences, one after another. The first vector of each resets the states.
        """
        begins = number % self.sequence_length == 0
        return self.first_descriptor + (0 if begins else self.reset)

    def require_sequences(self, n_vectors: int) -> None:
        """Check that a batch of so many vectors is whole sequences.

        Raises
        ------
        VectorError
            If it is not.
        """
        if n_vectors % self.sequence_length:
            raise VectorError(f"Batch must be whole sequences of {self.steps} vectors, as the "
                              f"program keeps states from one to the next, not {n_vectors:,} "
                              f"vectors")

    @functools.cached_property
    def settings(self) -> dict[str, dict[str, int]]:
        """Registers that the host sets before it loads the memories, and their fields.

        The time limit is that of the hardware unless programs could take longer.
        """
        (limit,) = REGISTER["WATCHDOG"].fields
        most = bound_cycles(self.config, self.images)
        return {"INPUT_BASE": {"value": self.input.base_word},
                "INPUT_WORDS": {"words": self.input_words},
                "INPUT_STRIDE": {"value": self.input_stride},
                **({"WATCHDOG": {"value": min(most, (1 << limit.width) - 1)}}
                   if most > limit.reset else {})}

    def quantise(self, inputs: ArrayLike) -> NDArray[np.int64]:
        """Convert inputs (..., n_inputs) to words, as :func:`~.preprocessing.quantise_inputs`."""
        return quantise_inputs(inputs, frac=self.input.frac, width=self.config.act_width,
                               preprocessing=self.preprocessing,
                               nonnegative=self.nonnegative_inputs)

    def to_words(self, inputs: ArrayLike, *, words: bool = False) -> Words:
        """Convert inputs to words, and count those that saturate.

        Parameters
        ----------
        inputs : (batch, n_inputs)
            Numbers, whether integers or floating-point; or words, which must be integers.
        words : :class:`bool`
            True if `inputs` are words already.

        Raises
        ------
        VectorError
            If `inputs` are not real or not finite; or if a word does not have `act_width` bits, or
            is negative, but the formats rely on there being none; or if the batch is not whole
            sequences.
        """
        values, saturated = convert_inputs(
            inputs, frac=self.input.frac, width=self.config.act_width, words=words,
            preprocessing=self.preprocessing, nonnegative=self.nonnegative_inputs)
        self.require_sequences(len(values))
        return Words(values, saturated.sum(axis=1))

    def input_packets(self, words: NDArray[np.int64], *, buffer: int = 0) -> NDArray[np.uint64]:
        """Make the packets that load inputs into an input buffer.

        Parameters
        ----------
        words : int64 (batch, n_inputs)
            Inputs as words.
        buffer : :class:`int`
            Number of the input buffer.

        Returns
        -------
        uint64 (batch, n_beats)
            One packet for each input. A single buffer is loaded in whole rows, as other vectors
            share them.
        """
        return input_packets(self.config, self.input, words, buffer=buffer,
                             whole_rows=not self.input_stride)

    def clearing_packets(self) -> list[NDArray[np.uint64]]:
        """Make the packets that clear the last row of each input buffer.

        There are none if inputs fill their rows. Otherwise the elements after an input must be
        zero: the images clear them, but other programs of the load may overwrite them.
        """
        n_pe = self.config.n_pe
        if not self.input_stride or n_input_words(self.config, self.input) % n_pe == 0:
            return []
        zeros = np.zeros((n_pe, n_beats(Layouts.of(self.config).act_word)), np.uint64)
        return [packet(self.config, Memory.INPUT, zeros, address=self.input_words - 1,
                       buffer=buffer) for buffer in range(self.input_buffers)]

    def range_of(self, vector: Vector) -> tuple[float, float]:
        """Compute the least and the greatest number of a vector's format.

        That of the input is the range after preprocessing.
        """
        low, high = limits(self.config.act_width)
        if vector is self.input and self.nonnegative_inputs:
            low = 0
        return low * 0.5 ** vector.frac, high * 0.5 ** vector.frac

    def write_images(self, folder: str | Path) -> dict[str, str]:
        """Write one file per memory instance into `folder`; return the SHA-256 of each file."""
        return write_images(folder, self)

    def save(self, folder: str | Path) -> None:
        """Write a build folder, as :func:`~.files.build_folder.write_build` does."""
        write_build(folder, self)

    @classmethod
    def load(cls, folder: str | Path) -> "Build":
        """Read a build folder, as :func:`~.files.build_folder.read_build` does."""
        return cls(**vars(read_build(folder)))
