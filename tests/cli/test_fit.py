"""`eie fit` (`eie_cli.fit`): its table, files and errors; and `eie bench fit`."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_bench.networks.task import Task
from eie_cli.bench import fit as bench_fit
from eie_cli.fit import DEVICES
from eie_cli.main import main
from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_flows import devices
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.extras import install_command
from support.graphs import residual_network

pytest.importorskip("numba", reason=install_command("bench"))
TINY = PRESETS["tiny"]


def test_all_devices_are_choices():
    assert list(DEVICES.choices) == list(devices.DEVICES)


def test_machines_are_listed_and_the_chosen_one_compiles_the_network(tmp_path, network, eie):
    toml = tmp_path / "machine.toml"
    code, text = eie("fit", network, "--device", "ecp5-25", "-o", toml)
    assert code == 0, text
    assert "smallest" in text and "fastest" in text and "too small: " in text
    code, printed = eie("fit", network, "--device", "ecp5-25", "--json")
    found = json.loads(printed[printed.index("{"):])
    assert code == 0
    fastest = found["machines"][found["fastest"]]
    config = EIEConfig.from_toml(toml)
    assert config == EIEConfig(**fastest["config"])
    assert f"{config.n_pe} PEs, {fastest['cycles']:,.0f} cycles" in text
    assert eie("compile", network, "--config", toml, "-o", tmp_path / "one")[0] == 0
    assert eie("compile", network, "--fit", "ecp5-25", "-o", tmp_path / "two")[0] == 0
    assert Build.load(tmp_path / "two").config == Build.load(tmp_path / "one").config == config
    # A limit chooses the smallest machine that keeps it.
    slower = found["machines"][found["fastest"] - 1]
    code, text = eie("fit", network, "--device", "ecp5-25", "-o", toml, "--max-cycles",
                     slower["cycles"])
    assert EIEConfig.from_toml(toml).n_pe == slower["config"]["n_pe"]


def test_a_machine_is_either_given_or_chosen(network, tmp_path, eie):
    code, text = eie("compile", network, "--pes", 4, "--fit", "ecp5-25", "-o", tmp_path / "build")
    assert code == 2 and "--fit chooses the machine: leave out --config, --preset and --pes" in text


def test_a_device_without_room_is_one_line(network, tmp_path, eie):
    for arguments, option in ((["fit", network, "--device", "up5k"], "--device"),
                              (["compile", network, "--fit", "up5k", "-o", tmp_path], "--fit")):
        code, text = eie(*arguments)
        assert code == 2
        assert text.startswith(f"eie: {option} must hold the network, but up5k does not: ")
        assert text.count("\n") == 1


def test_a_cell_has_the_machine_or_what_is_missing():
    small = random_network(np.random.default_rng(1), [8, 4])
    large = random_network(np.random.default_rng(1), [800, 600], density=0.3)
    cases = [bench_fit.Case(name, lambda network=network: network, None)
             for name, network in (("small", small), ("large", large))]
    steps = []
    found = list(bench_fit.find_machines(cases, ["ecp5-25", "up5k"], progress=steps.append))
    assert [row["network"] for row in found] == ["small", "large"]
    assert steps[0] == "small: compressing" and "large, up5k: machines of 256 PEs" in steps
    fits = found[0]["machines"]["ecp5-25"]
    compile_network(small, EIEConfig(**fits["config"]))
    n_pe = fits["config"]["n_pe"]
    assert bench_fit.format_machine(fits) == f"{n_pe} PE{'s' * (n_pe > 1)}, {fits['cycles']:,.0f}"
    lacking = found[1]["machines"]["up5k"]
    assert set(lacking["lacking"]) == {"LUTs", "block RAMs"}
    assert bench_fit.format_machine({
        "config": {"n_pe": 1}, "cycles": None, "lacking": {"LUTs": 1.32, "block RAMs": 2.0}
    }) == "1 PE: LUTs × 1.3, block RAMs × 2.0"


def test_cases_are_the_digits_and_the_tasks():
    graph = residual_network(TINY)
    task = Task("residual", "a test", lambda: graph, {"image": np.zeros((20, 2, 6, 6))}, {}, (8, 3),
                compressed={3: lambda: graph})
    digits, residual = bench_fit.make_cases([task])
    assert digits.name == "digits" and digits.inputs.shape == (8, 64)
    assert residual.read() is graph and len(residual.inputs["image"]) == 8


def test_the_command_writes_rows_and_a_table(tmp_path, monkeypatch):
    proposal = {"config": {"n_pe": 2}, "cycles": 1234.5, "lacking": {}}
    monkeypatch.setattr(bench_fit, "find_machines", lambda cases, names, **options: iter([
        {"network": cases[0].name, "machines": dict.fromkeys(names, proposal)}]))
    result = CliRunner().invoke(main, ["bench", "fit", "--device", "up5k", "--device", "asic",
                                       "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "fit.md").read_text(encoding="utf-8") == (
        "| network | up5k | asic |\n| --- | --- | --- |\n| digits | 2 PEs, 1,234 | 2 PEs, 1,234 |\n"
    )
    rows = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))["rows"]
    assert rows == [{"network": "digits", "machines": {"up5k": proposal, "asic": proposal}}]
    assert "left out, as --kws is not given: keyword spotting" in result.stderr
