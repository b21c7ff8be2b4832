"""Groups of channels that loops in local mode compute in one PE, as of depthwise convolutions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.sparse.csgraph import connected_components

from eie_hdl.config import EIEConfig

__all__ = ["ChannelGroups", "Links", "find_groups", "place_groups"]

#: Channels of a source and of a result, in pairs, that weights connect.
Links = tuple[NDArray[np.int64], NDArray[np.int64]]


class ChannelGroups(NamedTuple):
    """Least sets of channels of several maps with no weight between two sets.

    Attributes
    ----------
    groups : :class:`dict` of :class:`int` to int64 array
        Group of each channel, by the number of the map. A channel without weights is a group.
    weights : int64 (n_groups,)
        Weights of each group.
    """

    groups: dict[int, NDArray[np.int64]]
    weights: NDArray[np.int64]


def find_groups(links: Mapping[tuple[int, int], Links], work: Mapping[int, NDArray[np.int64]]
                ) -> ChannelGroups:
    """Find the groups of maps, in the order of their first channels.

    Parameters
    ----------
    links : mapping of pair of :class:`int` to :data:`Links`
        Channels that are connected, by the numbers of their maps.
    work : mapping of :class:`int` to int64 (n_channels,)
        Weights with which each channel is computed, by the number of the map.
    """
    maps = sorted(work)
    bounds = np.cumsum([0, *(len(work[number]) for number in maps)])
    first = dict(zip(maps, bounds.tolist()))
    ends: list[list[NDArray[np.int64]]] = [[np.zeros(0, np.int64)], [np.zeros(0, np.int64)]]
    for pair, channels in links.items():
        for end, number, each in zip(ends, pair, channels):
            end.append(each + first[number])
    one, other = map(np.concatenate, ends)
    graph = csc_array((np.ones(len(one), bool), (one, other)), shape=(bounds[-1], bounds[-1]))
    n_groups, found = connected_components(graph, directed=False)
    groups = found.astype(np.int64)
    weights = np.bincount(groups, np.concatenate([work[number] for number in maps]), n_groups)
    return ChannelGroups(dict(zip(maps, np.split(groups, bounds[1:-1]))),
                         weights.astype(np.int64))


def place_groups(config: EIEConfig, groups: ChannelGroups, mapping: str
                 ) -> dict[int, NDArray[np.int64]]:
    """Place the channels of maps within a pixel, those of a group in one PE.

    Parameters
    ----------
    mapping : ``"balanced"`` or ``"interleaved"``
        Groups by their weights, or group *i* in PE ``i mod n_pe``.

    Returns
    -------
    :class:`dict` of :class:`int` to int64 array
        Column number, slot · n_pe + PE, of each channel, within a pixel, by the number of the map.
    """
    of_maps = list(groups.groups.values())
    pes = _balance(config.n_pe, of_maps, groups.weights) if mapping == "balanced" \
        else np.arange(len(groups.weights)) % config.n_pe
    return {number: _number(config.n_pe, pes[each]) for number, each in groups.groups.items()}


def _balance(n_pe: int, of_maps: Sequence[NDArray[np.int64]], weights: NDArray[np.int64]
             ) -> NDArray[np.int64]:
    """Assign groups to PEs: the largest first, then the heaviest, to the least loaded PE with room.

    There is room for the fewest channels that the fullest PE can have; if a group finds none, for
    the fewest more.
    """
    sizes = np.stack([np.bincount(of_map, minlength=len(weights)) for of_map in of_maps], axis=1)
    room = np.maximum(-(-sizes.sum(axis=0) // n_pe), sizes.max(axis=0))
    used, work = np.zeros((n_pe, len(of_maps)), np.int64), np.zeros(n_pe, np.int64)
    pes = np.empty(len(weights), np.int64)
    for group in np.lexsort((-weights, -sizes.sum(axis=1))):
        lacking = np.maximum(used + sizes[group] - room, 0).sum(axis=1)
        pe = np.lexsort((work, lacking))[0]
        pes[group] = pe
        work[pe] += weights[group]
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
