"""Decoding of one tile from memory images to a sparse matrix; part of the golden model."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack

__all__ = ["Columns", "GoldenError", "Memories", "Tile"]

#: Most numbers of which maxima are taken at a time: 32 MB.
_CHUNK = 1 << 22

#: Reasons for which a column is invalid, by the code that :meth:`Tile.decode` stores.
_REASONS = {
    1: "its pointers, {pointer} and {pointer} + 1, are not in the ptr images",
    2: "its pointers span entries {begin} to {end}, {count} entries; "
       "a column has at most acc_depth = {depth}",
    3: "its entries, {begin} to {end}, are not all in the spmat image, which has {given}",
    4: "it has an entry for a row after {rows} - 1, the last one that the descriptor writes",
    5: "it has a code whose weight is not in the codebook image",
}


class GoldenError(ValueError):
    """Invalid memory images; the message names image or descriptor, PE and column."""


class Columns(NamedTuple):
    """Entries of the columns of a tile.

    Attributes
    ----------
    pointer : int64 (n_columns,)
        Number of the pointer to the first entry; the next one points after the last.
    begin, entries : int64 (n_pe, n_columns)
        Number of the first entry, and entries; 0 in the other PEs if the column belongs to one.
    missing : bool (n_pe, n_columns)
        True if one of the two pointers is not in the images.
    """

    pointer: NDArray[np.int64]
    begin: NDArray[np.int64]
    entries: NDArray[np.int64]
    missing: NDArray[np.bool_]


class Memories:
    """Memory images decoded to integers.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    images : :class:`dict` of :class:`str` to uint64 array (n_words, n_beats)
        Words of each memory instance, as from :func:`eie_hdl.packing.pack`. An image may be shorter
        than its memory.

    Attributes
    ----------
    program : :class:`dict`
        Fields of the descriptors, mirroring their layout.
    codes, zeros : int64 arrays
        Fields `v` and `z` of all spmat entries, PE 0 first.
    first_entry : int64 (n_pe + 1,)
        Start of each PE's entries in `codes` and `zeros`.
    codebooks : int64 (n_pe, n_codebooks << v_width)
        Weights; those from the PE's `n_weights` on are missing from the image.
    n_weights : int64 (n_pe,)
        Weights in each image.
    activations : int64 (act_depth * 4 * n_pe,)
        Activations and biases by column number, as one vector.

    Raises
    ------
    GoldenError
        If an image is missing, superfluous, too long or of another shape.
    """

    def __init__(self, config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]) -> None:
        instances = {name: image for name, *_, image in Layouts.of(config).images(config)}
        for name in images:
            if name not in instances:
                raise GoldenError(f"Image {name} matches no memory of this machine")
        fields = {}
        for name, (shape, depth) in instances.items():
            if name not in images:
                raise GoldenError(f"Image {name} is missing")
            words = images[name]
            if words.ndim != 2 or words.dtype != np.uint64 or len(words) > depth:
                raise GoldenError(f"Image {name} must be uint64 (words, beats) of at most {depth} "
                                  f"words, not {words.dtype} of shape {words.shape}")
            fields[name] = unpack(shape, words)

        self.program: dict[str, Any] = fields["ccu.program"]
        pes = range(config.n_pe)
        entries = [fields[f"pe_{pe}.spmat"] for pe in pes]
        self.codes = np.concatenate([entry["v"].ravel() for entry in entries])
        self.zeros = np.concatenate([entry["z"].ravel() for entry in entries])
        self.first_entry = np.cumsum([0, *(entry["v"].size for entry in entries)])
        # The last one stands for all numbers that are too great.
        self._pointers = np.full((config.n_pe, config.n_pointers + 1), -1)
        self._ptr_width = Layouts.of(config).ptr.width
        self.codebooks = np.zeros((config.n_pe, config.n_codebooks << config.v_width), np.int64)
        activations = np.zeros((config.act_depth * ACTS_PER_WORD, config.n_pe), np.int64)
        for pe in pes:
            for bank, name in enumerate(("ptr_even", "ptr_odd")):
                pointers = fields[f"pe_{pe}.{name}"]
                self._pointers[pe, bank:2 * len(pointers):2] = pointers
            weights = fields[f"pe_{pe}.codebook"]
            self.codebooks[pe, :len(weights)] = weights
            slots = fields[f"pe_{pe}.act"].ravel()
            activations[:len(slots), pe] = slots
        self.activations = activations.ravel()
        self.n_weights = np.array([len(fields[f"pe_{pe}.codebook"]) for pe in pes])

    def columns(self, ptr_base: int, n_columns: int, *, local: bool) -> Columns:
        """Find the entries of the columns of a tile.

        Parameters
        ----------
        ptr_base : :class:`int`
            Field of the descriptor.
        local : :class:`bool`
            True in local mode: the columns of a slot share the number of a pointer, and each
            belongs to one PE.
        """
        n_pe, stop = len(self._pointers), self._pointers.shape[1] - 1
        group = n_pe if local else 1
        slot, place = np.divmod(np.arange(n_columns), group)
        pointer = ptr_base + slot
        is_own = np.equal.outer(np.arange(n_pe) % group, place)
        begin, end = (np.where(is_own, self._pointers[:, np.minimum(number, stop)], 0)
                      for number in (pointer, pointer + 1))
        return Columns(pointer, begin, (end - begin) & ((1 << self._ptr_width) - 1),
                       (begin < 0) | (end < 0))


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """Weights and work of one tile.

    Attributes
    ----------
    weights : :class:`scipy.sparse.csr_array` of int64, n_pe * n_rows × n_columns
        Accumulator `r` of PE `k` is row ``r * n_pe + k``, the column number of its result. With
        `maximum`, each entry is 1.
    entries : int32 (n_columns, n_pe)
        Entries of each column, padding included. int32 suffices: the spmat SRAMs bound every sum.
    macs : int32 (n_columns,)
        Entries of all PEs without padding.
    invalid : int64 (n_invalid,)
        Columns with invalid entries in some PE. They are errors only if they are broadcast.
    maximum : :class:`bool`
        True if accumulators are maxima of activations, not sums of products.
    """

    weights: csr_array
    entries: NDArray[np.int32]
    macs: NDArray[np.int32]
    invalid: NDArray[np.int64]
    maximum: bool
    _reasons: NDArray[np.int64]
    _details: Mapping[str, Any]

    @classmethod
    def decode(cls, config: EIEConfig, memories: Memories, *, ptr_base: int, codebook: int,
               n_columns: int, n_rows: int, local: bool, maximum: bool) -> "Tile":
        """Decode all columns of a tile.

        Parameters
        ----------
        ptr_base, codebook : :class:`int`
            Fields of the descriptor.
        n_columns, n_rows : :class:`int`
            Columns of the source, and accumulators that each PE writes.
        local : :class:`bool`
            As of :meth:`Memories.columns`.
        maximum : :class:`bool`
            Field of the descriptor. Weights are then not used, and need not be in the image.
        """
        pointer, begin, count, missing = memories.columns(ptr_base, n_columns, local=local)
        n_entries = np.diff(memories.first_entry)[:, np.newaxis]
        reasons = np.select([missing, count > config.acc_depth,
                             (count > 0) & (begin + count > n_entries)], [1, 2, 3])
        valid_count = np.where(reasons, 0, count).ravel()

        # Below, arrays have one element per entry; `cell` is the flat index of its PE and column.
        cell = np.repeat(np.arange(valid_count.size), valid_count)
        first = np.cumsum(valid_count) - valid_count
        entry = np.arange(cell.size) - first[cell]
        entry += (begin + memories.first_entry[:-1, np.newaxis]).ravel()[cell]
        code = memories.codes[entry]
        row = _cumsum_by_cell(memories.zeros[entry] + 1, valid_count, first, cell) - 1
        pe, column = np.divmod(cell, n_columns)

        weight = (codebook << config.v_width) + code
        used = code != 0    # padding may point past the last row
        has_weight = maximum | (weight < memories.n_weights[pe])
        reason = np.select([used & (row >= n_rows), used & ~has_weight], [4, 5])
        bad = np.flatnonzero(reason)
        np.maximum.at(reasons.reshape(-1), cell[bad], reason[bad])
        kept = used & (reason == 0)
        weights = csr_array(
            (np.ones(np.count_nonzero(kept), np.int64) if maximum else
             memories.codebooks[pe[kept], weight[kept]],
             ((row[kept] * config.n_pe + pe[kept]).astype(np.int32),
              column[kept].astype(np.int32))),
            shape=(n_rows * config.n_pe, n_columns))
        return cls(weights, valid_count.reshape(reasons.shape).T.astype(np.int32, order="C"),
                   np.bincount(column[used], minlength=n_columns).astype(np.int32),
                   np.flatnonzero(reasons.any(axis=0)), maximum, reasons,
                   {"pointer": pointer, "begin": begin, "count": count, "given": n_entries,
                    "depth": config.acc_depth, "rows": n_rows})

    def accumulate(self, activations: NDArray[np.int64], sent: NDArray[np.bool_], lowest: int
                   ) -> NDArray[np.int64]:
        """Return the accumulators (n_pe * n_rows, pixels, batch) after the last column.

        Parameters
        ----------
        activations : int64 (n_columns, pixels, batch)
            Activations of the columns; 0 if they are not sent.
        sent : bool (n_columns, pixels, batch)
            True if they are sent.
        lowest : :class:`int`
            Lowest value of an activation. Maxima are counted from there.
        """
        if self.maximum:
            values = np.where(sent, activations - lowest, 0)
            sums = self._find_maxima(values.reshape(len(values), -1))
        else:
            sums = self.weights @ activations.reshape(len(activations), -1)
        return sums.reshape(len(sums), *activations.shape[1:])

    def _find_maxima(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Maxima of the columns of each row (n_pe * n_rows, n), at least 0."""
        weights = self.weights
        maxima = np.zeros((weights.shape[0], values.shape[1]), np.int64)
        rows = np.flatnonzero(np.diff(weights.indptr))
        if rows.size:
            step = max(1, _CHUNK // weights.nnz)
            for first in range(0, values.shape[1], step):
                part = slice(first, first + step)
                maxima[rows, part] = np.maximum.reduceat(values[weights.indices, part],
                                                         weights.indptr[rows])
        return maxima

    def explain(self, column: int) -> str:
        """Return the reason why a column is invalid, for the first PE concerned."""
        pe = int(np.flatnonzero(self._reasons[:, column])[0])
        details = self._details
        begin, count = int(details["begin"][pe, column]), int(details["count"][pe, column])
        reason = _REASONS[int(self._reasons[pe, column])].format(
            pointer=details["pointer"][column], begin=begin, end=begin + count, count=count,
            depth=details["depth"], given=details["given"][pe, 0], rows=details["rows"])
        return f"PE {pe} cannot walk column {column}: {reason}"


def _cumsum_by_cell(steps: NDArray[np.int64], lengths: NDArray[np.int64],
                    first: NDArray[np.int64], cell: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cumulative sum of the steps, restarting in each cell."""
    total = np.cumsum(steps)
    before = np.zeros(lengths.size, np.int64)
    filled = lengths > 0
    before[filled] = total[first[filled]] - steps[first[filled]]
    return total - before[cell]
