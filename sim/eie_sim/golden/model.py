"""Bit-exact reference of the machine, executing the same memory images as the hardware."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.numeric import limits, relu, round_shift, saturate, wrap

from .descriptors import Program, Step
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
        Results of each layer that were beyond `act_width` bits. A layer is the consecutive
        descriptors of one source.
    """

    broadcasts: NDArray[np.int64]
    macs: NDArray[np.int64]
    paddings: NDArray[np.int64]
    entries: NDArray[np.int64]
    saturated: NDArray[np.int64]


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
        self._memories = Memories(config, images)
        self._program = Program(config, self._memories, first, offset)

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
            If the inputs do not fit, or an activation that is processed selects an invalid column.
        """
        padded, first, n_columns = self._place(inputs, base)
        size = max(1, _CHUNK // n_columns)
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
        """
        masks: list[NDArray[np.bool_]] = []
        self._run_chunk(*self._place(inputs, base), masks)
        return masks

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
                         *(rows.stop for step in self._program.steps
                           for rows in (step.source, step.destination, step.bias, step.factor)
                           if rows)])
        return padded, base * group, n_columns

    def _run_chunk(self, inputs: NDArray[np.int64], first: int, n_columns: int,
                   masks: list[NDArray[np.bool_]] | None = None
                   ) -> tuple[list[NDArray[np.int64]], Statistics]:
        """Run a batch at once. Masks are as large as the patches, so they are made on request."""
        batch = len(inputs)
        # All activations by column number, so that a vector is a range of rows.
        state = np.empty((n_columns, batch), np.int64)
        state[:] = self._memories.activations[:n_columns, np.newaxis]
        state[first:first + inputs.shape[1]] = inputs.T

        outputs = []
        broadcasts = np.zeros(batch, np.int64)
        macs = np.zeros(batch, np.int64)
        entries = np.zeros((batch, self._config.n_pe), np.int64)
        saturated: list[NDArray[np.int64]] = []
        scanned = None
        for number, step in zip(self._program.numbers, self._program.steps):
            if masks is not None:
                masks.append(_mask(step, state[step.source]))
            if (tile := step.tile) is None:
                outputs.append(state[step.source][:step.n_sent].T.copy())
                continue
            if step.source != scanned:
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
                results = self._round(step, acc + _addend(step, state))
                words = saturate(results, self._config.act_width)
                saturated[-1] += (words != results).sum(axis=(0, 1))
                written = apply_table(step.table, words, self._config.act_width)
                # The slots of a pixel follow those of the pixel before.
                begin, end = end, end + n_pixels * len(written)
                state[begin:end] = written.swapaxes(0, 1).reshape(end - begin, batch)
            # Zeros fill up the last row.
            state[end:end + -end % (ACTS_PER_WORD * self._config.n_pe)] = 0
        return outputs, Statistics(
            broadcasts, macs, entries.sum(axis=1) - macs, entries,
            np.reshape(saturated, (len(saturated), batch)).T)

    def _round(self, step: Step, acc: NDArray[np.int64]) -> NDArray[np.int64]:
        """Results before saturation."""
        # int64 sums may have wrapped at 64 bits; the low acc_width bits are still correct.
        rounded = round_shift(wrap(acc, self._config.acc_width), step.shift)
        return relu(rounded) if step.relu else rounded

    def _check_columns(self, number: int, tile: Tile, sent: NDArray[np.bool_]) -> None:
        bad = tile.invalid[sent[tile.invalid].any(axis=(1, 2))]
        if bad.size:
            raise GoldenError(f"Descriptor {number}: {tile.explain(int(bad[0]))}")


def _addend(step: Step, state: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is added to the accumulators of each pixel as they are drained (n_rows, 1, batch)."""
    bias = state[step.bias, np.newaxis]
    if step.factor is None:
        return bias << step.bias_shift
    return bias * state[step.factor, np.newaxis]


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
