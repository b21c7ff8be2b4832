"""Characterisation of all cells."""

import dataclasses
import os
import subprocess
import sys

import pytest

from eie_flows.sky130 import characterise
from eie_flows.sky130.cells import CELLS, FLIPFLOPS

NAMES = [*FLIPFLOPS, *CELLS]


@pytest.fixture
def measured(monkeypatch):
    """Names of what is measured by fakes of all that need ngspice or the package."""
    names = []

    def measure_constraints(name):
        names.append(f"constraints of {name}")
        return f"constraints of {name}"

    def measure_flipflop(name, constraints):
        names.append(name)
        return name, constraints

    def measure_cell(cell):
        names.append(cell.name)
        return cell.name

    for name, value in {"ngspice_version": lambda: "39", "package_version": lambda: "0.15.3",
                        "read_area": lambda name: 2.5,
                        "read_subcircuit": lambda name: f"transistors of {name}",
                        "measure_constraints": measure_constraints,
                        "measure_flipflop": measure_flipflop, "measure_cell": measure_cell,
                        "describe_cell": lambda *parts: f"{parts}\n",
                        "describe_library": lambda cells, origin: f"{origin}\n{''.join(cells)}"
                        }.items():
        monkeypatch.setattr(characterise, name, value)
    characterise._constraints.cache_clear()
    yield names
    characterise._constraints.cache_clear()


def run(folder):
    characterise.main(folder / "made.lib", folder / "cache")
    return (folder / "made.lib").read_text(encoding="utf-8").splitlines()


def test_all_cells_are_measured_with_their_areas(tmp_path, measured, capsys):
    origin, *cells = run(tmp_path)
    assert origin == "ngspice 39, Python package sky130 0.15.3"
    assert cells == [
        *(str((name, 2.5, (name, "constraints of dfxtp_1"))) for name in FLIPFLOPS),
        *(str((name, 2.5, name)) for name in CELLS)]
    assert measured == ["constraints of dfxtp_1", *NAMES]
    assert capsys.readouterr().err.splitlines() == [
        f"{number}/{len(NAMES)}: {name}" for number, name in enumerate(NAMES, 1)]


def test_a_run_continues_one_that_was_interrupted(tmp_path, measured, monkeypatch):
    stops = NAMES[10]
    measure_cell = characterise.measure_cell

    def interrupted(cell):
        if cell.name == stops:
            raise KeyboardInterrupt
        return measure_cell(cell)

    with monkeypatch.context() as patch:
        patch.setattr(characterise, "measure_cell", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert not (tmp_path / "made.lib").exists()
    measured.clear()
    assert len(run(tmp_path)) == 1 + len(NAMES)
    assert measured == NAMES[10:]


@pytest.mark.parametrize("name, value, again", [
    ("ngspice_version", lambda: "40", ["constraints of dfxtp_1", *NAMES]),
    ("_sources", lambda: "others", ["constraints of dfxtp_1", *NAMES]),
    ("read_subcircuit", lambda name: f"{'other ' * (name == 'inv_2')}transistors of {name}",
     ["inv_2"]),
    ("CELLS", {**CELLS, "buf_1": dataclasses.replace(CELLS["buf_1"], function="(!A)")}, ["buf_1"]),
])
def test_a_cell_is_measured_again_if_something_changed(name, value, again, tmp_path, measured,
                                                       monkeypatch):
    run(tmp_path)
    measured.clear()
    characterise._constraints.cache_clear()
    monkeypatch.setattr(characterise, name, value)
    run(tmp_path)
    assert measured == again


def test_a_missing_ngspice_ends_the_program_with_its_message():
    result = subprocess.run([sys.executable, "-m", characterise.__name__], check=False,
                            env={**os.environ, "PATH": ""}, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert result.stderr == ("eie_flows.sky130.characterise: ngspice must be installed for "
                             "characterisation, but was not found: apt install ngspice\n")
