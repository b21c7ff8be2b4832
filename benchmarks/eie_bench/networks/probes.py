"""Small models of many forms, from a folder, with inputs."""

import functools
from pathlib import Path

import numpy as np

from eie_compiler.files.untrusted_npz import read_arrays

from ..sharing import DataError
from .task import Floats, Task, read_graph

__all__ = ["PROBE", "make_probes"]

#: Source of a probe.
PROBE = "probes of random weights"


def make_probes(folder: Path) -> list[Task]:
    """Make a task for each file in ONNX, with proven bounds; the inputs are also the calibration.

    Parameters
    ----------
    folder : path
        Folder of ``NAME.onnx``, and ``NAME.npz`` with an array (n, ...) for each input, and the
        results of another implementation as ``expected0``, ``expected1``, ..., with any axis for
        the batch.

    Raises
    ------
    DataError
        If a probe has no such results, or no inputs.
    ArchiveError
        If the inputs cannot be read.
    """
    tasks = []
    for path in sorted(folder.glob("*.onnx")):
        arrays = {name: values.astype(np.float64)
                  for name, values in read_arrays(path.with_suffix(".npz")).items()}
        expected: list[Floats] = []
        while (results := arrays.pop(f"expected{len(expected)}", None)) is not None:
            expected.append(results)
        if not expected or not arrays:
            raise DataError(f"{path.with_suffix('.npz')} must contain inputs and expected0, "
                            "expected1, ..., the results of another implementation: write it with "
                            "scripts/write-probes.py")
        n_inputs = len(next(iter(arrays.values())))
        tasks.append(Task(
            path.stem, PROBE, functools.partial(read_graph, path), arrays, arrays, (4,),
            expected=tuple(expected), proven=True, n_verilog=n_inputs,
            remark="calibrated on its inputs, which are random"))
    return tasks
