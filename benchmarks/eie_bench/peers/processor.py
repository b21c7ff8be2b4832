"""One core of this computer's processor: ONNX Runtime and SciPy."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from eie_compiler.model import Model
from eie_hdl.extras import missing
from eie_sim.rtl.toolchain import ToolError

from ..host import least_seconds
from .row import Row
from .tasks import Task, write_onnx

__all__ = ["clock_rate", "make_product", "measure_processor"]

#: Function of one image, (1, n_inputs) in float32.
Function = Callable[[NDArray[np.float32]], NDArray[Any]]


def measure_processor(task: Task, folder: Path, *, clock: float | None) -> Iterator[Row]:
    """Time single inferences in one thread; the least time counts.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Folder for models in ONNX.
    clock : :class:`float`, Hz, optional
        Clock rate by which times are converted to cycles.

    Yields
    ------
    Row
        ONNX Runtime in floating point and in int8, and a sparse product in SciPy.

    Raises
    ------
    ToolError
        If ONNX Runtime is not installed.
    """
    images = task.images.astype(np.float32)
    for name, make in (("ONNX Runtime, float32", _make_session), ("ONNX Runtime, int8", _quantise)):
        run = make(task.model, task, folder / "pruned")
        dense = make(task.dense, task, folder / "dense") if task.dense else None
        yield _measure(task, name, images, run, dense, task.n_weights, clock)
    yield _measure(task, "SciPy, CSR float32", images, make_product(task.model), None,
                   task.n_nonzeros, clock)


def _measure(task: Task, name: str, images: NDArray[np.float32], run: Function,
             dense: Function | None, products: int, clock: float | None) -> Row:
    def score(function: Function) -> float:
        return task.accuracy(np.concatenate([function(image[np.newaxis]) for image in images]))

    one = images[:1]
    seconds = float(least_seconds(lambda: run(one))[0])
    cycles = seconds * clock if clock else None
    return Row(task.name, name, score(run), score(dense) if dense else None, products,
               cycles=cycles, latency=cycles, seconds=seconds)


def make_product(model: Model) -> Function:
    """Return the network as products of CSR matrices and a vector."""
    layers = [(csr_array(layer.weight, dtype=np.float32), layer.bias.astype(np.float32), layer.relu)
              for layer in model.layers]

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        vector = image[0]
        for weight, bias, relu in layers:
            vector = weight @ vector + bias
            if relu:
                np.maximum(vector, 0, out=vector)
        return vector[np.newaxis]

    return run


def _make_session(model: Model, task: Task, folder: Path) -> Function:
    """Return the network in ONNX Runtime."""
    write_onnx(model, folder / "float32.onnx")
    return _load(folder / "float32.onnx")


def _quantise(model: Model, task: Task, folder: Path) -> Function:
    """Return the network with weights and activations of int8, calibrated by training images."""
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise ToolError(missing("onnxruntime", "to time the processor", "peers")) from error

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(task.calibration.astype(np.float32))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.images, None)
            return None if image is None else {"input": image[np.newaxis]}

    write_onnx(model, folder / "float32.onnx")
    # It advises a preparation that changes nothing in such a network.
    logging.disable(logging.WARNING)
    try:
        quantization.quantize_static(
            folder / "float32.onnx", folder / "int8.onnx", Reader(),
            activation_type=quantization.QuantType.QInt8, weight_type=quantization.QuantType.QInt8)
    finally:
        logging.disable(logging.NOTSET)
    return _load(folder / "int8.onnx")


def _load(path: Path) -> Function:
    try:
        import onnxruntime
    except ImportError as error:
        raise ToolError(missing("onnxruntime", "to time the processor", "peers")) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"input": image})[0]


def clock_rate(text: str) -> float | None:
    """Read the clock rate in Hz from the text of ``/proc/cpuinfo``; None if it has none."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "cpu MHz":
            return float(value) * 1e6
    return None
