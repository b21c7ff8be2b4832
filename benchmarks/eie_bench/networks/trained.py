"""Networks for MNIST that `examples/convolutional` trains."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compression.decompress import decompress
from eie_compiler.files.graph_file import read_graph as read_compressed
from eie_compiler.files.json_file import parse_json
from eie_compiler.graph.graph import Graph
from eie_compiler.graph.layers import replace_layers

from ..sharing import DataError, read_digits
from .task import Floats, Task, read_fields, read_graph

__all__ = ["Digits", "draw_digits", "make_trained", "read_random_digits"]

#: Folder of a network -> name, and number of digits in Verilog.
_NETWORKS = {"lenet5": ("LeNet-5", 200), "residual": ("ResNet-8", 20),
             "shuffle": ("shuffle network", 50)}

#: Digits of a quick run.
_QUICK = 1000

_SHAPE = (1, 28, 28)


class Digits(NamedTuple):
    """Images (n, 1, 28, 28) with values from 0 to 1, and their classes, if they have any."""

    images: Floats
    labels: NDArray[Any] | None


def make_trained(folder: Path, mnist: Path | None, *, quick: bool = False) -> list[Task]:
    """Make a task for each network that was trained, with 15 shared values in each layer.

    Parameters
    ----------
    folder : path
        Folder with a folder for each network: with ``float.onnx``, ``shared.onnx`` and
        ``calibration.npz``; or only with ``network.npz``, which is then measured as it is, and
        ``results.json``, which has the accuracy of the trained network.
    mnist : path, optional
        File of ``test_images`` and ``test_labels``. MNIST is grouped by class, so the digits are in
        random order. Without the file, images are random, and there is no accuracy.
    quick : :class:`bool`
        True for fewer digits, and not the shuffle network.

    Raises
    ------
    DataError, ArchiveError, NetworkError, JsonError
        If digits or samples are missing, or files are invalid.
    """
    names = [name for name in _NETWORKS if not (quick and name == "shuffle") and any(
        (folder / name / file).exists() for file in ("shared.onnx", "network.npz"))]
    read = read_random_digits(mnist) if names and mnist is not None else None
    tasks = []
    for name in names:
        title, n_verilog = _NETWORKS[name]
        n_verilog = 20 if quick else n_verilog
        digits = read or draw_digits(n_verilog)
        task = _make_task(folder / name, title, digits, n_verilog)
        tasks.append(task.first(_QUICK) if quick else task)
    return tasks


def read_random_digits(mnist: Path, seed: int = 1) -> Digits:
    """Read the test images of MNIST, which is grouped by class, in random order.

    Raises
    ------
    DataError, ArchiveError
        If images or labels are missing.
    """
    digits = read_digits(mnist)
    order = np.random.default_rng(seed).permutation(len(digits.labels))
    return Digits(digits.inputs[order].reshape(-1, *_SHAPE), digits.labels[order])


def draw_digits(n: int, seed: int = 1) -> Digits:
    """Draw random images, of which four in five pixels are zero, as of digits."""
    rng = np.random.default_rng(seed)
    return Digits(rng.random((n, *_SHAPE)) * (rng.random((n, *_SHAPE)) < 0.2), None)


def _make_task(folder: Path, title: str, digits: Digits, n_verilog: int) -> Task:
    inputs, source = {"image": digits.images}, "trained here on MNIST"
    random = digits.labels is None
    if not (folder / "shared.onnx").exists():
        path = folder / "network.npz"
        return Task(title, source, lambda: _decompress(path), inputs, {}, (4,),
                    compressed={4: lambda: read_compressed(path)},
                    recorded=None if random else _recorded(folder / "results.json"),
                    labels=digits.labels, n_verilog=n_verilog,
                    remark="network.npz as it is, with the weights that are left; " + (
                        "random images" if random else "accuracy in floating point as recorded in "
                        "training"))
    (samples,) = read_fields(folder / "calibration.npz", "image")
    read = {part: functools.partial(read_graph, folder / f"{part}.onnx")
            for part in ("float", "shared")}
    return Task(title, source, read["float"], inputs, {"image": samples}, (4,),
                shared={4: read["shared"]}, labels=digits.labels, n_verilog=n_verilog,
                remark="calibrated on 1,000 training images" + "; random images" * random)


def _decompress(path: Path) -> Graph:
    """Read the model with shared weights of a compressed network."""
    return replace_layers(read_compressed(path), lambda _, network: decompress(network))


def _recorded(path: Path) -> float:
    """Read the accuracy after the first stage of training."""
    try:
        return 1 - float(parse_json(path.read_bytes())["stages"][0]["test"])
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"{path} must contain stages, the first one with its test error, but does "
                        "not") from error
