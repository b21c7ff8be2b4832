"""Designs that NNgen generates."""

from importlib.util import find_spec

import numpy as np
import pytest

from eie_bench.peers.nngen_design import BENCH, DESIGN, TOP, Setting, evaluate, generate
from eie_bench.peers.tasks import write_onnx
from eie_hdl.extras import install_command

needs_nngen = pytest.mark.skipif(not find_spec("nngen"),
                                 reason=f"needs NNgen: {install_command('peers')}")


def test_a_setting_is_named_by_its_multipliers_and_bus():
    assert Setting(4, 128).name == "NNgen, 4 × 4, 128-bit bus"


@needs_nngen
def test_the_model_of_nngen_recognises_what_the_network_does(task, tmp_path):
    write_onnx(task.model, tmp_path / "model.onnx")
    scores = evaluate(tmp_path / "model.onnx", task.calibration, task.images, tmp_path / "folder")
    assert scores.shape == (40, 3) and np.abs(scores).max() < 128
    assert task.accuracy(scores) > 0.8


@needs_nngen
def test_a_design_and_its_bench_are_written(task, tmp_path):
    write_onnx(task.model, tmp_path / "model.onnx")
    made = generate(tmp_path / "model.onnx", Setting(2, 32), task.calibration, task.images[:2],
                    tmp_path / "folder")
    assert made.parameters >= 72 and made.scores.shape == (2, 3)
    assert f"module {TOP}\n" in (tmp_path / "folder" / DESIGN).read_text(encoding="utf-8")
    bench = (tmp_path / "folder" / BENCH).read_text(encoding="utf-8")
    assert "module bench" in bench and "memory.hex" in bench
    assert (tmp_path / "folder" / "memory.hex").exists()
