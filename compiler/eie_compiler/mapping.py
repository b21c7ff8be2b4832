"""Which row of a layer goes to which processing element, and into which of its slots."""

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

__all__ = ["MAPPINGS", "balanced", "interleaved", "n_slots"]


def n_slots(n_elements: int, n_pe: int) -> int:
    """Slots of each PE that a vector takes.

    As few as can be: each takes a pointer per PE in the layer that reads it, and a seat in the
    activation SRAM.
    """
    return -(-n_elements // n_pe)


def interleaved(config: EIEConfig, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put row *i* into slot ``i div n_pe`` of PE ``i mod n_pe``, as the paper does.

    Parameters
    ----------
    weights : int64, n_rows
        Work of each row; only their number matters here.

    Returns
    -------
    int64, n_rows
        Column number, slot · n_pe + PE, of each row.
    """
    return np.arange(len(weights))


def balanced(config: EIEConfig, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give all PEs the same work in every tile: heaviest row first, to the PE with the least.

    Each tile gets its share of heavy and of light rows, and within a tile a PE takes rows while it
    has slots. Rows of equal work stay in order, and so do the rows of a PE, so that the result does
    not depend on the machine it is computed on.

    Parameters
    ----------
    weights : int64, n_rows
        Work of each row: its nonzeros.

    Returns
    -------
    int64, n_rows
        Column number, slot · n_pe + PE, of each row.
    """
    n_pe, slots = config.n_pe, n_slots(len(weights), config.n_pe)
    heaviest_first = np.argsort(-weights, kind="stable")
    tile_of_rank = _deal(len(weights), n_pe * config.acc_depth)
    columns = np.empty(len(weights), np.int64)
    for tile in range(-(-slots // config.acc_depth)):
        rows = heaviest_first[tile_of_rank == tile]
        first_slot = tile * config.acc_depth
        pes = _least_loaded(weights[rows], n_pe, min(config.acc_depth, slots - first_slot))
        order = np.lexsort((rows, pes))
        rows, pes = rows[order], pes[order]
        slot = np.arange(len(rows)) - np.searchsorted(pes, pes)    # rank within the PE
        columns[rows] = (first_slot + slot) * n_pe + pes
    return columns


def _deal(n_rows: int, tile_places: int) -> NDArray[np.int64]:
    """Tile of each rank, so that each tile takes ranks at even distances until it is full."""
    sizes = [min(tile_places, n_rows - first) for first in range(0, n_rows, tile_places)]
    at = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    tiles = np.repeat(np.arange(len(sizes)), sizes)
    return tiles[np.argsort(at, kind="stable")]


def _least_loaded(weights: NDArray[np.int64], n_pe: int, capacity: int) -> NDArray[np.int64]:
    """PE of each row, in order of the rows; no PE gets more rows than `capacity`."""
    heap = [(0, pe, 0) for pe in range(n_pe)]    # work, PE, rows
    pes = np.empty(len(weights), np.int64)
    for rank, weight in enumerate(weights.tolist()):
        work, pe, rows = heap[0]
        pes[rank] = pe
        if rows + 1 < capacity:
            heapq.heapreplace(heap, (work + weight, pe, rows + 1))
        else:
            heapq.heappop(heap)
    return pes


#: Mappings by name.
MAPPINGS: dict[str, Any] = {"balanced": balanced, "interleaved": interleaved}
