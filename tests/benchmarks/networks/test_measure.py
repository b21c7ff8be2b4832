"""Rows of networks, by a small one; and the command `eie_cli.bench.networks`."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_bench.networks import measure as module
from eie_bench.networks.measure import measure, measure_all
from eie_bench.networks.tables import headline, summarise
from eie_cli.main import main
from eie_compiler.frontends import FrontEndError
from eie_compiler.graph.evaluation import evaluate_real


@pytest.mark.full
def test_a_network_runs_in_floating_point_in_words_and_in_verilog(task, graph, verilator,
                                                                  simulators):
    steps = []
    row = measure(task, cache=simulators, progress=steps.append)
    real = evaluate_real(graph, task.inputs)["second"]
    assert (row.n_inputs, row.n_matrices, row.n_weights, row.refusal) == (9, 2, 54, None)
    assert row.real.accuracy == (real.argmax(axis=1) == task.labels).mean()
    assert row.real.agreement == 1 and row.real.magnitude == np.abs(real).max()
    assert 0 < row.words[4].error < 0.5 and row.words[4].saturated == 0
    run = row.verilog[4]
    assert (run.n_pe, run.inferences, run.vectors, run.differences, run.loads) == (4, 2, 4, 0, 1)
    assert run.compared >= 2 * 9 and run.cycles > 0
    assert steps == [f"small: {step}" for step in (
        "in floating point", "compressing to 4 bits", "4 bits in machine arithmetic",
        "4 bits in Verilog")]


def test_results_of_another_implementation_are_compared(task, graph):
    expected = evaluate_real(graph, task.inputs)["second"][:5] + 0.25
    rows = list(measure_all([dataclasses.replace(task, expected=(expected,))], verilog=False))
    assert rows[0].real.error == pytest.approx(0.25) and rows[0].verilog == {}


def test_the_batch_may_be_another_axis_of_the_results_of_another_implementation(task, graph):
    expected = evaluate_real(graph, task.inputs)["second"]
    (row,) = measure_all([dataclasses.replace(task, expected=(expected.T,))], verilog=False)
    assert row.real.error < 1e-12
    (row,) = measure_all([dataclasses.replace(task, expected=(expected[:, :2],))], verilog=False)
    assert row.refusal == ("results of another implementation must be as those of the network, "
                           "(9, 3), not of shape (9, 2)")


def test_elements_are_compared_with_their_proven_bounds(task, graph):
    real = evaluate_real(graph, task.inputs)["second"]
    task = dataclasses.replace(task, proven=True, expected=(real,))
    (row,) = measure_all([task], verilog=False)
    proof = row.words[4].proof
    assert proof.error == row.words[4].error <= proof.bound and proof.exceeded == 0
    (row,) = measure_all([dataclasses.replace(task, expected=())], verilog=False)
    assert row.refusal == "there must be results of another implementation for 1 outputs, not 0"
    (row,) = measure_all([dataclasses.replace(task, expected=(real, real), proven=False)],
                         verilog=False)
    assert row.refusal == "there must be results of another implementation for 1 outputs, not 2"


def test_a_model_with_shared_weights_takes_the_place_of_compression(task, graph):
    (row,) = measure_all([dataclasses.replace(task, shared={4: lambda: graph})], verilog=False)
    (same,) = measure_all([task], verilog=False)
    assert row == same


def test_a_network_that_cannot_be_run_has_the_reason(task):
    def refuse():
        raise FrontEndError("net.onnx: no")

    row = measure(dataclasses.replace(task, read=refuse))
    assert row.refusal == "net.onnx: no" and row.verilog == {}
    small = dataclasses.replace(task.config, act_depth=2)
    row = measure(dataclasses.replace(task, config=small))
    assert "act_depth" in row.refusal and row.words and not row.verilog


@pytest.fixture
def probe(tmp_path):
    """Folder with a file in ONNX and its inputs."""
    onnx = pytest.importorskip("onnx")
    weights = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [value("x", onnx.TensorProto.FLOAT, [None, 5])],
        [value("y", onnx.TensorProto.FLOAT, [None, 3])],
        [onnx.numpy_helper.from_array(weights, "w")])
    folder = tmp_path / "probes"
    folder.mkdir()
    onnx.save(onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)]),
              folder / "linear.onnx")
    np.savez(folder / "linear.npz", input=np.eye(5, dtype=np.float32), expected0=weights)
    return folder


def test_the_command_prints_the_verdict_and_writes_the_rows(probe, tmp_path):
    arguments = ["bench", "networks", "--probes", str(probe), "--no-verilog", "-o",
                 str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("networks: 1 of 1 run, 0 numbers compared, 0 differ\n")
    content = json.loads((tmp_path / "out/networks.json").read_text(encoding="utf-8"))
    assert content["rows"][0]["name"] == "linear" and content["rows"][0]["real"]["error"] < 1e-6
    assert "| linear | 1 | 15 | ±" in (tmp_path / "out/networks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("change, verdict, fault", [
    (lambda weights: {"input": np.eye(5), "expected0": weights + 1e6},
     "1 of 1 run, 0 numbers compared, 16 differ", "linear differs in floating point by 1e+06, of "),
    (lambda weights: {"input": np.eye(5), "expected0": np.zeros((4, 4))},
     "0 of 1 run, 0 numbers compared, 0 differ", "linear does not run: results of another"),
])
def test_the_exit_code_of_the_command_tells_of_faults(probe, tmp_path, change, verdict, fault):
    with np.load(probe / "linear.npz") as arrays:
        changed = change(arrays["expected0"])
    np.savez(probe / "linear.npz", **changed)
    result = CliRunner().invoke(main, ["bench", "networks", "--probes", str(probe), "--no-verilog",
                                       "-o", str(tmp_path / "out")])
    assert result.exit_code == 1, result.output
    assert result.stdout.endswith(f"networks: {verdict}\n")
    assert fault in result.output.replace("\n", " ")


def test_the_command_compares_something_in_verilog(probe, tmp_path, monkeypatch):
    row = module.Row("linear", "a test", "", 1)
    monkeypatch.setattr(module, "measure_all", lambda tasks, **options: iter([row]))
    arguments = ["bench", "networks", "--probes", str(probe), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "linear has no result that was compared in Verilog" in result.output
    assert result.stdout.endswith("networks: 0 of 1 run, 0 numbers compared, 0 differ\n")
    assert CliRunner().invoke(main, [*arguments, "--no-verilog"]).exit_code == 0


def test_the_exit_code_of_the_command_tells_of_differences(probe, tmp_path, monkeypatch, task):
    row = module.Row("linear", "a test", "", 1, verilog={
        4: module.Verilog(16, 1, 2, 30, 1, 100.0, 1, 0.5)})
    monkeypatch.setattr(module, "measure_all", lambda tasks, **options: iter([row]))
    result = CliRunner().invoke(main, ["bench", "networks", "--probes", str(probe), "-o",
                                       str(tmp_path / "out")])
    assert result.exit_code == 1
    assert result.stdout.endswith(headline(summarise([row])) + "\n")
    assert "1 of 1 run, 30 numbers compared, 1 differ" in result.stdout


def test_the_command_needs_a_network():
    result = CliRunner().invoke(main, ["bench", "networks"])
    assert result.exit_code == 2 and "there must be --squeezenet, --kws" in result.output


def test_the_command_says_what_is_left_out(probe, tmp_path):
    arguments = ["bench", "networks", "--probes", str(probe), "--no-verilog", "-o",
                 str(tmp_path / "out")]
    for quick, names in ((True, ["trained", "kws"]),
                         (False, ["trained", "squeezenet", "silero", "kws"])):
        result = CliRunner().invoke(main, [*arguments, *["--quick"] * quick])
        assert [line.split()[3] for line in result.stderr.splitlines()
                if line.startswith("left out")] == [f"--{name}" for name in names]
