"""Groups of channels that a loop in local mode computes in one PE, as of depthwise convolutions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.sparse.csgraph import connected_components

from eie_hdl.config import EIEConfig

__all__ = ["ChannelGroups", "find_groups", "follow_groups", "place_groups"]


class ChannelGroups(NamedTuple):
    """Least sets of channels of a source and of a result with no weight between two sets.

    Attributes
    ----------
    sources, results : int64 arrays
        Group of each channel of the source, and of each channel of the result. A channel without
        weights is a group.
    weights : int64 (n_groups,)
        Weights of each group.
    """

    sources: NDArray[np.int64]
    results: NDArray[np.int64]
    weights: NDArray[np.int64]


def find_groups(codes: csc_array, n_taps: int) -> ChannelGroups:
    """Find the groups of a convolution, in the order of their first channels.

    Parameters
    ----------
    codes : csc_array (n_out, channels · n_taps)
        Codes of a pixel; columns by channel, then by tap.
    """
    results, columns = codes.tocoo().coords
    n_sources = codes.shape[1] // n_taps
    n_channels = n_sources + codes.shape[0]
    links = csc_array((np.ones(len(columns), bool), (columns // n_taps, n_sources + results)),
                      shape=(n_channels, n_channels))
    n_groups, groups = connected_components(links, directed=False)
    groups = groups.astype(np.int64)
    return ChannelGroups(groups[:n_sources], groups[n_sources:],
                         np.bincount(groups[n_sources:][results], minlength=n_groups))


def place_groups(config: EIEConfig, groups: ChannelGroups, mapping: str, *,
                 before: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place the channels of source and result within a pixel, those of a group in one PE.

    Parameters
    ----------
    mapping : ``"balanced"`` or ``"interleaved"``
        Groups by their weights, or group *i* in PE ``i mod n_pe``.
    before : int64 (n_sources,)
        Weights with which the layer before computes each channel of the source, in the same PE.

    Returns
    -------
    sources, results : int64 arrays
        Column number, slot · n_pe + PE, of each channel, within a pixel of either map.
    """
    work = groups.weights.copy()
    np.add.at(work, groups.sources, before)
    pes = _balance(config.n_pe, groups._replace(weights=work)) if mapping == "balanced" \
        else np.arange(len(work)) % config.n_pe
    return _number(config.n_pe, pes[groups.sources]), _number(config.n_pe, pes[groups.results])


def follow_groups(config: EIEConfig, groups: ChannelGroups, sources: NDArray[np.int64]
                  ) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Place the channels of a result where those of the source are.

    Parameters
    ----------
    sources : int64 array
        Column number of each channel of the source, within a pixel.

    Returns
    -------
    sources, results : int64 arrays
        As from :func:`place_groups`; None if a group is in several PEs.
    """
    first, last = np.full(len(groups.weights), config.n_pe), np.full(len(groups.weights), -1)
    np.minimum.at(first, groups.sources, sources % config.n_pe)
    np.maximum.at(last, groups.sources, sources % config.n_pe)
    is_free = last < 0    # a row without weights
    if (first != last)[~is_free].any():
        return None
    pes = np.where(is_free, np.arange(len(first)) % config.n_pe, first)
    return sources, _number(config.n_pe, pes[groups.results])


def _balance(n_pe: int, groups: ChannelGroups) -> NDArray[np.int64]:
    """Assign groups to PEs: the largest first, then the heaviest, to the least loaded PE with room.

    There is room for the fewest channels that the fullest PE can have; if a group finds none, for
    the fewest more.
    """
    n_groups = len(groups.weights)
    sizes = np.stack([np.bincount(of_map, minlength=n_groups)
                      for of_map in (groups.sources, groups.results)], axis=1)
    room = np.maximum(-(-sizes.sum(axis=0) // n_pe), sizes.max(axis=0))
    used, work = np.zeros((n_pe, 2), np.int64), np.zeros(n_pe, np.int64)
    pes = np.empty(n_groups, np.int64)
    for group in np.lexsort((-groups.weights, -sizes.sum(axis=1))):
        lacking = np.maximum(used + sizes[group] - room, 0).sum(axis=1)
        pe = np.lexsort((work, lacking))[0]
        pes[group] = pe
        work[pe] += groups.weights[group]
        used[pe] += sizes[group]
        room = np.maximum(room, used[pe])
    return pes


def _number(n_pe: int, pes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the columns of channels in these PEs: those of a PE in order, from its slot 0."""
    order = np.argsort(pes, kind="stable")
    ranked = pes[order]
    columns = np.empty(len(pes), np.int64)
    columns[order] = (np.arange(len(pes)) - np.searchsorted(ranked, ranked)) * n_pe + ranked
    return columns
