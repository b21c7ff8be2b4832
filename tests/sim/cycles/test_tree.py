"""The cycle model's table of the tree against the tree in hardware."""

import pytest
from amaranth.hdl import Module

from eie_hdl.config import EIEConfig
from eie_hdl.tree.tree import Link, add_tree_nodes
from eie_sim.cycles.tree import make_tree


@pytest.mark.parametrize("n_pe", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_nodes_have_the_children_that_they_have_in_the_machine(n_pe):
    config, m = EIEConfig(n_pe=n_pe), Module()
    add_tree_nodes(m, Link(config).flip().create(), config)
    # Only for the names: nothing is elaborated.
    for module in (m, *(node for node, _ in m._named_submodules.values())):
        module._MustUse__used = True
    names = [name for name in m._named_submodules if name.startswith("node_")]
    table = make_tree(config)
    assert len(names) == len(table.first_child) - 1
    assert sorted(table.pes.tolist()) == list(range(n_pe))
    # A node is named by its level and the lowest of its PEs; numbers go by level.
    lowest = [*(int(name.rsplit("_", 1)[1]) for name in names), *table.pes.tolist()]
    assert sorted(names, key=lambda name: int(name.split("_")[1])) == names
    for node, (first, stop) in enumerate(zip(table.first_child, table.first_child[1:])):
        assert min(lowest[first:stop]) == lowest[node]
        assert set(table.parent[first:stop]) == {node}
