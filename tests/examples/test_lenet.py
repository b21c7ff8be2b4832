"""LeNet example on generated data, as MNIST is not part of the project."""

import dataclasses
import gzip
import importlib.util
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eie_cli.compress import compress_command
from eie_cli.train import train_command
from eie_compiler.compression.compress import compress
from eie_compiler.files.network_file import write_network
from eie_compiler.frontends import read_model
from eie_hdl.extras import install_command
from eie_sim.graph_inference import infer_graph
from eie_sim.inference import infer

ROOT = Path(__file__).parents[2]
LENET = ROOT / "examples" / "lenet"


def load(name):
    spec = importlib.util.spec_from_file_location(name, LENET / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def idx(tmp_path):
    """Folder of files in the format of MNIST, and their contents."""
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


@pytest.mark.parametrize("target, variable, message", [
    ("have-mnist", "MNIST", "MNIST must be a file, such as mnist.npz here, not 'nowhere.npz': "
     "'python examples/lenet/mnist.py FOLDER' creates it from the four published files\n"),
    ("have-published", "PUBLISHED", "PUBLISHED must be a file, such as lenet300100_pruned.npz "
     "here, not 'nowhere.npz': examples/lenet/README.md describes it\n"),
])
def test_make_describes_missing_data(target, variable, message):
    run = subprocess.run(["make", target, f"{variable}=nowhere.npz"], cwd=ROOT, encoding="utf-8",
                         capture_output=True, env={**os.environ, "LC_ALL": "C"})
    assert run.returncode
    assert run.stderr.startswith(message)


def test_the_file_of_dsd_has_a_version(tmp_path, monkeypatch):
    dsd = load("dsd")
    monkeypatch.setattr(dsd, "run", lambda mnist, folder, seed, share: [
        {"test": 0.02}, {"test": 0.016 - share / 1000 + seed / 1000}])
    monkeypatch.setattr(sys, "argv", ["dsd.py", "mnist.npz", "-o", str(tmp_path)])
    dsd.main()
    content = json.loads((tmp_path / "dsd.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert [row["seed"] for row in content["rows"]] == [1, 2, 3]


def test_the_options_of_the_example_are_those_of_the_commands():
    lenet = load("lenet")
    for command, options in [(train_command, lenet.TRAIN), *(
            (compress_command, options) for _, options in lenet.NETWORKS.values())]:
        known = {name for one in command.params if not getattr(one, "hidden", False)
                 for name in one.opts}
        assert {f"--{name}" for name in options} <= known


def test_the_results_are_measured_and_carry_a_version(tmp_path, monkeypatch):
    """Uses a small network, and the golden model in place of the Verilog."""
    def pretend(build, inputs, *, words, engine):
        golden = infer(build, inputs, words=words, engine="golden")
        return golden if engine == "golden" else dataclasses.replace(
            golden, engine=engine, counters=golden.counters | {"cycles": np.full(len(inputs), 100)})

    def make_networks(mnist, published, folder, seed):
        np.savez(folder / "dense.npz", **{"a.weight": rng.normal(size=(10, 784)),
                                          "a.bias": np.zeros(10)})
        write_network(folder / "lenet-4bit.npz",
                      compress(read_model(folder / "dense.npz"), density=0.1))
        return ["lenet-4bit"]

    rng, lenet = np.random.default_rng(5), load("lenet")
    np.savez(tmp_path / "mnist.npz", test_images=rng.integers(0, 256, (20, 28, 28), np.uint8),
             test_labels=rng.integers(0, 10, 20))
    monkeypatch.setattr(lenet, "infer", pretend)
    monkeypatch.setattr(lenet, "make_networks", make_networks)
    monkeypatch.setattr(sys, "argv", ["lenet.py", str(tmp_path / "mnist.npz"), "--images", "5",
                                      "-o", str(tmp_path)])
    assert lenet.main() == 0
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    _, row = content["networks"]
    assert row["verilog"]["images"] == 5 and row["verilog"]["cycles"] == 100
    assert row["verilog"]["pe_utilisation"] == pytest.approx(
        row["macs"] / 100 / row["verilog"]["pes"], rel=0.2)


def test_a_student_is_compared_with_controls_of_the_same_options(tmp_path, monkeypatch):
    distillation, seen = load("distillation"), {}

    def run(mnist, name, options):
        seen[name.name] = options
        return [{"test": 0.02 - ("teacher" in options) / 1000 + options["seed"] / 1000}]

    monkeypatch.setattr(distillation, "run_training", run)
    monkeypatch.setattr(sys, "argv", ["distillation.py", "mnist.npz", "-o", str(tmp_path)])
    distillation.main()
    for seed in (1, 2, 3):
        plain = seen[f"plain-{seed}"]
        assert seen[f"student-{seed}"] == {**plain, "teacher": tmp_path / "teacher.npz"}
        assert seen[f"control-{seed}"] == {**plain, "dropout": 0.1}
    content = json.loads((tmp_path / "distillation.json").read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert (tmp_path / "distillation.md").read_text(encoding="utf-8").splitlines()[-1] == (
        "| mean | 2.20% | 2.20% | 2.10% | -0.10 ± 0.00 |")
    sizes = (784, *map(int, content["options"]["layers"].split(",")), 10)
    n_weights = sum(n_rows * n_cols for n_rows, n_cols in zip(sizes, sizes[1:]))
    assert n_weights / 266_200 == pytest.approx(1 / 3, abs=1e-3)


def test_binary_networks_are_trained_and_kept_exactly(tmp_path, monkeypatch, capsys):
    """Uses random digits, and the golden model in place of the Verilog."""
    pytest.importorskip("torch", reason=install_command("train"))
    binary, rng = load("binary"), np.random.default_rng(7)
    monkeypatch.setattr(binary, "SIZES", (784, 20, 12, 10))
    np.savez(tmp_path / "mnist.npz", **{
        f"{part}_{name}": array for part in ("train", "test") for name, array in (
            ("images", rng.integers(0, 256, (60, 28, 28), np.uint8)),
            ("labels", np.arange(60) % 10))})
    np.savez(tmp_path / "dense.npz", **{
        f"{number}.{name}": rng.normal(0, 0.1, shape)
        for number, (n_cols, n_rows) in enumerate(zip(binary.SIZES, binary.SIZES[1:]))
        for name, shape in (("weight", (n_rows, n_cols)), ("bias", n_rows))})

    def pretend(build, images, *, engine, machines=None):
        run = infer_graph(build, images, engine="golden")
        for node in run.nodes.values():
            node.sampled = node.timed = node.vectors
            node.cycles = node.net_cycles = 100 * node.vectors
        return run

    monkeypatch.setattr(binary, "infer_graph", pretend)
    for name in ("SHARED", "PRUNED", "BINARY", "XNOR"):
        monkeypatch.setattr(binary, name, {**getattr(binary, name), "epochs": 1})
    monkeypatch.setattr(binary, "PRUNED", {**binary.PRUNED, "steps": 1})
    monkeypatch.setattr(sys, "argv", ["binary.py", str(tmp_path / "mnist.npz"), "--images", "3",
                                      "-o", str(tmp_path)])
    assert binary.main() == 0
    rows = json.loads((tmp_path / "binary.json").read_text(encoding="utf-8"))["networks"]
    assert [(row["v_width"], row["scales"]) for row in rows[2:]] == [
        (2, [1, 1, 1]), (4, [7, 7, 7]), (8, [20, 12, 10]), (2, [1, 1, 1])]
    assert all(row["exact"] and row["weights"] == 16_040 for row in rows[2:])
    assert rows[2]["bytes"] < 16_040 / 8 + 2000
    assert (tmp_path / "binary.md").read_text(encoding="utf-8").count("\n") == 9
