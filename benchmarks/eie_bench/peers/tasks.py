"""Networks that are compared, with their test images."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compression.decompress import decompress
from eie_compiler.files.network_file import read_network
from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.frontends import read_chain
from eie_compiler.model import Model
from eie_compiler.network import CompressedNetwork
from eie_sim.demo.digits import FOLDER, load_digits

from ..lenet import prepare_lenet
from ..sharing import DataError

__all__ = ["Task", "make_digits", "make_lenet", "write_onnx"]


class Task(NamedTuple):
    """A network and its images.

    Attributes
    ----------
    name : :class:`str`
        Name of the network.
    network : :class:`~eie_compiler.network.CompressedNetwork`
        The pruned network with shared weights.
    model : :class:`~eie_compiler.model.Model`
        The same weights in floating point, zeros included: what the others run.
    dense : :class:`~eie_compiler.model.Model`, optional
        The network before pruning, if it is known.
    calibration : float64 (n, n_inputs)
        Training images, from which each design takes its formats and scales.
    images : float64 (n, n_inputs)
        Test images with values from 0 to 1, in random order.
    labels : (n,)
        Their classes.
    """

    name: str
    network: CompressedNetwork
    model: Model
    dense: Model | None
    calibration: NDArray[np.float64]
    images: NDArray[np.float64]
    labels: NDArray[Any]

    @property
    def n_weights(self) -> int:
        """Number of weights, zeros included."""
        return sum(layer.n_rows * layer.n_cols for layer in self.model.layers)

    @property
    def n_nonzeros(self) -> int:
        """Number of weights that are not zero."""
        return sum(layer.n_nonzeros for layer in self.network.layers)

    def accuracy(self, scores: NDArray[Any]) -> float:
        """Return the share of the images whose greatest score is that of their class."""
        return float((scores.argmax(axis=1) == self.labels).mean())


def make_digits() -> Task:
    """Read the handwritten digits and the networks of the demo, before and after compression.

    Raises
    ------
    ToolError
        If scikit-learn, which contains the images, is not installed.
    """
    digits, network = load_digits(), read_network(FOLDER / "digits.npz")
    return Task("digits", network, decompress(network), read_chain(FOLDER / "dense.npz"),
                digits.train, digits.test, digits.test_labels)


def make_lenet(published: Path, mnist: Path, seed: int) -> Task:
    """Share the weights of the published LeNet-300-100, pruned by its authors, without retraining.

    Raises
    ------
    DataError
        If arrays of `mnist` are missing.
    ArchiveError, CompressError, ModelError
        If a file cannot be read.
    """
    arrays = read_arrays(mnist)
    names = "train_images", "test_images", "test_labels"
    if not set(names) <= arrays.keys():
        raise DataError(f"{mnist} must contain {', '.join(names)}, not {', '.join(arrays)}")
    lenet = prepare_lenet(published, arrays, seed)
    return Task("lenet-300-100", lenet.network, decompress(lenet.network), None, lenet.calibration,
                lenet.images, arrays["test_labels"][lenet.order])


def write_onnx(model: Model, path: Path) -> None:
    """Write a model as ONNX: Gemm and Relu, between ``input`` and ``output`` of one image.

    NNgen takes the input of a Gemm only from another node, hence the Flatten.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("Flatten", ["input"], ["flat"], "flatten", axis=1)]
    weights, source = [], "flat"
    for number, layer in enumerate(model.layers, 1):
        is_last = number == len(model.layers)
        weight = layer.weight if isinstance(layer.weight, np.ndarray) else layer.weight.toarray()
        weights += [numpy_helper.from_array(array.astype(np.float32), f"{name}{number}")
                    for name, array in (("weight", weight), ("bias", layer.bias))]
        target = "output" if is_last and not layer.relu else f"sum{number}"
        nodes.append(helper.make_node("Gemm", [source, f"weight{number}", f"bias{number}"],
                                      [target], f"gemm{number}", transB=1))
        source = target
        if layer.relu:
            source = "output" if is_last else f"relu{number}"
            nodes.append(helper.make_node("Relu", [target], [source], f"act{number}"))
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
             for name, size in (("input", model.layers[0].n_cols),
                                ("output", model.layers[-1].n_rows))]
    graph = helper.make_graph(nodes, "network", ports[:1], ports[1:], weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
              path)
