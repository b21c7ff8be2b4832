"""One tile, from what the memories hold to a sparse matrix; part of the golden model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack

__all__ = ["GoldenError", "Memories", "Tile"]

#: Why the entries of a column cannot be walked; the number is what :meth:`Tile.decode` notes.
_REASONS = {
    1: "its pointers, {pointer} and {pointer} + 1, are not in the image of the pointers",
    2: "its pointers lead from entry {begin} to {end}, {count} entries; "
       "a column has no more than acc_depth = {depth}",
    3: "its entries, {begin} to {end}, are not all in the image of the spmat, which has {given}",
    4: "it has an entry for a row after {rows} - 1, the last one that the descriptor writes",
    5: "it has a code whose weight is not in the image of the codebooks",
}


class GoldenError(ValueError):
    """Images that no machine can run; the message names image or descriptor, PE and column."""


class Memories:
    """What the memory images hold, as numbers.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    images : :class:`dict` of :class:`str` to uint64 array (n_words, n_beats)
        Words of each memory instance, as :func:`eie_hdl.format.pack` makes them. An image may be
        shorter than its memory.

    Attributes
    ----------
    program : :class:`dict`
        Fields of the descriptors, mirroring their layout.
    codes, zeros : int64 arrays
        Fields `v` and `z` of all spmat entries, those of PE 0 first.
    first_entry : int64 (n_pe + 1,)
        Where the entries of each PE begin in `codes` and `zeros`.
    pointers : int64 (n_pe, n_pointers)
        Pointers of both banks; −1 where there is none in the image.
    codebooks : int64 (n_pe, n_codebooks << v_width)
        Weights; those from `n_weights` of the PE on are not in the image.
    n_weights : int64 (n_pe,)
        Weights in each image.
    activations : int64 (act_depth * 4 * n_pe,)
        Activations and biases in order of column number, as if all were one vector.

    Raises
    ------
    GoldenError
        If an image is missing, superfluous, too long or of another shape.
    """

    def __init__(self, config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]) -> None:
        instances = {name: image for name, *_, image in Layouts.of(config).images(config)}
        for name in images:
            if name not in instances:
                raise GoldenError(f"Image {name} is for no memory of this machine")
        fields = {}
        for name, (shape, depth) in instances.items():
            if name not in images:
                raise GoldenError(f"Image {name} is missing")
            words = images[name]
            if words.ndim != 2 or words.dtype != np.uint64 or len(words) > depth:
                raise GoldenError(f"Image {name} must be uint64 of {depth} words or less by their "
                                  f"beats, not {words.dtype} of shape {words.shape}")
            fields[name] = unpack(shape, words)

        self.program: dict[str, Any] = fields["ccu.program"]
        pes = range(config.n_pe)
        entries = [fields[f"pe_{pe}.spmat"] for pe in pes]
        self.codes = np.concatenate([entry["v"].ravel() for entry in entries])
        self.zeros = np.concatenate([entry["z"].ravel() for entry in entries])
        self.first_entry = np.cumsum([0, *(entry["v"].size for entry in entries)])
        self.pointers = np.full((config.n_pe, config.n_pointers), -1)
        self.codebooks = np.zeros((config.n_pe, config.n_codebooks << config.v_width), np.int64)
        activations = np.zeros((config.act_depth * ACTS_PER_WORD, config.n_pe), np.int64)
        for pe in pes:
            for bank, name in enumerate(("ptr_even", "ptr_odd")):
                pointers = fields[f"pe_{pe}.{name}"]
                self.pointers[pe, bank:2 * len(pointers):2] = pointers
            weights = fields[f"pe_{pe}.codebook"]
            self.codebooks[pe, :len(weights)] = weights
            slots = fields[f"pe_{pe}.act"].ravel()
            activations[:len(slots), pe] = slots
        self.activations = activations.ravel()
        self.n_weights = np.array([len(fields[f"pe_{pe}.codebook"]) for pe in pes])


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """What a tile multiplies by.

    Attributes
    ----------
    weights : :class:`scipy.sparse.csr_array` of int64, n_pe * n_rows × n_columns
        Accumulator `r` of PE `k` is row ``r * n_pe + k``, which is the result's column number.
    entries : int32 (n_columns, n_pe)
        Entries of each column, padding included. No sum overflows, as all are in memory at once.
    macs : int32 (n_columns,)
        Those that are not padding, of all PEs.
    wrong : int64 (n_wrong,)
        Columns that some PE cannot walk. It matters only if they are broadcast.
    """

    weights: csr_array
    entries: NDArray[np.int32]
    macs: NDArray[np.int32]
    wrong: NDArray[np.int64]
    _reasons: NDArray[np.int64]
    _texts: Mapping[str, Any]

    @classmethod
    def decode(cls, config: EIEConfig, memories: Memories, *, ptr_base: int, codebook: int,
               n_columns: int, n_rows: int) -> "Tile":
        """Walk all columns of a tile.

        Parameters
        ----------
        ptr_base, codebook : :class:`int`
            Fields of the descriptor.
        n_columns, n_rows : :class:`int`
            Columns that can be broadcast, and accumulators of each PE that are written.
        """
        pointers = np.full((config.n_pe, n_columns + 1), -1)
        given = memories.pointers[:, ptr_base:ptr_base + n_columns + 1]
        pointers[:, :given.shape[1]] = given
        begin, end = pointers[:, :-1], pointers[:, 1:]
        count = (end - begin) & ((1 << Layouts.of(config).ptr.width) - 1)

        n_entries = np.diff(memories.first_entry)[:, np.newaxis]
        reasons = np.select([(begin < 0) | (end < 0), count > config.acc_depth,
                             (count > 0) & (begin + count > n_entries)], [1, 2, 3])
        walked = np.where(reasons, 0, count).ravel()

        # From here on one element is one entry; `place` is its PE and column as one number.
        place = np.repeat(np.arange(walked.size), walked)
        first = np.cumsum(walked) - walked
        entry = np.arange(place.size) - first[place]
        entry += (begin + memories.first_entry[:-1, np.newaxis]).ravel()[place]
        code = memories.codes[entry]
        row = _within(memories.zeros[entry] + 1, walked, first, place) - 1
        pe, column = np.divmod(place, n_columns)

        weight = (codebook << config.v_width) + code
        used = code != 0    # the row of padding may not exist
        reason = np.select([used & (row >= n_rows), used & (weight >= memories.n_weights[pe])],
                           [4, 5])
        bad = np.flatnonzero(reason)
        np.maximum.at(reasons.reshape(-1), place[bad], reason[bad])
        kept = used & (reason == 0)
        weights = csr_array(
            (memories.codebooks[pe[kept], weight[kept]],
             ((row[kept] * config.n_pe + pe[kept]).astype(np.int32),
              column[kept].astype(np.int32))),
            shape=(n_rows * config.n_pe, n_columns))
        return cls(weights, walked.reshape(reasons.shape).T.astype(np.int32, order="C"),
                   np.bincount(column[used], minlength=n_columns).astype(np.int32),
                   np.flatnonzero(reasons.any(axis=0)), reasons,
                   {"ptr_base": ptr_base, "begin": begin, "count": count, "given": n_entries,
                    "depth": config.acc_depth, "rows": n_rows})

    def explain(self, column: int) -> str:
        """What is wrong with a column; of the first PE that cannot walk it."""
        pe = int(np.flatnonzero(self._reasons[:, column])[0])
        begin, count = int(self._texts["begin"][pe, column]), int(self._texts["count"][pe, column])
        reason = _REASONS[int(self._reasons[pe, column])].format(
            pointer=self._texts["ptr_base"] + column, begin=begin, end=begin + count, count=count,
            depth=self._texts["depth"], given=self._texts["given"][pe, 0],
            rows=self._texts["rows"])
        return f"PE {pe} cannot walk column {column}: {reason}"


def _within(steps: NDArray[np.int64], lengths: NDArray[np.int64], first: NDArray[np.int64],
            place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of the steps so far, starting anew in each column."""
    total = np.cumsum(steps)
    before = np.zeros(lengths.size, np.int64)
    filled = lengths > 0
    before[filled] = total[first[filled]] - steps[first[filled]]
    return total - before[place]
