"""Table of the tree between the CCU and the PEs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig, clog2

__all__ = ["Tree", "make_tree"]


class Tree(NamedTuple):
    """Nodes, then PEs, numbered level by level from the root, 0.

    Attributes
    ----------
    first_child : int64 (n_nodes + 1,)
        The children of node `n` are ``first_child[n]`` to ``first_child[n + 1] - 1``.
    parent : int64 (n_nodes + n_pe,)
        Parent node; the root is its own parent.
    pes : int64 (n_pe,)
        Index of each PE in the machine.
    """

    first_child: NDArray[np.int64]
    parent: NDArray[np.int64]
    pes: NDArray[np.int64]


def make_tree(config: EIEConfig) -> Tree:
    """Return the tree that :func:`eie_hdl.tree.tree.add_tree_nodes` builds."""
    level, first_child = [0], [1]
    while len(level) < config.n_pe:
        n_children = 2 if clog2(config.n_pe // len(level)) % 2 else 4
        level = [pe + child * len(level) for pe in level for child in range(n_children)]
        first_child += [first_child[-1] + n_children * (node + 1)
                        for node in range(len(level) // n_children)]
    parent = np.repeat(np.arange(len(first_child) - 1), np.diff(first_child))
    return Tree(np.array(first_child), np.concatenate([[0], parent]), np.array(level))
