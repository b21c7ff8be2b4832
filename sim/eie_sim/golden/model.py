"""Bit-exact reference of the machine, executing the same memory images as the hardware."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import n_elements
from eie_hdl.numeric import limits, relu, round_shift, saturate, wrap

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
        Results of each layer that were beyond `act_width` bits. A layer is the consecutive
        descriptors of one source.
    """

    broadcasts: NDArray[np.int64]
    macs: NDArray[np.int64]
    paddings: NDArray[np.int64]
    entries: NDArray[np.int64]
    saturated: NDArray[np.int64]


class _Step(NamedTuple):
    """A decoded descriptor; `tile` is None for an output of `n_sent` elements."""

    source: slice
    n_sent: int = 0
    tile: Tile | None = None
    destination: slice = slice(0, 0)
    bias: slice = slice(0, 0)
    bias_shift: int = 0
    shift: int = 0
    relu: bool = False


class GoldenModel:
    """Interpreter of the program in the images, on integers, for whole batches.

    Each inference starts from a freshly loaded machine, so it cannot depend on an earlier one.
    Activations are stored at their hardware addresses, so that a vector that overwrites another by
    mistake is detected.

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

    Raises
    ------
    GoldenError
        If the images do not fit the machine, or the program has no end, addresses memory out of
        range, or scans rows that may not be written yet.
    """

    def __init__(self, config: EIEConfig, images: Mapping[str, NDArray[np.uint64]],
                 first: int = 0, offset: int = 0) -> None:
        self._config = config
        self._offset = offset
        self._memories = Memories(config, images)
        self._numbers = self._descriptors(first)
        self._steps = [self._decode(number) for number in self._numbers]
        self._check_barriers()

    def run(self, inputs: NDArray[np.int64], base: int = 0) -> list[NDArray[np.int64]]:
        """Run a batch as :meth:`run_counted` does and return its outputs alone."""
        return self.run_counted(inputs, base)[0]

    def run_counted(self, inputs: NDArray[np.int64], base: int = 0
                    ) -> tuple[list[NDArray[np.int64]], Statistics]:
        """Run the program once for each input vector.

        Parameters
        ----------
        inputs : int64 (batch, n_columns)
            Activations in order of column number.
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
            If the inputs do not fit, or a nonzero activation selects an invalid column.
        """
        padded, first, n_columns = self._place(inputs, base)
        size = max(1, _CHUNK // n_columns)
        # At least one chunk, so that shapes are right for an empty batch too.
        starts = range(0, max(1, len(padded)), size)
        # The broadcast masks are as large as the sources, so they are dropped.
        results = [self._run_chunk(padded[start:start + size], first, n_columns)[::2]
                   for start in starts]
        outputs, statistics = zip(*results)
        return ([np.concatenate(parts) for parts in zip(*outputs)],
                Statistics(*(np.concatenate(parts) for parts in zip(*statistics))))

    def broadcasts(self, inputs: NDArray[np.int64], base: int = 0) -> list[NDArray[np.bool_]]:
        """Return masks of the nonzero activations in each descriptor's source.

        Parameters and errors are those of :meth:`run_counted`.

        Returns
        -------
        :class:`list` of bool (batch, n_columns)
            By column number; one array per descriptor, including outputs.
        """
        return self._run_chunk(*self._place(inputs, base))[1]

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
        padded = np.zeros((len(inputs), n_rows * group), np.int64)
        padded[:, :inputs.shape[1]] = inputs

        # Unused rows are not allocated.
        n_columns = max([(base + n_rows) * group,
                         *(rows.stop for step in self._steps
                           for rows in (step.source, step.destination, step.bias))])
        return padded, base * group, n_columns

    def _run_chunk(self, inputs: NDArray[np.int64], first: int, n_columns: int
                   ) -> tuple[list[NDArray[np.int64]], list[NDArray[np.bool_]], Statistics]:
        batch = len(inputs)
        # All activations by column number, so that a vector is a range of rows.
        state = np.empty((n_columns, batch), np.int64)
        state[:] = self._memories.activations[:n_columns, np.newaxis]
        state[first:first + inputs.shape[1]] = inputs.T

        outputs, masks = [], []
        broadcasts = np.zeros(batch, np.int64)
        macs = np.zeros(batch, np.int64)
        entries = np.zeros((batch, self._config.n_pe), np.int64)
        saturated: list[NDArray[np.int64]] = []
        scanned = None
        for number, step in zip(self._numbers, self._steps):
            source = state[step.source]
            nonzero = source != 0
            masks.append(nonzero.T)
            if (tile := step.tile) is None:
                outputs.append(source[:step.n_sent].T.copy())
                continue
            self._check_columns(number, tile, nonzero)
            once = nonzero.astype(np.int32)
            broadcasts += once.sum(axis=0)
            macs += tile.macs @ once
            entries += np.einsum("ck,cb->bk", tile.entries, once)
            results = self._round(step, tile.weights @ source, state[step.bias])
            state[step.destination] = written = saturate(results, self._config.act_width)
            if step.source != scanned:
                saturated.append(np.zeros(batch, np.int64))
                scanned = step.source
            saturated[-1] += (written != results).sum(axis=0)
        return outputs, masks, Statistics(
            broadcasts, macs, entries.sum(axis=1) - macs, entries,
            np.reshape(saturated, (len(saturated), batch)).T)

    def _round(self, step: _Step, acc: NDArray[np.int64], bias: NDArray[np.int64]
               ) -> NDArray[np.int64]:
        """Results before saturation."""
        # int64 sums may have wrapped at 64 bits; the low acc_width bits are still correct.
        acc = wrap(acc + (bias << step.bias_shift), self._config.acc_width)
        rounded = round_shift(acc, step.shift)
        return relu(rounded) if step.relu else rounded

    def _check_columns(self, number: int, tile: Tile, nonzero: NDArray[np.bool_]) -> None:
        bad = tile.invalid[nonzero[tile.invalid].any(axis=1)]
        if bad.size:
            raise GoldenError(f"Descriptor {number}: {tile.explain(int(bad[0]))}")

    def _descriptors(self, first: int) -> list[int]:
        final = self._memories.program["final"]
        if not 0 <= first < final.size:
            raise GoldenError(f"Program must start at a descriptor from 0 to {final.size - 1}, "
                              f"not {first}")
        last = np.flatnonzero(final[first:])
        if not last.size:
            raise GoldenError(f"Program must have a final descriptor from {first} on, but none up "
                              f"to {final.size - 1} is final")
        numbers = np.arange(first, first + int(last[0]) + 1)
        empty = numbers[self._memories.program["valid"][numbers] == 0]
        if empty.size:
            raise GoldenError(f"Descriptor {empty[0]}: valid must be set, as in all descriptors")
        return [int(number) for number in numbers]

    def _decode(self, number: int) -> _Step:
        config = self._config
        fields = _at(self._memories.program, number)
        start, end = fields["start"], fields["end"]
        first = start["source"] + self._offset * fields["offset_source"]
        source = self._rows(number, "start.source", first, start["last_word"])
        if start["send"]:
            return _Step(source, n_elements(config, start))
        if end["bias_shift"] > config.max_bias_shift:
            raise GoldenError(f"Descriptor {number}: end.bias_shift must be at most "
                              f"{config.max_bias_shift}, not {end['bias_shift']}")
        written = end["destination"] + self._offset * fields["offset_destination"]
        destination = self._rows(number, "end.destination", written, end["last_word"])
        bias = self._rows(number, "end.bias", end["bias"], end["last_word"])
        if _overlap(destination, source):
            raise GoldenError(f"Descriptor {number}: end.destination must not overlap its source, "
                              f"at {first}, but is at {written}")
        if _overlap(destination, bias):
            raise GoldenError(f"Descriptor {number}: end.destination must not overlap the biases, "
                              f"at {end['bias']}, but is at {written}")
        tile = Tile.decode(
            config, self._memories, ptr_base=fields["ptr_base"], codebook=start["codebook"],
            n_columns=source.stop - source.start, n_rows=(end["last_word"] + 1) * ACTS_PER_WORD)
        return _Step(source, 0, tile, destination, bias, end["bias_shift"], end["shift"],
                     bool(end["relu"]))

    def _rows(self, number: int, name: str, first: int, last_word: int) -> slice:
        """Convert rows of the activation SRAMs to a range of column numbers."""
        if first + last_word >= self._config.act_depth:
            raise GoldenError(f"Descriptor {number}: {name} must leave its {last_word + 1} rows "
                              f"below act_depth = {self._config.act_depth}, not begin at {first}")
        group = ACTS_PER_WORD * self._config.n_pe
        return slice(first * group, (first + last_word + 1) * group)

    def _check_barriers(self) -> None:
        """Check that no step reads rows of a tile that may be unwritten.

        A barrier delays only its own step: after a vector, tiles before it may still be unwritten.
        Check also that no tile overwrites a result that may still be being sent, by this program or
        by itself before, of either buffer. Hosts let other programs end first.
        """
        program, group = self._memories.program, ACTS_PER_WORD * self._config.n_pe
        first, n_rows = program["start"]["source"], program["start"]["last_word"] + 1
        shift = self._offset * program["offset_source"]
        sent = [(number, slice(int(begin[number]) * group,
                               int(begin[number] + n_rows[number]) * group))
                for number in self._numbers if program["start"]["send"][number]
                for begin in (first, first + shift)]
        unwritten: dict[int, slice] = {}
        for number, step in zip(self._numbers, self._steps):
            waits = program["barrier"][number]
            if waits and not program["start"]["send"][number]:
                unwritten.clear()
            for writer, rows in unwritten.items():
                if _overlap(rows, step.source) and not waits:
                    raise GoldenError(f"Descriptor {number}: barrier must be set, as it scans "
                                      f"rows that descriptor {writer} writes")
            unwritten[number] = step.destination
            for sender, rows in sent:
                if _overlap(step.destination, rows) and not program["result_barrier"][number]:
                    raise GoldenError(f"Descriptor {number}: result_barrier must be set, as it "
                                      f"writes rows that descriptor {sender} sends")


def _overlap(one: slice, other: slice) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def _at(fields: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Fields of one word."""
    return {name: _at(value, number) if isinstance(value, Mapping) else int(value[number])
            for name, value in fields.items()}
