"""Tasks and how their models are read."""

import dataclasses
import re

import numpy as np
import pytest

from eie_bench.networks.task import read_fields, read_graph
from eie_bench.sharing import DataError
from eie_compiler.graph.evaluation import evaluate_real


def test_a_chain_becomes_a_graph_of_one_node(tmp_path):
    weight = np.random.default_rng(1).normal(size=(2, 3))
    np.savez(tmp_path / "net.npz", **{"fc.weight": weight})
    graph = read_graph(tmp_path / "net.npz")
    x = np.eye(3)
    np.testing.assert_allclose(evaluate_real(graph, {"input": x})["output"], weight.T)


@pytest.mark.parametrize("node, shape, weight, stored", [
    ("MatMul", [3], np.arange(6).reshape(3, 2), (3,)),
    ("Conv", [3, 4, 5], np.arange(24).reshape(2, 3, 2, 2), (3, 1, 1)),
])
def test_preprocessing_of_a_chain_is_that_of_the_input(tmp_path, node, shape, weight, stored):
    onnx = pytest.importorskip("onnx")
    value, helper = onnx.helper.make_tensor_value_info, onnx.helper
    scale, shift = (np.float32(array).reshape(stored) for array in ([2, 40, 1], [30, -1, 0]))
    made = helper.make_graph(
        [helper.make_node("Mul", ["x", "s"], ["a"]), helper.make_node("Add", ["a", "t"], ["b"]),
         helper.make_node(node, ["b", "w"], ["y"])], "g",
        [value("x", onnx.TensorProto.FLOAT, [None, *shape])],
        [value("y", onnx.TensorProto.FLOAT, [None] * (1 + len(shape)))],
        [onnx.numpy_helper.from_array(array, name)
         for name, array in (("s", scale), ("t", shift), ("w", np.float32(weight)))])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)]),
              tmp_path / "net.onnx")
    graph = read_graph(tmp_path / "net.onnx")
    assert [one.name for one in graph.nodes] == ["output"]
    assert graph.preprocessing["input"].scale.shape == stored
    x = np.random.default_rng(1).normal(size=(4, *shape))
    layers = dataclasses.replace(graph, preprocessing={})
    np.testing.assert_allclose(evaluate_real(graph, {"input": x})["output"],
                               evaluate_real(layers, {"input": x * scale + shift})["output"])


def test_the_first_inputs_make_a_shorter_task(task):
    short = task.first(5)
    assert len(short.inputs["x"]) == len(short.labels) == 5 and short.v_widths == (4,)
    assert short.expected == () and len(short.calibration["x"]) == 9


def test_missing_arrays_are_named(tmp_path):
    np.savez(tmp_path / "data.npz", a=np.zeros(1))
    message = f"{tmp_path / 'data.npz'} must contain a, b, but b is missing"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_fields(tmp_path / "data.npz", "a", "b")
