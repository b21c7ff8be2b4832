"""What the LeNet example does without MNIST, which is not part of the project."""

import gzip
import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
LENET = ROOT / "examples" / "lenet"


def load(name):
    spec = importlib.util.spec_from_file_location(name, LENET / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def idx(tmp_path):
    """Folder of files as MNIST's, and what is in them."""
    rng = np.random.default_rng(71)
    arrays = {}
    for name, file in load("mnist").FILES.items():
        shape = (5, 4, 3) if name.endswith("images") else (5,)
        arrays[name] = rng.integers(0, 256, shape, np.uint8)
        header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
        (tmp_path / file).write_bytes(gzip.compress(header + arrays[name].tobytes()))
    return tmp_path, arrays


def test_the_published_files_become_one(idx):
    folder, arrays = idx
    subprocess.run([sys.executable, LENET / "mnist.py", folder, "-o", folder / "mnist.npz"],
                   check=True)
    with np.load(folder / "mnist.npz") as file:
        assert sorted(file) == sorted(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)


def test_a_file_of_another_kind_is_refused(idx):
    folder, _ = idx
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBBI", 0, 13, 1, 1) + bytes(4)))
    with pytest.raises(SystemExit, match=r"ubyte\.gz: must be an IDX file of bytes"):
        load("mnist").read_idx(path)


def test_make_tells_where_mnist_comes_from():
    run = subprocess.run(["make", "have-mnist", "MNIST=nowhere.npz"], cwd=ROOT, encoding="utf-8",
                         capture_output=True, env={**os.environ, "LC_ALL": "C"})
    assert run.returncode
    assert run.stderr.startswith(
        "MNIST must be a file, such as mnist.npz here, not 'nowhere.npz': 'python "
        "examples/lenet/mnist.py FOLDER' makes it of the four published files")


def test_the_table_of_dsd_tells_mean_and_spread():
    rows = [{"seed": 1, "dense": 0.02, "control": 0.016, "dsd": 0.015, "change": -0.001},
            {"seed": 2, "dense": 0.02, "control": 0.014, "dsd": 0.016, "change": 0.002}]
    assert load("dsd").table(rows).splitlines()[2:] == [
        "| 1 | 2.00% | 1.60% | 1.50% | -0.10 |", "| 2 | 2.00% | 1.40% | 1.60% | +0.20 |",
        "| mean | 2.00% | 1.50% | 1.55% | +0.05 ± 0.21 |"]
