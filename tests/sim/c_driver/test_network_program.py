"""Networks of the C driver on simulated hardware."""

import numpy as np
import pytest

from eie_compiler.lowering.graph import compile_graph
from eie_hdl.config import EIEConfig
from eie_sim.c_driver.network_program import compile_network_program, run_network_program
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
