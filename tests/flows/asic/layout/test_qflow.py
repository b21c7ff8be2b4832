"""Placement and routing by qflow."""

import shutil
import signal
import subprocess

import pytest

from eie_flows.asic.layout import qflow
from eie_flows.asic.layout.qflow import place_and_route, read_failures
from eie_sim.rtl.toolchain import Tool, ToolError

BLIF = (".model top\n.inputs a b c\n.outputs y\n.gate NAND2X1 A=a B=b Y=d\n"
        ".gate NAND2X1 A=d B=c Y=y\n.end\n")


@pytest.mark.parametrize("log, failures", [
    ("Final: No failed routes!\n", 0), ("Progress\nFinal: Failed net routes: 3\n", 3),
    ("No failed routes!\n", None), ("", None)])
def test_failures_are_those_at_the_end_of_the_log(log, failures):
    assert read_failures(log) == failures


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    missing = Tool.check("qflow", "layouts", None, None, "0", "apt install qflow")
    monkeypatch.setattr(qflow, "find_qflow", lambda: missing)
    with pytest.raises(ToolError, match="^qflow must be installed for layouts, but was not found: "
                                        "apt install qflow$"):
        place_and_route("top", tmp_path, seed=1)
    monkeypatch.setattr(qflow, "require", lambda tool: tool)
    monkeypatch.setattr(qflow, "_PARAMETERS", tmp_path / "none.par")
    with pytest.raises(ToolError, match="^the library osu018 must be installed for a layout, but "
                                        "was not found in .*: apt install qflow-tech-osu018$"):
        place_and_route("top", tmp_path, seed=1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "top.blif").write_text(BLIF, encoding="utf-8")
    (tmp_path / "top.v").write_text("module top(a, b, c, y);\nendmodule\n", encoding="utf-8")
    return tmp_path


def test_end_of_the_output_is_in_the_error(folder, monkeypatch):
    monkeypatch.setattr(qflow, "require_qflow", lambda: None)
    monkeypatch.setattr(qflow, "_PARAMETERS", folder / "top.v")
    monkeypatch.setattr(qflow, "_run", lambda arguments, work, progress: "some\nfault")
    with pytest.raises(ToolError, match="^qflow failed; the end of .*qflow.log:\nsome\nfault$"):
        place_and_route("top", folder, seed=1)


def test_nets_that_remain_are_reported_by_the_thousand(tmp_path):
    text = "".join(f"{prefix}Nets remaining: {count}\n" for prefix, count in
                   (("", 12000), ("", 11999), ("", 1000), ("", 999), ("", 0), ("x ", 3000)))
    steps = []
    assert qflow._run(["printf", text.replace("\n", "\\n")], tmp_path, steps.append) == text
    assert steps == ["routing: 12,000 nets remain", "routing: 1,000 nets remain"]


def test_a_run_that_is_interrupted_ends_its_children(tmp_path):
    class Process(subprocess.Popen):
        def __exit__(self, *error):
            super().__exit__(*error)
            ended.append(self.returncode)

    def interrupt(step):
        raise KeyboardInterrupt

    ended = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Process)
        with pytest.raises(KeyboardInterrupt):
            qflow._run(["sh", "-c", "echo 'Nets remaining: 1000'; sleep 60 & wait"], tmp_path,
                       interrupt)
    assert ended == [-signal.SIGKILL]


@pytest.mark.skipif(not shutil.which("qflow") or not qflow._PARAMETERS.exists(),
                    reason="qflow and qflow-tech-osu018 are not installed")
def test_two_gates_are_placed_and_routed(folder):
    file, failures = place_and_route("top", folder, seed=2)
    assert failures == 0 and "ROUTED" in file.read_text(encoding="utf-8")
    assert "random.seed	      : 2" in next((folder / "qflow/layout").glob("*.par")).read_text(
        encoding="utf-8")
