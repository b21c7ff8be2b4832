import numpy as np

from eie_compiler.frontends.output_names import name_outputs
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Clip, Tanh


def chain(*outputs):
    return Graph({"x": (3,)}, (Node("y2", Clip(0.0, 6.0), ("x",)), Node("act", Tanh(), ("y2",))),
                 outputs)


def test_each_output_has_its_name_and_its_numbers():
    graph = chain("y2", "act")
    x = np.random.default_rng(1).normal(size=(4, 3))
    values = evaluate_real(graph, {"x": x})
    named = name_outputs(graph, ["y1", "y2"])
    assert named.outputs == ("y1", "y2")
    found = evaluate_real(named, {"x": x})
    np.testing.assert_array_equal(found["y1"], values["y2"])
    np.testing.assert_array_equal(found["y2"], values["act"])


def test_a_node_that_is_no_output_gives_up_its_name():
    named = name_outputs(chain("act"), ["y2"])
    assert [(node.name, node.inputs) for node in named.nodes] == [("y2_2", ("x",)),
                                                                  ("y2", ("y2_2",))]


def test_copies_of_inputs_and_of_equal_outputs():
    named = name_outputs(chain("act", "act", "x"), ["a", "b", "x"])
    assert named.outputs == ("a", "b", "x_2")
    x = np.random.default_rng(2).normal(size=(4, 3))
    found = evaluate_real(named, {"x": x})
    np.testing.assert_array_equal(found["a"], found["b"])
    np.testing.assert_array_equal(found["x_2"], x)


def test_names_are_plain():
    assert name_outputs(chain("act"), ["/head/out\n"]).outputs == ("output1",)
    assert name_outputs(chain("y2", "act"), ["/a/b", "b/../a/b"]).outputs == ("a.b", "a.b_2")
