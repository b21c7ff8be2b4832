"""`eie_hdl.export.fusesoc`: the file list, and a lint run without warnings."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.export.verilog import Emitted
from eie_sim.rtl.toolchain import tool_environment
from eie_sim.rtl.verilator_host import verilog


@pytest.fixture(scope="module")
def folder(simulators, tmp_path_factory):
    path = tmp_path_factory.mktemp("core")
    Emitted(verilog(PRESETS["tiny"], simulators)).write(path)
    return path


def test_the_core_lists_the_files_that_a_tool_must_read(folder):
    yaml = pytest.importorskip("yaml")
    text = (folder / "eie.core").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "CAPI=2:"
    core = yaml.safe_load(text)
    assert core["name"] == f"::eie:{version('eie-hdl')}"
    files = {name: fileset["files"] for name, fileset in core["filesets"].items()}
    assert files == {"rtl": (folder / "eie.f").read_text(encoding="utf-8").split(),
                     "waivers": ["eie.vlt"]}
    assert all((folder / name).exists() for names in files.values() for name in names)
    for target in core["targets"].values():
        assert target["toplevel"] == "eie"
        assert set(target["filesets"]) <= set(files)


def test_fusesoc_runs_the_lint(folder, verilator, tmp_path):
    pytest.importorskip("fusesoc")
    run = subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", folder, "run", "--target", "lint",
         "--work-root", tmp_path / "lint", "eie"],
        cwd=tmp_path, capture_output=True, encoding="utf-8",
        env=tool_environment({**os.environ, "HOME": str(tmp_path)}))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Verilator: Built from" in run.stdout
    assert "%Warning" not in run.stdout + run.stderr
    settings = [path.read_text(encoding="utf-8") for path in Path(tmp_path / "lint").glob("*.vc")]
    assert len(settings) == 1
    assert {"-Wall", "--lint-only"} <= set(settings[0].split())
