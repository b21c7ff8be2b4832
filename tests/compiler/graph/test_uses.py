from eie_compiler.graph.graph import Node
from eie_compiler.graph.operations import Add, Tanh
from eie_compiler.graph.uses import count_uses


def test_each_operand_and_each_output_is_a_use():
    nodes = Node("twice", Add(), ("x", "x")), Node("tanh", Tanh(), ("twice",))
    assert count_uses(iter(nodes), ("tanh", "twice")) == {"x": 2, "twice": 2, "tanh": 1}
    assert count_uses(nodes, ("tanh",))["other"] == 0
