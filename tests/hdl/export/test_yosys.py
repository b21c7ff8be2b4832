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
    {"XDG_CACHE_HOME": "/proc/nowhere"},
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
    {"PATH": "FOLDER"},
], ids=["no cache", "ASCII", "other Yosys"])
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


@pytest.mark.parametrize("home", ["/proc/nohome", "/dev/null"], ids=["no home", "home is a file"])
def test_a_cache_that_can_be_written_is_chosen(tmp_path, home):
    """Yosys is not compiled for it, as it is without a cache above."""
    make_cache = "    wasmtime.Config().cache = True\n"
    begin = "import wasmtime\nfrom eie_hdl.export.yosys import builtin_yosys\n"
    done, failed = (subprocess.run(
        [sys.executable, "-c", f"{begin}{body}{make_cache}"], capture_output=True,
        encoding="utf-8", env={**os.environ, "HOME": home, "XDG_CACHE_HOME": "",
                               "TMPDIR": str(tmp_path)})
        for body in ("with builtin_yosys():\n", "if True:\n"))
    assert (done.returncode, done.stderr) == (0, "")
    assert failed.returncode and "WasmtimeError" in failed.stderr
    assert not [*tmp_path.iterdir()]


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
