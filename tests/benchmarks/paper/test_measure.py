"""The benchmark on a small machine, in RTL, and that it fails when something is wrong."""

import importlib.util
import json
from pathlib import Path

import click.testing
import pytest

from eie_bench.paper import measure, nine_layers
from eie_bench.paper.ablation import IDEAS, steps
from eie_bench.paper.nine_layers import MACHINES, Machine
from eie_hdl.config import N_SPARSE, PRESETS
from eie_sim import inference

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "nine_layers.py"
DOC = Path(__file__).parents[3] / "docs" / "benchmark.md"


@pytest.fixture
def script(monkeypatch, small):
    """The script with one small layer, on one small machine under both names."""
    machines = {name: Machine(PRESETS["tiny"], "balanced") for name in MACHINES}
    monkeypatch.setattr(nine_layers, "LAYERS", {"small": small})
    monkeypatch.setattr(nine_layers, "MACHINES", machines)
    spec = importlib.util.spec_from_file_location("nine_layers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script, *arguments):
    return click.testing.CliRunner().invoke(script.main, [str(each) for each in arguments])


def test_a_layer_runs_and_every_number_is_compared(verilator, models, small):
    machine = Machine(PRESETS["tiny"], "balanced")
    one, predicted = (measure.measure(small, "tiny", machine, seed=1, engine=engine,
                                      build_root=models) for engine in ("rtl", "model"))
    assert one.differences == []
    assert (one.outputs, predicted.outputs) == (small.n_outputs, 0)
    assert one.counters["macs"] == one.products > 0
    assert one.counters == predicted.counters
    assert one.stored.tiles == 2 and one.entries.sum() > one.products


def test_a_wrong_result_makes_the_benchmark_fail(verilator, models, script, tmp_path, monkeypatch):
    def flip(self, *arguments):
        outputs, statistics = right(self, *arguments)
        outputs[0][0, 3] ^= 1
        return outputs, statistics

    right = inference.GoldenModel.run_counted
    monkeypatch.setattr(inference.GoldenModel, "run_counted", flip)
    monkeypatch.setattr(script, "draw", lambda report, folder: [])
    result = run(script, "--models", models, "-o", tmp_path)
    assert result.exit_code == 1, result.output
    assert "2 of 2 runs are not as they should be" in result.output
    summary = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert [len(one["differences"]) for one in summary["measured"]] == [1, 1]


def test_a_wrong_prediction_is_a_difference(verilator, models, small, monkeypatch):
    def predict(config, steps):
        right = real(config, steps)
        return right._replace(counters=right.counters | {"cycles": right.counters["cycles"] + 1})

    real = measure.predict
    monkeypatch.setattr(measure, "predict", predict)
    one = measure.measure(small, "tiny", Machine(PRESETS["tiny"], "balanced"), seed=1,
                          build_root=models)
    [difference] = one.differences
    assert difference.layer == "counter cycles, predicted"
    assert difference.expected == difference.got + 1 == one.counters["cycles"] + 1


def test_the_benchmark_writes_all_files_and_refreshes_the_document(verilator, models, script,
                                                                  tmp_path):
    document, folder = tmp_path / "benchmark.md", tmp_path / "bench"
    document.write_text(DOC.read_text(encoding="utf-8"), encoding="utf-8")
    result = run(script, "--models", models, "-o", folder, "--doc", document)
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {
        "bench.json", "bench.md", *(f"{plot}.{kind}" for kind in ("png", "svg")
                                    for plot in ("ratio", "time", "ideas", "energy"))}
    assert min(path.stat().st_size for path in folder.iterdir()) > 1000
    assert document.read_text(encoding="utf-8").count("| small |") >= 6


def test_a_document_shows_nothing_that_is_only_predicted(script, tmp_path):
    document = tmp_path / "benchmark.md"
    document.write_text("as it was", encoding="utf-8")
    result = run(script, "--engine", "model", "-o", tmp_path, "--doc", document)
    assert result.exit_code == 2
    assert "--doc must be given with all layers on all machines in RTL" in result.output
    assert document.read_text(encoding="utf-8") == "as it was"
    assert run(script, "--engine", "model", "-o", tmp_path).exit_code == 0
    assert "| small | tuned | model | 0 |" in (tmp_path / "bench.md").read_text(encoding="utf-8")


def test_an_unknown_layer_is_refused(script, tmp_path):
    result = run(script, "--layers", "small,large", "-o", tmp_path)
    assert result.exit_code == 2
    assert "must be some of small, not 'large'" in result.output


def test_ideas_lead_from_the_published_machine_to_the_tuned_one():
    *_, (_, machine, sparse) = found = steps(MACHINES["isca2016"], MACHINES["tuned"])
    timeless = {"spmat_depth", "act_depth", "acc_width"}
    last, tuned = ({name: value for name, value in one.config.as_dict().items()
                    if name not in timeless} for one in (machine, MACHINES["tuned"]))
    assert last == tuned and machine.mapping == MACHINES["tuned"].mapping
    assert sparse == N_SPARSE
    assert len(found) == len(IDEAS) + 1
    assert len({(machine, sparse) for _, machine, sparse in found}) == len(found)
