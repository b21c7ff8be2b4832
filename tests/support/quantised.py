"""Quantised models in ONNX, and their results in onnxruntime, for tests."""

import logging
import re

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from eie_compiler.graph.evaluation import evaluate_real

__all__ = ["model_of", "quantise", "results", "run"]

FLOAT = TensorProto.FLOAT


def model_of(nodes, constants, shape, *, result=(None, None), types=(FLOAT, FLOAT), opset=21,
             domains=()):
    """Make a model of nodes "operation: inputs -> output", each with attributes, from x to y."""
    made = []
    for text, attributes in nodes:
        operation, inputs, output = re.split(": | -> ", text)
        made.append(helper.make_node(operation, ["" if name == "_" else name
                                                 for name in inputs.split()], [output],
                                     **attributes))
    return helper.make_model(
        helper.make_graph(
            made, "g", [helper.make_tensor_value_info("x", types[0], ["n", *shape])],
            [helper.make_tensor_value_info("y", types[1], result)],
            [value if isinstance(value, TensorProto)
             else numpy_helper.from_array(np.asarray(value), name)
             for name, value in constants.items()]),
        opset_imports=[helper.make_opsetid("", opset),
                       *(helper.make_opsetid(domain, 1) for domain in domains)],
        ir_version=10 if opset > 20 else 8)


class _Inputs(CalibrationDataReader):

    def __init__(self, arrays):
        self._arrays = iter(arrays)

    def get_next(self):
        array = next(self._arrays, None)
        return None if array is None else {"x": array}


def quantise(model, folder, arrays, **options):
    """Quantise a model with onnxruntime, calibrated on arrays."""
    onnx.save(model, folder / "float.onnx")
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)    # its advice
    try:
        quantize_static(folder / "float.onnx", folder / "int.onnx", _Inputs(arrays), **options)
    finally:
        logging.root.setLevel(level)
    return onnx.load(folder / "int.onnx")


def run(model, x):
    """Compute the output with onnxruntime, node by node."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def results(graph, x):
    """Compute the output of a graph, or of a model, in real numbers."""
    if not hasattr(graph, "nodes"):
        return graph(x)
    return evaluate_real(graph, {next(iter(graph.inputs)): x.astype(np.float64)})[graph.outputs[0]]
