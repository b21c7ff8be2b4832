"""`eie_hdl.export.fusesoc`: the file list, and a lint run without warnings."""

import dataclasses
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.export.verilog import Emitted
from eie_sim.rtl.toolchain import find_verilator, tool_environment
from eie_sim.rtl.verilator_host import verilog

ONE_PE = dataclasses.replace(PRESETS["tiny"], n_pe=1)


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
                     "waivers": ["eie.vlt"], "bench": ["eie_bench.v"]}
    assert all((folder / name).exists() for names in files.values() for name in names)
    for name, target in core["targets"].items():
        assert target["toplevel"] == ("eie_bench" if name == "sim" else "eie")
        assert set(target["filesets"]) <= set(files)


def fusesoc(roots, tmp_path, *arguments):
    """Run FuseSoC on the cores in some folders; return what it printed."""
    pytest.importorskip("fusesoc")
    run = subprocess.run(
        [sys.executable, "-m", "fusesoc.main",
         *(f"--cores-root={root}" for root in roots), "run", *arguments],
        cwd=tmp_path, capture_output=True, encoding="utf-8",
        env=tool_environment({**os.environ, "HOME": str(tmp_path)}))
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_fusesoc_runs_the_lint(folder, verilator, tmp_path):
    text = fusesoc([folder], tmp_path, "--target", "lint", "--work-root", tmp_path / "lint", "eie")
    assert "Verilator: Built from" in text
    assert "%Warning" not in text
    settings = [path.read_text(encoding="utf-8") for path in Path(tmp_path / "lint").glob("*.vc")]
    assert len(settings) == 1
    assert {"-Wall", "--lint-only"} <= set(settings[0].split())


def test_fusesoc_runs_the_simulation(simulators, verilator, tmp_path, monkeypatch):
    # As on the page: the folder of the Verilator on the PATH, and no variable else.
    path = Path(find_verilator().path).parent
    monkeypatch.setattr(f"{__name__}.tool_environment", lambda base: {
        **base, "PATH": f"{path}:{Path(sys.executable).parent}:{base['PATH']}"})
    Emitted(verilog(ONE_PE, simulators, name="one")).write(tmp_path / "one")
    core = tmp_path / "one" / "one.core"    # compiled quickly rather than well
    core.write_text(core.read_text(encoding="utf-8").replace(
        "[--timing,", "[--timing, -MAKEFLAGS OPT_FAST=-O0, -MAKEFLAGS OPT_GLOBAL=-O0, "
        "-MAKEFLAGS VM_PARALLEL_BUILDS=0,"), encoding="utf-8")
    text = fusesoc([tmp_path / "one"], tmp_path, "--target", "sim", "one")
    assert "\nPASS: 0 inferences, 0 beats of results\n" in text
    assert "%Warning" not in text


def test_two_machines_are_two_cores(folder, simulators, tmp_path, verilator):
    other = tmp_path / "one"
    Emitted(verilog(ONE_PE, simulators, name="one")).write(other)
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "both.core").write_text(
        "CAPI=2:\nname: ::both:1\nfilesets:\n  rtl:\n    depend: [\"::eie\", \"::one\"]\n"
        "targets:\n  default:\n    filesets: [rtl]\n    toplevel: eie\n", encoding="utf-8")
    text = fusesoc([folder, other, tmp_path / "both"], tmp_path, "--setup", "--tool", "icarus",
                   "both")
    assert "Replacing" not in text
    assert {path.name for path in tmp_path.rglob("build/**/*.v")} >= {
        *(folder / "eie.f").read_text(encoding="utf-8").split(),
        *(other / "one.f").read_text(encoding="utf-8").split()}
