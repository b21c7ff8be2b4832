"""Bit-exact reference of the machine, executing the same memory images as the hardware."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Table
from eie_hdl.numeric import limits, relu, round_shift, saturate, wrap

from .descriptors import Program, Step
from .scales import scale_rows
from .tables import apply_table
from .tile import GoldenError, Memories, Tile

__all__ = ["GoldenError", "GoldenModel", "Statistics"]

#: Activations simulated at a time: 2 MB, which fits the caches of most processors.
_CHUNK = 1 << 18


class Statistics(NamedTuple):
    """Work of each inference, in the units of the machine's counters.

    Attributes
    ----------
    broadcasts, macs, paddings : int64 (batch,)
        As in :data:`eie_hdl.format.COUNTERS`.
    entries : int64 (batch, n_pe)
        Entries processed by each PE, padding included.
    saturated : int64 (batch, n_layers)
        Results of each layer that were beyond `act_width` bits, without operands of functions and
        results of which bits are rounded away. A layer is the consecutive descriptors of one
        source, without those that reset states.
    """

    broadcasts: NDArray[np.int64]
    macs: NDArray[np.int64]
    paddings: NDArray[np.int64]
    entries: NDArray[np.int64]
    saturated: NDArray[np.int64]


class GoldenModel:
    """Interpreter of the program in the images, on integers, for whole batches.

    Each inference, or sequence of a program with states, starts from a freshly loaded machine, so
    it cannot depend on an earlier one. Activations are stored at their hardware addresses, so that
    a vector that overwrites another by mistake is detected.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    images : :class:`dict` of :class:`str` to uint64 array (n_words, n_beats)
        Words of each memory instance, as :func:`eie_hdl.packing.pack` makes them.
    first : :class:`int`
        Descriptor at which the program starts.
    offset : :class:`int`
        Offset of the program's buffer: rows added to the sources and destinations of descriptors
        with `offset_source` and `offset_destination`.
    steps, reset : :class:`int`
        Vectors of a sequence in which the program keeps states, or 0; and descriptors at its
        beginning that reset them, which only the first vector executes. A batch is whole sequences,
        one after another.

    Raises
    ------
    GoldenError
        If the images do not fit the machine, or the program has no end, addresses memory out of
        range, scans rows that may not be written yet, or resets or keeps its states wrongly.
    """

    def __init__(self, config: EIEConfig, images: Mapping[str, NDArray[np.uint64]],
                 first: int = 0, offset: int = 0, *, steps: int = 0, reset: int = 0) -> None:
        self._config = config
        self._memories = Memories(config, images)
        self._sequence_length, self._reset = steps or 1, reset if steps else 0
        self._begin = self._later = Program(config, self._memories, first, offset)
        if steps:
            self._later = Program(config, self._memories, first + reset, offset)
            self._check_entries()

    def _check_entries(self) -> None:
        """Check both descriptors at which a program with states starts, and those between them."""
        begin, later = self._begin.numbers, self._later.numbers
        if begin[self._reset:] != later:
            raise GoldenError(f"Program must have a step after the {self._reset} descriptors that "
                              f"reset its states, but has {len(begin)} descriptors")
        for number in (begin[0], later[0]):
            if not self._memories.program["alone"][number]:
                raise GoldenError(f"Descriptor {number}: alone must be set, as the program keeps "
                                  "states from one start to the next")
        for number, step in zip(begin[:self._reset], self._begin.steps):
            if step.tile is None:
                raise GoldenError(f"Descriptor {number}: start.send must be 0 in a reset of states")

    def run(self, inputs: NDArray[np.int64], base: int = 0) -> list[NDArray[np.int64]]:
        """Run a batch as :meth:`run_counted` does and return its outputs alone."""
        return self.run_counted(inputs, base)[0]

    def run_counted(self, inputs: NDArray[np.int64], base: int = 0
                    ) -> tuple[list[NDArray[np.int64]], Statistics]:
        """Run the program once for each input vector.

        Parameters
        ----------
        inputs : int64 (batch, n_columns)
            Activations in order of column number. With states, the vectors of a sequence follow one
            another.
        base : :class:`int`
            First row of the inputs in the activation SRAMs. Their last row is zero-padded.

        Returns
        -------
        outputs : :class:`list` of int64 (batch, n_columns)
            One array for each output of the program: its elements in order of column number.
        statistics : :class:`Statistics`
            Work per inference.

        Raises
        ------
        GoldenError
            If the inputs do not fit, are not whole sequences, or an activation that is processed
            selects an invalid column.
        """
        padded, first, n_columns = self._place(inputs, base)
        size = max(1, _CHUNK // n_columns) * self._sequence_length
        # At least one chunk, so that shapes are right for an empty batch too.
        starts = range(0, max(1, len(padded)), size)
        results = [self._run_chunk(padded[start:start + size], first, n_columns)
                   for start in starts]
        outputs, statistics = zip(*results)
        return ([np.concatenate(parts) for parts in zip(*outputs)],
                Statistics(*(np.concatenate(parts) for parts in zip(*statistics))))

    def broadcasts(self, inputs: NDArray[np.int64], base: int = 0) -> list[NDArray[np.bool_]]:
        """Return masks of the activations in each descriptor's source that are processed.

        Those are the nonzero ones or, with `zeros`, all.

        Parameters and errors are those of :meth:`run_counted`.

        Returns
        -------
        :class:`list` of bool (batch, n_columns), or (batch, n_pixels, n_columns) of a loop
            By column number; one array per descriptor, including outputs. Column
            ``segment · length + c − x`` of a pixel is column c of the segment's row of the map.
            Those of descriptors that reset states are of sequences, not of vectors.
        """
        masks: list[NDArray[np.bool_]] = []
        self._run_chunk(*self._place(inputs, base), masks)
        resets, steps, n = masks[:self._reset], masks[self._reset:], len(self._later.steps)
        return resets + [_in_order(steps[number::n]) for number in range(n)]

    def run_once(self, inputs: NDArray[np.int64], base: int = 0
                 ) -> tuple[list[NDArray[np.int64]], Statistics, NDArray[np.int64]]:
        """Run the program from its first descriptor for inputs (1, n_columns), as
        :meth:`run_counted` does; return also the activations that it leaves.

        They are by column number, without those of rows at the end that it does not use.
        """
        padded, first, n_columns = self._place(inputs, base)
        state = self._load(n_columns, 1)
        state[first:first + padded.shape[1]] = padded.T
        outputs, statistics = self._run_program(self._begin, 0, state, None)
        return outputs, statistics, state[:, 0]

    def _place(self, inputs: NDArray[np.int64], base: int) -> tuple[NDArray[np.int64], int, int]:
        """Inputs padded to whole rows, the column number of the first, and columns in use."""
        config = self._config
        inputs = np.asarray(inputs)
        low, high = limits(config.act_width)
        if inputs.ndim != 2 or inputs.dtype.kind not in "iu":
            raise GoldenError(f"Inputs must be integers, batch by columns, not {inputs.dtype} of "
                              f"shape {inputs.shape}")
        if inputs.size and not low <= inputs.min() <= inputs.max() <= high:
            raise GoldenError(f"Inputs must be from {low} to {high}, not from {inputs.min()} to "
                              f"{inputs.max()}")
        group = ACTS_PER_WORD * config.n_pe
        n_rows = -(-inputs.shape[1] // group)
        if base < 0 or base + n_rows > config.act_depth:
            raise GoldenError(f"Inputs must fit rows 0 to {config.act_depth - 1} of the activation "
                              f"SRAMs, not need rows {base} to {base + n_rows - 1}")
        if len(inputs) % self._sequence_length:
            raise GoldenError(f"Inputs must be whole sequences of {self._sequence_length} vectors, "
                              f"not {len(inputs)} vectors")
        padded = np.zeros((len(inputs), n_rows * group), np.int64)
        padded[:, :inputs.shape[1]] = inputs

        # Unused rows are not allocated.
        n_columns = max([(base + n_rows) * group,
                         *(rows.stop for step in self._begin.steps
                           for rows in (step.source, step.destination, step.bias, step.factor)
                           if rows)])
        return padded, base * group, n_columns

    def _load(self, n_columns: int, batch: int) -> NDArray[np.int64]:
        """Activations of loaded machines by column number, so that a vector is a range of rows."""
        return np.repeat(self._memories.activations[:n_columns, np.newaxis], batch, axis=1)

    def _run_chunk(self, inputs: NDArray[np.int64], first: int, n_columns: int,
                   masks: list[NDArray[np.bool_]] | None = None
                   ) -> tuple[list[NDArray[np.int64]], Statistics]:
        """Run sequences at once, vector by vector.

        Masks are as large as the patches, so they are made on request.
        """
        length = self._sequence_length
        state = self._load(n_columns, len(inputs) // length)
        results = []
        for number in range(length):
            state[first:first + inputs.shape[1]] = inputs[number::length].T
            program, n_reset = (self._later, 0) if number else (self._begin, self._reset)
            results.append(self._run_program(program, n_reset, state, masks))
        outputs, statistics = zip(*results)
        return (list(map(_in_order, zip(*outputs, strict=True))),
                Statistics(*map(_in_order, zip(*statistics))))

    def _run_program(self, program: Program, n_reset: int, state: NDArray[np.int64],
                     masks: list[NDArray[np.bool_]] | None
                     ) -> tuple[list[NDArray[np.int64]], Statistics]:
        """Run a program, which begins with descriptors that reset states, and changes `state`."""
        batch = state.shape[1]
        outputs = []
        broadcasts = np.zeros(batch, np.int64)
        macs = np.zeros(batch, np.int64)
        entries = np.zeros((batch, self._config.n_pe), np.int64)
        saturated: list[NDArray[np.int64]] = []
        scanned = None
        for place, (number, step) in enumerate(zip(program.numbers, program.steps)):
            if masks is not None:
                masks.append(_mask(step, state[step.source]))
            if (tile := step.tile) is None:
                outputs.append(state[step.source][:step.n_sent].T.copy())
                continue
            is_reset = place < n_reset
            if step.source != scanned and not is_reset:
                saturated.append(np.zeros(batch, np.int64))
                scanned = step.source
            end = step.destination.start
            for patches, sent in _patches(step, state[step.source]):
                self._check_columns(number, tile, sent)
                # Of a loop, int32 might not suffice.
                once = sent.sum(axis=1, dtype=np.int64 if step.loop else np.int32)
                if not (step.loop and step.loop.local):
                    broadcasts += once.sum(axis=0)
                macs += tile.macs @ once
                entries += np.einsum("ck,cb->bk", tile.entries, once)
                n_pixels = patches.shape[1]
                acc = tile.accumulate(patches, sent, limits(self._config.act_width)[0])
                words, exceeds = self._convert(step, acc, state)
                # A function is constant beyond the words that its operand can have.
                if not is_reset and step.table == Table.NONE.value:
                    saturated[-1] += exceeds.sum(axis=(0, 1))
                written = apply_table(step.table, words, self._config.act_width)
                # The slots of a pixel follow those of the pixel before.
                begin, end = end, end + n_pixels * len(written)
                state[begin:end] = written.swapaxes(0, 1).reshape(end - begin, batch)
            # Zeros fill up the last row.
            state[end:end + -end % (ACTS_PER_WORD * self._config.n_pe)] = 0
        return outputs, Statistics(
            broadcasts, macs, entries.sum(axis=1) - macs, entries,
            np.reshape(saturated, (len(saturated), batch)).T)

    def _convert(self, step: Step, acc: NDArray[np.int64], state: NDArray[np.int64]
                 ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Results of accumulators before a function, and mask of those that did not fit."""
        # int64 sums may have wrapped at 64 bits; the low acc_width bits are still correct.
        acc = wrap(acc + _addend(step, state), self._config.acc_width)
        if step.quantiser:
            return scale_rows(self._config, acc, state[step.factor, np.newaxis], shift=step.shift,
                              is_positive=step.relu, quantiser=step.quantiser)
        rounded = round_shift(acc, step.shift)
        results = relu(rounded) if step.relu else rounded
        words = saturate(results, self._config.act_width)
        return words, words != results

    def _check_columns(self, number: int, tile: Tile, sent: NDArray[np.bool_]) -> None:
        bad = tile.invalid[sent[tile.invalid].any(axis=(1, 2))]
        if bad.size:
            raise GoldenError(f"Descriptor {number}: {tile.explain(int(bad[0]))}")


