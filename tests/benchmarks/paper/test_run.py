"""`eie_cli.bench.layers`: its files, and its failure when a number is wrong."""

import functools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from eie_bench.paper import nine_layers, run as paper_run
from eie_bench.paper.nine_layers import MACHINES, Machine
from eie_cli.main import main
from eie_hdl.config import PRESETS
from eie_sim import inference

DOC = Path(__file__).parents[3] / "docs" / "benchmark.md"


@pytest.fixture
def bench(monkeypatch, small):
    """Run the command with one small layer on one small machine under both names."""
    machines = {name: Machine(PRESETS["tiny"], "balanced") for name in MACHINES}
    monkeypatch.setattr(nine_layers, "LAYERS", {"small": small})
    monkeypatch.setattr(nine_layers, "MACHINES", machines)
    monkeypatch.setattr(paper_run, "MACHINES", machines)

    def invoke(*arguments):
        result = CliRunner().invoke(main, ["bench", "layers", *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_a_wrong_result_makes_the_benchmark_fail(verilator, simulators, bench, tmp_path,
                                                 monkeypatch):
    def flip(self, *arguments):
        outputs, statistics = right(self, *arguments)
        outputs[0][0, 3] ^= 1
        return outputs, statistics

    right = inference.BuildModel.run
    monkeypatch.setattr(inference.BuildModel, "run", flip)
    monkeypatch.setattr(paper_run, "draw", lambda report, folder: [])
    result = bench("--simulators", simulators, "-o", tmp_path)
    assert result.exit_code == 1, result.output
    assert "2 of 2 runs differ from the expected numbers" in result.output
    summary = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    # The layer is run once, 32 times back to back, and once alone.
    assert [len(one["differences"]) for one in summary["measured"]] == [34, 34]


def test_the_benchmark_writes_all_files_and_refreshes_the_document(verilator, simulators, bench,
                                                                  tmp_path):
    document, folder = tmp_path / "benchmark.md", tmp_path / "bench"
    document.write_text(DOC.read_text(encoding="utf-8"), encoding="utf-8")
    result = bench("--simulators", simulators, "-o", folder, "--doc", document)
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {
        "bench.json", "bench.md", *(f"{plot}.{kind}" for kind in ("png", "svg")
                                    for plot in ("ratio", "time", "steps", "energy"))}
    assert min(path.stat().st_size for path in folder.iterdir()) > 1000
    assert document.read_text(encoding="utf-8").count("| small |") >= 6


def test_a_document_shows_nothing_that_is_only_predicted(bench, tmp_path):
    document = tmp_path / "benchmark.md"
    document.write_text("as it was", encoding="utf-8")
    result = bench("--engine", "cycle-model", "-o", tmp_path, "--doc", document)
    assert result.exit_code == 2
    assert "--doc must be given with all layers on all machines in Verilator" in result.output
    assert document.read_text(encoding="utf-8") == "as it was"
    assert bench("--engine", "cycle-model", "-o", tmp_path).exit_code == 0
    text = (tmp_path / "bench.md").read_text(encoding="utf-8")
    assert "| small | tuned | cycle-model | 0 |" in text


def test_an_unknown_layer_is_refused(bench, tmp_path):
    result = bench("--layers", "small,large", "-o", tmp_path)
    assert result.exit_code == 2
    assert "must be some of small, not 'large'" in result.output


def test_former_engine_names_are_accepted_with_a_note(bench, tmp_path):
    result = bench("--engine", "model", "-o", tmp_path)
    assert result.exit_code == 0
    assert result.stderr.startswith("eie: --engine model is now --engine cycle-model; the former "
                                    "name will be removed\n")


def test_the_former_name_of_the_simulators_option_is_accepted_with_a_note(bench, tmp_path,
                                                                          monkeypatch):
    def measure_all(*arguments, cache, **options):
        used.append(cache)
        return right(*arguments, cache=cache, **options)

    used, right = [], paper_run.measure_all
    monkeypatch.setattr(paper_run, "measure_all", measure_all)
    monkeypatch.setattr(paper_run, "draw", lambda report, folder: [])
    predict = functools.partial(bench, "--engine", "cycle-model", "-o", tmp_path)
    former = predict("--models", tmp_path / "former")
    assert former.stderr.startswith("eie: --models is now --simulators; the former name will be "
                                    "removed\n")
    predict("--models", tmp_path / "former", "--simulators", tmp_path / "present")
    assert "former" not in predict("--simulators", tmp_path / "present").stderr
    assert used == [tmp_path / "former", tmp_path / "present", tmp_path / "present"]
