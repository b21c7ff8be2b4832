"""Networks for MNIST that `examples/convolutional` trains."""

import functools
from pathlib import Path

import numpy as np

from ..sharing import read_digits
from .task import Task, read_fields, read_graph

__all__ = ["make_trained"]

#: Folder of a network -> name, and number of digits in Verilog.
_NETWORKS = {"lenet5": ("LeNet-5", 200), "residual": ("ResNet-8", 20),
             "shuffle": ("shuffle network", 50)}

#: Digits of a quick run.
_QUICK = 1000


def make_trained(folder: Path, mnist: Path, *, quick: bool = False) -> list[Task]:
    """Make a task for each network that was trained, with 15 shared values in each layer.

    MNIST is grouped by class, so the digits are in random order.

    Parameters
    ----------
    folder : path
        Folder with a folder for each network.
    mnist : path
        File of ``test_images`` and ``test_labels``.
    quick : :class:`bool`
        True for fewer digits, and not the shuffle network.

    Raises
    ------
    DataError, ArchiveError
        If digits or samples are missing.
    """
    digits = read_digits(mnist)
    order = np.random.default_rng(1).permutation(len(digits.labels))
    images = digits.inputs[order].reshape(-1, 1, 28, 28)
    tasks = []
    for name, (title, n_verilog) in _NETWORKS.items():
        if not (folder / name / "shared.onnx").exists() or quick and name == "shuffle":
            continue
        (samples,) = read_fields(folder / name / "calibration.npz", "image")
        read = {part: functools.partial(read_graph, folder / name / f"{part}.onnx")
                for part in ("float", "shared")}
        task = Task(title, "trained here on MNIST", read["float"], {"image": images},
                    {"image": samples}, (4,), shared={4: read["shared"]},
                    labels=digits.labels[order], n_verilog=20 if quick else n_verilog,
                    remark="calibrated on 1,000 training images")
        tasks.append(task.first(_QUICK) if quick else task)
    return tasks