def _addend(step: Step, state: NDArray[np.int64]) -> NDArray[np.int64]:
    """Addends of the accumulators of each pixel as they are drained (n_rows, 1, batch)."""
    bias = state[step.bias, np.newaxis]
    if step.factor is None or step.quantiser:
        return bias << step.bias_shift
    return bias * state[step.factor, np.newaxis]


def _in_order(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join arrays (sequences, ...) of the first, second, … vector of each, sequence by sequence."""
    n_sequences, *shape = parts[0].shape
    return np.stack(parts, axis=1).reshape(n_sequences * len(parts), *shape)


def _patches(step: Step, source: NDArray[np.int64]
             ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield the activations of a tile and the mask of those that are sent, for some pixels.

    Both are (n_columns, pixels, batch).
    """
    if step.loop is None:
        yield source[:, np.newaxis], source[:, np.newaxis] != 0
        return
    for patches, exists in step.loop.patches(source, _CHUNK):
        yield patches, (np.broadcast_to(exists[..., np.newaxis], patches.shape) if step.zeros
                        else patches != 0)


def _mask(step: Step, source: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask of the activations of a step, as from :meth:`GoldenModel.broadcasts`."""
    if step.loop is None:
        return (source != 0).T
    return np.concatenate([sent for _, sent in _patches(step, source)], axis=1).T
