"""Bench of a machine without a network; with one, see tests/sim/test_hex_export.py."""

import re
import subprocess

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.export.bench import describe_bench
from eie_hdl.export.names import VerilogNameError
from eie_hdl.export.verilog import Emitted
from eie_sim.rtl.verilator_host import verilog


@pytest.fixture(scope="module")
def folder(simulators, tmp_path_factory):
    """Folder with a machine named `left`."""
    path = tmp_path_factory.mktemp("left")
    Emitted(verilog(PRESETS["tiny"], simulators, name="left")).write(path)
    return path


def run(folder, bench, *options):
    subprocess.run(["iverilog", "-g2005", "-Wall", *options, "-s", "left_bench", "-o", "bench.vvp",
                    "-c", "left.f", bench], cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, capture_output=True,
                          encoding="utf-8")


def test_the_machine_that_is_expected_passes(folder, icarus):
    ended = run(folder, "left_bench.v")
    assert (ended.returncode, ended.stdout) == (0, "PASS: 0 inferences, 0 beats of results\n")


def test_another_machine_fails(folder, icarus):
    (folder / "other.v").write_text(
        describe_bench(EIEConfig(n_pe=8), "left", machine="left"), encoding="utf-8")
    ended = run(folder, "other.v")
    assert ended.returncode == 1
    assert re.search(r"^left_bench\.check: register [0-9a-f]+ is 0+4, not 0+8$", ended.stdout,
                     re.MULTILINE)
    assert re.search("^FAIL: .*is it another machine", ended.stdout, re.MULTILINE)
    assert "PASS" not in ended.stdout


def test_a_machine_that_does_not_answer_fails(folder, icarus):
    text = (folder / "left_bench.v").read_text(encoding="utf-8")
    (folder / "stuck.v").write_text(text.replace(".aresetn(aresetn)", ".aresetn(1'b0)"),
                                    encoding="utf-8")
    ended = run(folder, "stuck.v", "-Pleft_bench.TIMEOUT=1000")
    assert ended.returncode == 1
    assert "FAIL: left_bench.finish: no transfer for TIMEOUT cycles\n" in ended.stdout


@pytest.mark.parametrize("names", [{"name": "module"}, {"name": "net", "machine": "Left"}])
def test_names_are_checked(names):
    with pytest.raises(VerilogNameError):
        describe_bench(PRESETS["tiny"], **names)
