"""Conversion by the built-in Yosys, in any environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eie_hdl.export.yosys import builtin_yosys

#: Program that prints a module which the built-in Yosys has converted.
CONVERT = ("from amaranth.lib.wiring import Component, In, Out\n"
           "from eie_hdl.export.verilog import to_verilog\n"
           "class Wire(Component):\n"
           "    i: In(1)\n"
           "    o: Out(1)\n"
           "    def elaborate(self, platform):\n"
           "        from amaranth.hdl import Module\n"
           "        m = Module()\n"
           "        m.d.comb += self.o.eq(self.i)\n"
           "        return m\n"
           "print(to_verilog(Wire(), 'wire_only'))\n")


@pytest.mark.parametrize("environment", [
    {"HOME": "/proc/nohome", "XDG_CACHE_HOME": ""},
    {"HOME": "/dev/null", "XDG_CACHE_HOME": ""},
    {"XDG_CACHE_HOME": "/proc/nowhere"},
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
    {"PATH": "FOLDER"},
], ids=["no home", "home is a file", "no cache", "ASCII", "other Yosys"])
def test_text_is_the_same_in_every_environment(tmp_path, environment):
    other = tmp_path / "bin" / "yosys"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho 'Yosys 99.0'\n", encoding="utf-8")
    other.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    texts = []
    for changes in ({}, environment):
        changes = {name: value.replace("FOLDER", f"{other.parent}:{os.environ['PATH']}")
                   for name, value in changes.items()}
        run = subprocess.run([sys.executable, "-c", CONVERT], capture_output=True, encoding="utf-8",
                             env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), **changes})
        assert (run.returncode, run.stderr) == (0, "")
        texts.append(run.stdout)
    assert "module wire_only(" in texts[0]
    assert texts[0] == texts[1]
    assert not [*(tmp_path / "tmp").iterdir()]


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.delenv("AMARANTH_USE_YOSYS", raising=False)
    before = dict(os.environ)
    with builtin_yosys():
        assert os.environ["AMARANTH_USE_YOSYS"] == "builtin"
        assert Path(os.environ["XDG_CACHE_HOME"]).is_dir()
        with builtin_yosys():
            pass
        assert Path(os.environ["XDG_CACHE_HOME"]).is_dir()
    assert dict(os.environ) == before
