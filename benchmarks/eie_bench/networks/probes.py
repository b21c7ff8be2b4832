"""Small models of many forms, from a folder, with inputs."""

import functools
from pathlib import Path

import numpy as np

from eie_compiler.files.untrusted_npz import read_arrays

from .task import Task, read_graph

__all__ = ["PROBE", "make_probes"]

#: Source of a probe.
PROBE = "probes of random weights"


def make_probes(folder: Path) -> list[Task]:
    """Make a task for each file in ONNX; the inputs are also the calibration.

    Parameters
    ----------
    folder : path
        Folder of ``NAME.onnx``, and ``NAME.npz`` with an array (n, ...) for each input, and
        optionally the first result of another implementation as ``expected``.

    Raises
    ------
    ArchiveError
        If the inputs cannot be read.
    """
    tasks = []
    for path in sorted(folder.glob("*.onnx")):
        arrays = {name: values.astype(np.float64)
                  for name, values in read_arrays(path.with_suffix(".npz")).items()}
        expected = arrays.pop("expected", None)
        n_inputs = len(next(iter(arrays.values())))
        tasks.append(Task(
            path.stem, PROBE, functools.partial(read_graph, path), arrays, arrays, (4,),
            expected=expected, n_verilog=n_inputs,
            remark="calibrated on its inputs, which are random"))
    return tasks
