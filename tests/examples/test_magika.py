"""The example on Magika's network, where its package is: golden model only."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.compression.compress import compress
from eie_compiler.frontends import read_model
from eie_compiler.lowering.compile import compile_network
from eie_hdl.config import EIEConfig
from eie_hdl.extras import install_command
from eie_sim.inference import infer, prepare

magika = pytest.importorskip("magika", reason=install_command("magika"))
pytest.importorskip("onnx", reason=install_command("onnx"))

FOLDER = Path(__file__).parents[2] / "examples" / "magika"


@pytest.fixture(scope="module")
def features():
    spec = importlib.util.spec_from_file_location("features", FOLDER / "features.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(features):
    return features.load_files()[::12]


def test_files_are_of_many_kinds(files):
    assert len({path.suffix for path in files}) > 20


def test_bytes_are_those_that_magika_takes(features, files):
    original = magika.Magika()
    found = [features.run_original(features.take_bytes([path]), features.HEAD)[1].argmax()
             for path in files[::5]]
    assert [features.LABELS[kind] for kind in found] == [
        original.identify_path(path).dl.label for path in files[::5]]


def test_head_without_retraining_gives_the_same_labels(features, files):
    inputs, scores = features.run_original(features.take_bytes(files), features.HEAD)
    head = read_model(features.MODEL, first=features.HEAD.first, last=features.HEAD.last)
    np.testing.assert_allclose(head(inputs), scores, atol=1e-4)
    build = compile_network(compress(head, kmeans_init="linear", v_width=8, calibration=inputs),
                            EIEConfig(v_width=8))
    (output,) = infer(build, prepare(build, inputs), words=True, engine="golden").outputs
    assert (output.argmax(axis=1) == scores.argmax(axis=1)).mean() > 0.95
