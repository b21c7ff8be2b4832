"""Mappings of the rows of a layer to PEs and their slots."""

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..network import Layer

__all__ = ["MAPPINGS", "balanced", "interleaved", "n_slots", "n_tiles", "row_weights"]


def row_weights(layer: Layer) -> NDArray[np.int64]:
    """Count the weights of each row of a layer."""
    return np.bincount(layer.codes.indices, minlength=layer.n_rows)


def n_slots(n_elements: int, n_pe: int) -> int:
    """Compute the number of slots of a vector in each PE.

    It is the minimum: each slot takes a pointer per PE in the layer that reads it, and an element
    of the activation SRAM.
    """
    return -(-n_elements // n_pe)


def n_tiles(config: EIEConfig, n_rows: int) -> int:
    """Compute the number of tiles of a layer."""
    return -(-n_slots(n_rows, config.n_pe) // config.acc_depth)


def interleaved(config: EIEConfig, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Map row *i* to slot ``i div n_pe`` of PE ``i mod n_pe``, as in the paper.

    Parameters
    ----------
    weights : int64, n_rows
        Work of each row; only the number of rows matters here.

    Returns
    -------
    int64, n_rows
        Column number, slot · n_pe + PE, of each row.
    """
    return np.arange(len(weights))


def balanced(config: EIEConfig, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Balance the work of all PEs in every tile: heaviest row first, to the least loaded PE.

    Each tile gets its share of heavy and light rows; within a tile, a PE takes rows while it has
    slots. Where the rows cannot be divided equally, the first PEs have an extra row, so that column
    numbers are without a gap. Exchanges then reduce the remaining differences. Ties go to the first
    row and PE, and the rows of a PE stay in order, so the result does not depend on the host
    computer.

    Parameters
    ----------
    weights : int64, n_rows
        Work of each row: its number of nonzeros.

    Returns
    -------
    int64, n_rows
        Column number, slot · n_pe + PE, of each row.
    """
    n_pe, slots = config.n_pe, n_slots(len(weights), config.n_pe)
    heaviest_first = np.argsort(-weights, kind="stable")
    tile_of_rank = _assign_tiles(len(weights), n_pe * config.acc_depth)
    columns = np.empty(len(weights), np.int64)
    for tile in range(-(-slots // config.acc_depth)):
        rows = heaviest_first[tile_of_rank == tile]
        first_slot = tile * config.acc_depth
        capacity = -((np.arange(n_pe) - len(rows)) // n_pe)    # rows of each PE
        pes = _least_loaded(weights[rows], capacity)
        _reduce_imbalance(weights[rows], pes, capacity)
        order = np.lexsort((rows, pes))
        rows, pes = rows[order], pes[order]
        slot = np.arange(len(rows)) - np.searchsorted(pes, pes)    # rank within the PE
        columns[rows] = (first_slot + slot) * n_pe + pes
    return columns


def _assign_tiles(n_rows: int, rows_per_tile: int) -> NDArray[np.int64]:
    """Assign ranks to tiles, so that each tile gets evenly spaced ranks."""
    sizes = [min(rows_per_tile, n_rows - first) for first in range(0, n_rows, rows_per_tile)]
    at = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    tiles = np.repeat(np.arange(len(sizes)), sizes)
    return tiles[np.argsort(at, kind="stable")]


def _least_loaded(weights: NDArray[np.int64], capacity: NDArray[np.int64]) -> NDArray[np.int64]:
    """Assign each row in order to the least loaded PE with fewer rows than its `capacity`."""
    heap = [(0, pe, 0) for pe in np.flatnonzero(capacity).tolist()]    # work, PE, rows
    pes = np.empty(len(weights), np.int64)
    for rank, weight in enumerate(weights.tolist()):
        work, pe, rows = heap[0]
        pes[rank] = pe
        if rows + 1 < capacity[pe]:
            heapq.heapreplace(heap, (work + weight, pe, rows + 1))
        else:
            heapq.heappop(heap)
    return pes


def _reduce_imbalance(weights: NDArray[np.int64], pes: NDArray[np.int64],
                      capacity: NDArray[np.int64]) -> None:
    """Exchange rows between the PEs with the most and the least work.

    Each exchange minimises the difference of the two; exchanges end when none reduces it. `pes` is
    modified in place.
    """
    rows = [np.flatnonzero(pes == pe) for pe in range(len(capacity))]
    work = np.array([weights[of_pe].sum() for of_pe in rows])
    while True:
        most, least = np.argmax(work), np.argmin(work)
        if not rows[least].size:
            break
        excess = work[most] - work[least]
        moves = weights[rows[most]][:, np.newaxis] - weights[rows[least]]
        a, b = np.unravel_index(np.argmin(np.abs(2 * moves - excess)), moves.shape)
        if not 0 < moves[a, b] < excess:
            break
        work[most] -= moves[a, b]
        work[least] += moves[a, b]
        rows[most][a], rows[least][b] = rows[least][b], rows[most][a]
    for pe, of_pe in enumerate(rows):
        pes[of_pe] = pe


#: Mappings by name.
MAPPINGS: dict[str, Any] = {"balanced": balanced, "interleaved": interleaved}
