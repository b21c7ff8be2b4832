"""Networks of the C driver on simulated hardware."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_compiler.graph_folder import write_graph_build
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.vectors import memory_packets
from eie_hdl.config import EIEConfig
from eie_sim.c_driver.network_program import (
    compile_network_program,
    measure_network,
    run_network_program,
)
from eie_sim.c_driver.program import run_program
from eie_sim.rtl.simulators import SimulationError
from support.c_graphs import every_operation

#: The machine of the digits, whose simulator other tests compile, too.
CONFIG = EIEConfig(n_pe=4)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Build and inputs of a network with convolution, all operations and an LSTM."""
    build = compile_graph(every_operation(), CONFIG)
    return build, np.random.default_rng(1).integers(-1000, 1000, (3, 2, 7, 8))


@pytest.fixture(scope="module")
def program(compiled, simulators, tmp_path_factory):
    build, words = compiled
    return compile_network_program(build, words, tmp_path_factory.mktemp("network"), words=True,
                                   cache=simulators)


@pytest.mark.parametrize("options", [
    [], ["--interrupts"], ["--stall=0.4"], ["--interrupts", "--stall=0.4", "--seed=2"]],
    ids=["polling", "interrupts", "polling-stalls", "interrupts-stalls"])
def test_every_output_is_that_of_the_golden_model(verilator, program, compiled, options):
    build, _ = compiled
    run = run_network_program(program, *options)
    assert run.outputs == 3 * (10 + 20)
    assert len(build.loads) == 2
    assert 1000 < run.cycles < 100_000


def test_a_measurement_has_a_run_for_each_way_to_wait(verilator, compiled, simulators, tmp_path):
    build, words = compiled
    figures = measure_network(build, words[:1], tmp_path, words=True, cache=simulators)
    assert [run.outputs for run in figures.runs.values()] == 3 * [30]
    assert 5_000 < figures.code_bytes < 50_000
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["runs"].keys() == figures.runs.keys()
    beats = sum(len(packet) for paths in build.loads for packet in memory_packets(
        CONFIG, build.programs[paths[0]].images))
    assert report["constant_bytes"] == figures.constant_bytes > 8 * beats


def test_an_expected_output_that_differs_is_reported(verilator, compiled, simulators, tmp_path,
                                                     monkeypatch):
    build, words = compiled
    monkeypatch.setattr("eie_sim.c_driver.network_program.infer_graph",
                        lambda *arguments, **options: type("Inference", (), {"outputs": {
                            "last": np.zeros((1, 10), np.int64),
                            "lstm": np.zeros((1, 4, 5), np.int64)}}))
    wrong = compile_network_program(build, words[:1], tmp_path, words=True, cache=simulators)
    with pytest.raises(SimulationError, match=r"(?s)failed \(1\).*inference 0, output \d+: got -?\d"
                                              r"+, expected 0\n.* not as expected"):
        run_program(wrong)


def test_the_command_prints_memory_and_cycles(verilator, compiled, simulators, tmp_path):
    """:mod:`eie_cli.bench.c_driver`."""
    build, words = compiled
    write_graph_build(tmp_path / "build", build)
    np.save(tmp_path / "x.npy", words / 512)
    result = CliRunner().invoke(main, [
        "bench", "c-driver", str(tmp_path / "build"), "--input", str(tmp_path / "x.npy"),
        "--count", "2", "--simulators", str(simulators), "-o", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "Memory: arena of " in result.output
    assert "All 180 outputs match the golden model bit for bit." in result.output
