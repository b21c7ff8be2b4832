"""Processes of tools: what is missing, what fails, and their caches."""

import subprocess
import sys
import time

import pytest

from eie_flows import tools
from eie_sim.rtl.toolchain import Tool, ToolError


def test_a_missing_tool_is_named(monkeypatch):
    missing = Tool.check("pyosys", "synthesis", None, None, "1", "pip install pyosys")
    monkeypatch.setattr(tools, "check_tools", lambda: [missing])
    with pytest.raises(ToolError, match="^pyosys must be installed for synthesis, but was "
                                        "not found: pip install pyosys$"):
        tools.require_yosys()


def test_compiled_code_goes_to_a_cache_that_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "user"))
    assert tools._find_cache(tmp_path / "pe") == tmp_path / "user"
    monkeypatch.delenv("YOWASP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert tools._find_cache(tmp_path / "pe") == tmp_path / "pe" / "cache"


def test_every_run_has_its_log_and_time(tmp_path):
    seconds = {}
    tools._run("import sys; print(sys.argv[1:])", {
        f"{number}.log": ["run", str(number)] for number in range(4)}, tmp_path,
        seconds.__setitem__)
    assert [(tmp_path / f"{number}.log").read_text(encoding="utf-8") for number in range(4)] == [
        f"['run', '{number}']\n" for number in range(4)]
    assert sorted(seconds) == [f"{number}.log" for number in range(4)]
    assert all(each > 0 for each in seconds.values())


def test_a_failure_shows_the_end_of_its_log_and_ends_other_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(tools.os, "sched_getaffinity", lambda process: {0, 1})
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(tools.subprocess, "Popen", lambda *arguments, **options: started.append(
        popen(*arguments, **options)) or started[-1])
    with pytest.raises(ToolError, match=r"(?s)^synthesis failed; the end of .*bad\.log:\nspoilt"):
        tools._run("import sys, time\nif sys.argv[1:]: sys.exit('spoilt')\ntime.sleep(600)",
                   {"long.log": [], "bad.log": ["x"]}, tmp_path)
    assert [process.poll() is not None for process in started] == [True, True]


def test_an_interruption_ends_the_run(tmp_path):
    """The tools run machine code that looks for no signal."""
    script = ("import sys, pathlib; from eie_flows import tools; tools._run("
              "'import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
              "print(1, flush=True); time.sleep(600)', {'a.log': []}, pathlib.Path(sys.argv[1]))")
    with subprocess.Popen([sys.executable, "-c", script, tmp_path],
                          stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        log = tmp_path / "a.log"
        while not (log.exists() and log.read_text(encoding="utf-8")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(2)
        assert process.wait(timeout=60) != 0
