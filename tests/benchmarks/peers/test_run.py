"""All designs on all networks.

Tables and files are those of the command `eie_cli.bench.peers`.
"""

import json

import pytest
from click.testing import CliRunner

from eie_bench.peers import run, tasks
from eie_cli.main import main
from eie_hdl.extras import install_command


@pytest.fixture
def injected(monkeypatch, task, row):
    """The module, with rows in place of measurements; returns the number of differences to set."""
    differences = {"NNgen": 0}

    def measure_nngen(task, folder, *, count_cells, cache, progress):
        progress("accuracy")
        for setting in run.SETTINGS:
            progress(setting.name)
            yield row(task.name, setting.name, differences=differences["NNgen"],
                      cells=count_cells({}, "peer", "ram_*") if count_cells else None)

    for name, function in {
            "require_nngen": lambda: None,
            "read_verilog": lambda n_pe, cache: {"eie.v": str(n_pe)},
            "measure_processor": lambda task, folder, *, clock: iter([
                row(task.name, "SciPy", seconds=1e-5, multipliers=None, cells=None)]),
            "measure_machine": lambda task, n_pe, *, cells, cache: row(
                task.name, f"this project, {n_pe} PEs", cells=cells, net=100.0),
            "measure_nngen": measure_nngen}.items():
        monkeypatch.setattr(run, name, function)
    monkeypatch.setattr(tasks, "make_digits", lambda: task)
    monkeypatch.setattr(tasks, "make_lenet",
                        lambda published, mnist, seed: task._replace(name=f"lenet {seed}"))
    return differences


def test_every_design_runs_every_network_and_machines_are_synthesised_once(injected, task,
                                                                            tmp_path):
    both, counted, steps = [task, task._replace(name="other")], [], []

    def count(files, top, memories):
        counted.append((top, memories, files.get("eie.v")))
        return {"lut4": len(counted)}

    rows = list(run.measure_all(both, tmp_path, count_cells=count, clock=None,
                                progress=steps.append))
    assert len(steps) == run.count_steps(both)
    for name, some in (("small", rows[:6]), ("other", rows[6:])):
        assert [one.network for one in some] == [name] * 6
        assert [one.design for one in some] == [
            "SciPy", "this project, 16 PEs", "this project, 64 PEs",
            *(setting.name for setting in run.SETTINGS)]
    assert [one for one in counted if one[0] == "eie"] == [
        ("eie", "*eie_sram* *eie_regfile*", "16"), ("eie", "*eie_sram* *eie_regfile*", "64")]
    assert rows[1].cells == rows[7].cells == {"lut4": 1}


def test_figures_that_do_not_apply_are_dashes(row, task):
    cells = run.format_row(row())
    assert cells == {
        "design": "NNgen", "cycles": "200", "latency": "300", "net": "–", "µs": "–",
        "multipliers": "16", "cycles × multipliers": "3,208", "multiplications": "1,024",
        "accuracy": "98.77%", "dense accuracy": "–", "memory, kbit": "66", "used, kbit": "–",
        "read, kbit": "8", "LUT4": "4,321", "flip-flops": "999", "carry": "7", "DSP": "16"}
    assert cells.keys() == {*run.SPEED, *run.SIZE}


def test_a_processor_has_a_speed_but_no_size(row, task):
    rows = [row(), row("other"), row(design="SciPy", multipliers=None, cells=None)]
    speed, size = run.make_tables(task, rows)
    assert speed.title == size.title == "small: 72 weights, 36 not zero; 40 test images"
    assert [cells[0] for cells in speed.rows] == ["NNgen", "SciPy"]
    assert [cells[0] for cells in size.rows] == ["NNgen"]
    text = run.markdown([task], rows)
    assert text.startswith(f"### {speed.title}\n\n| design | cycles | latency |")
    assert text.count("| NNgen | 200 |") == text.count("| NNgen | 66 |") == 1


def call(folder, *arguments):
    return CliRunner().invoke(main, ["bench", "peers", *map(str, arguments), "-o", str(folder)],
                              catch_exceptions=False)


def test_tables_are_printed_and_kept(injected, tmp_path):
    result = call(tmp_path / "new", "--no-cells")
    assert result.exit_code == 0
    assert "small: 72 weights, 36 not zero; 40 test images" in result.stdout
    assert "LeNet-300-100 is left out, as it needs --published and --mnist." in result.stdout
    assert result.stdout.endswith("All 480 results of Verilog match the software model of their "
                                  "design.\n")
    kept = json.loads((tmp_path / "new" / "peers.json").read_text(encoding="utf-8"))
    assert kept["schema_version"] == 1
    assert kept["networks"] == [{"name": "small", "weights": 72, "nonzeros": 36,
                                 "test_images": 40}]
    assert len(kept["rows"]) == 6 and kept["rows"][1]["cycles_times_multipliers"] == 3208
    assert (tmp_path / "new" / "peers.md").read_text(encoding="utf-8").count("\n| ") == 15


def test_lenet_is_measured_with_its_files(injected, tmp_path):
    for name in ("model.npz", "data.npz"):
        (tmp_path / name).touch()
    result = call(tmp_path / "new", "--no-cells", "--published", tmp_path / "model.npz",
                  "--mnist", tmp_path / "data.npz", "--seed", 7)
    assert result.exit_code == 0
    assert "lenet 7: 72 weights" in result.stdout and "left out" not in result.stdout


def test_differences_set_the_exit_code(injected, tmp_path):
    injected["NNgen"] = 2
    result = call(tmp_path / "new", "--no-cells")
    assert result.exit_code == 1
    assert ("small on NNgen, 4 × 4, 128-bit bus: 2 of 80 results differ from the software model of "
            "the design.") in result.stdout


def test_a_missing_nngen_ends_the_command(tmp_path, monkeypatch, task):
    monkeypatch.setattr(tasks, "make_digits", lambda: task)
    monkeypatch.setattr("eie_bench.peers.nngen.find_spec", lambda name: None)
    result = call(tmp_path / "new")
    assert result.exit_code == 2
    assert result.stderr == (f"eie: NNgen must be installed to generate its designs, but was not "
                             f"found: {install_command('peers')}\n")
