"""`eie run` (`eie_cli.run`): outputs, statistics and the verdict on the hardware."""

import json
import re
import sys

import numpy as np
import pytest

from eie_compiler.build import Build
from eie_compiler.compression.compress import compress
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import EIEConfig
from eie_hdl.extras import install_command
from eie_hdl.format import COUNTERS
from eie_sim import inference
from eie_sim.rtl import cocotb_engine


def test_golden_model_writes_outputs_and_statistics(tmp_path, build, inputs, eie):
    code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "out")
    assert code == 0
    assert "3 inferences, golden" in text and "broadcasts" in text
    loaded = Build.load(build)
    expected = inference.infer(loaded, np.load(inputs), engine="golden")
    for name, output in zip(["a", "b"], expected.outputs):
        assert np.load(tmp_path / "out" / f"{name}.npy").tolist() == output.tolist()
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["engine"] == "golden" and statistics["outputs"] == ["a", "b"]
    assert statistics["fraction_bits"] == {one.name: one.frac for one in loaded.outputs}
    assert statistics["counters"]["macs"]["values"] == expected.counters["macs"].tolist()
    assert statistics["pe_utilisation"] is None
    assert 0 < statistics["entry_balance"] <= 1


def test_integers_are_numbers_and_words_are_asked_for(tmp_path, build, eie):
    numbers = np.array([[0, 1, 0, 0, 1, 1]], np.uint8)
    frac = Build.load(build).input.frac
    files = {"integers": numbers, "floats": numbers.astype(float),
             "words": (numbers * 2.0 ** frac).astype(int)}
    results = {}
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
        options = ["--words"] if name == "words" else []
        code, text = eie("run", build, "--input", tmp_path / f"{name}.npy", *options,
                         "-o", tmp_path / name)
        assert code == 0, text
        results[name] = np.load(tmp_path / name / "b.npy").tolist()
    assert results["integers"] == results["floats"] == results["words"]
    code, text = eie("run", build, "--input", tmp_path / "floats.npy", "--words",
                     "-o", tmp_path / "o")
    assert code == 2
    assert text == "eie: --input must be fixed-point words, which are integers, not float64\n"


def test_saturation_is_counted_and_warned_of(tmp_path, build, eie):
    np.save(tmp_path / "x.npy", np.full((3, 6), 1000))
    code, text = eie("run", build, "--input", tmp_path / "x.npy", "-o", tmp_path / "out")
    assert code == 0
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert list(statistics["saturation"]) == ["input", "a", "b"]
    one = statistics["saturation"]["input"]
    assert one["saturated"] == one["elements"] == 18
    assert (f"eie: warning: 18 of 18 input elements (100.0%) were beyond {one['least']:g} to "
            f"{one['greatest']:g} and saturated: scale the inputs as those of `eie compress "
            f"--calibrate`\n") in text
    for name in ("a", "b"):
        n = statistics["saturation"][name]["saturated"]
        assert (f"eie: warning: {n:,} of " in text and f"results of layer {name} (" in text) == (
            n > 0)
    np.save(tmp_path / "x.npy", np.zeros((3, 6)))
    code, text = eie("run", build, "--input", tmp_path / "x.npy", "-o", tmp_path / "out")
    assert code == 0 and "warning" not in text


def test_inputs_that_are_not_finite_are_rejected(tmp_path, build, eie):
    np.save(tmp_path / "x.npy", np.array([[0, 1, np.nan, 0, 0, 0]]))
    assert eie("run", build, "--input", tmp_path / "x.npy", "-o", tmp_path / "out") == (
        2, "eie: --input must be finite, but element [0, 2] is nan\n")


def test_results_that_are_all_equal_are_warned_of(tmp_path, build, inputs, eie):
    samples = np.load(inputs)
    for name, array, warned in (("x", samples, False), ("tiny", samples * 1e-9, True),
                                ("same", samples[[0, 0, 0]], False), ("one", samples[:1], False)):
        np.save(tmp_path / f"{name}.npy", array)
        code, text = eie("run", build, "--input", tmp_path / f"{name}.npy", "-o", tmp_path / "out")
        assert code == 0
        assert ("eie: warning: all 3 inferences give the same results, although their inputs differ"
                in text) is warned
        statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
        assert statistics["all_equal"] is (name in ("tiny", "same"))


@pytest.mark.parametrize("shape", [(3, 5), (0, 6), (1, 2, 6)])
def test_inputs_of_a_wrong_shape_are_rejected(tmp_path, build, eie, shape):
    np.save(tmp_path / "x.npy", np.zeros(shape))
    code, text = eie("run", build, "--input", tmp_path / "x.npy", "-o", tmp_path / "out")
    assert code == 2
    assert text == (f"eie: --input must be numbers, one or more rows of 6, not float64 of shape "
                    f"{shape}\n")


def test_waves_need_the_hardware_and_an_existing_instance(tmp_path, build, inputs, eie):
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
        model = inference.infer(build, words, words=True, engine="golden")
        outputs = [output.copy() for output in model.outputs]
        counters = [{name: int(model.counters[name][image]) if name in model.counters else 100
                     for name in COUNTERS} for image in range(len(words))]
        result = cocotb_engine.SimulationResult(
            outputs, counters, np.zeros(len(words), bool), np.zeros(len(words), np.int64), 100,
            80 * len(words), None, 1.0)
        for change in changes:
            change(result)
        return result

    monkeypatch.setattr(cocotb_engine, "run", run)
    return changes


def test_the_verdict_on_hardware_that_agrees_names_what_was_compared(
        tmp_path, build, inputs, eie, pretended):
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 0
    assert "All 36 outputs, and the counts of broadcasts, MACs and paddings, match the" in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    macs = statistics["counters"]["macs"]["values"]
    assert statistics["pe_utilisation"] == pytest.approx(sum(macs) / (3 * 100 * 2))


def test_one_wrong_bit_is_reported_with_layer_row_got_and_expected(
        tmp_path, build, inputs, eie, pretended):
    expected = []

    def flip(result):
        expected.append(int(result.outputs[0][1, 4]))
        result.outputs[0][1, 4] ^= 1

    pretended.append(flip)
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 1
    assert (f"layer a, row 4, image 1: got {expected[0] ^ 1}, expected {expected[0]}\n"
            f"1 number differs from the golden model.") in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["mismatches"] == [{"layer": "a", "row": 4, "image": 1,
                                         "got": expected[0] ^ 1, "expected": expected[0]}]


def test_one_wrong_counter_is_reported(tmp_path, build, inputs, eie, pretended):
    pretended.append(lambda result: result.counters[2].update(broadcasts=999))
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 1
    assert re.search(r"counter broadcasts, row 0, image 2: got 999, expected \d+\n", text)


def test_overflow_is_reported(tmp_path, build, inputs, eie, pretended):
    pretended.append(lambda result: result.overflow.put(1, True))
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "-o", tmp_path / "out")
    assert code == 1
    assert "An accumulator overflowed in 1 inference." in text


def test_hardware_runs_and_agrees(tmp_path, build, inputs, eie, icarus):
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "--sim", icarus,
                     "-o", tmp_path / "out")
    assert code == 0, text
    assert "All 36 outputs, and the counts of" in text and "waveform" not in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert min(statistics["counters"]["cycles"]["values"]) > 10


def test_the_path_of_the_waveform_is_printed(tmp_path, build, inputs, eie, icarus):
    code, text = eie("run", build, "--input", inputs, "--engine", "cocotb", "--sim", icarus,
                     "--waves", "pe_1", "-o", tmp_path / "out")
    assert code == 0, text
    waveform = tmp_path / "out" / "simulation" / "waves.fst"
    assert text.endswith(f"The waveform is {waveform}.\n")
    assert waveform.stat().st_size > 0


def test_hardware_runs_without_cocotb(tmp_path, network, inputs, eie, verilator):
    # Four PEs: other tests compile the same machine.
    assert eie("compile", network, "--pes", 4, "-o", tmp_path / "build")[0] == 0
    run = ("run", tmp_path / "build", "--input", inputs, "--engine", "verilator",
           "-o", tmp_path / "out")
    code, text = eie(*run)
    assert code == 0, text
    assert "All 9 outputs, and the counts of" in text
    assert "transfers included, mean of 32 back to back" in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["end_to_end"].keys() == {"inferences", "cycles", "bound", "latency"}
    code, text = eie(*run, "--sim", "icarus")
    assert code == 2 and "--sim icarus needs --engine cocotb" in text
    code, text = eie(*run, "--engine", "golden", "--sim", "icarus")
    assert code == 2 and "--sim icarus needs --engine cocotb" in text


def test_cycles_are_predicted_without_a_simulation(tmp_path, build, inputs, eie):
    pytest.importorskip("numba", reason=install_command("bench"))
    results = {}
    for engine in ("golden", "cycle-model"):
        code, text = eie("run", build, "--input", inputs, "--engine", engine,
                         "-o", tmp_path / engine)
        assert code == 0, text
        results[engine] = json.loads(
            (tmp_path / engine / "statistics.json").read_text(encoding="utf-8"))
    assert "The cycle model predicted all counters and cycles; no Verilog was run.\n" in text
    assert "transfers included, mean of 32 back to back" in text
    golden, predicted = results.values()
    assert predicted["predicted"] and not golden["predicted"]
    assert predicted["counters"].keys() == COUNTERS.keys()
    assert predicted["counters"].items() >= golden["counters"].items()
    assert predicted["end_to_end"]["cycles"] >= predicted["end_to_end"]["bound"] > 0
    for name in ("a", "b"):
        assert ((tmp_path / "golden" / f"{name}.npy").read_bytes()
                == (tmp_path / "cycle-model" / f"{name}.npy").read_bytes())


def test_the_cycle_model_needs_numba(tmp_path, build, inputs, eie, monkeypatch):
    monkeypatch.setitem(sys.modules, "eie_sim.cycles.kernel", None)
    monkeypatch.delattr("eie_sim.cycles.kernel", raising=False)
    assert eie("run", build, "--input", inputs, "--engine", "cycle-model",
               "-o", tmp_path / "out") == (
        2, f"eie: Numba must be installed for the cycle model, but was not found: "
           f"{install_command('bench')}\n")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def answers(tmp_path, build, inputs):
    """Classes that the build gives to its inputs, and its outputs as numbers."""
    loaded = Build.load(build)
    words = inference.infer(loaded, np.load(inputs), engine="golden").outputs[-1]
    return words.argmax(axis=1), np.ldexp(words.astype(float), -loaded.layers[-1].frac)


@pytest.mark.parametrize("which, noise, line, key, value", [
    (0, 0, "Accuracy 100.00% on 3 inputs.", "accuracy", 1),
    (1, 0, "R² 1.0000 on 3 inputs.", "r2", 1),
    (1, 1e-3, "R² 1.0000 on 3 inputs.", "r2", pytest.approx(1, abs=1e-4)),
])
def test_labels_measure_the_outputs(tmp_path, build, inputs, answers, eie, which, noise, line, key,
                                    value):
    np.save(tmp_path / "y.npy", answers[which] + noise if noise else answers[which])
    code, text = eie("run", build, "--input", inputs, "--labels", tmp_path / "y.npy",
                     "-o", tmp_path / "out")
    assert code == 0
    assert line in text.splitlines()
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics[key] == value
    assert statistics["task"] == ("regression" if which else "classification")
    assert statistics["r2" if key == "accuracy" else "accuracy"] is None


def test_share_of_hits_is_the_accuracy(tmp_path, build, inputs, answers, eie):
    labels = answers[0].copy()
    labels[0] = (labels[0] + 1) % 3
    np.save(tmp_path / "y.npy", labels)
    _, text = eie("run", build, "--input", inputs, "--labels", tmp_path / "y.npy", "-o",
                  tmp_path / "out")
    assert "Accuracy 66.67% on 3 inputs." in text
    np.save(tmp_path / "y.npy", (answers[0] + 1) % 3)
    _, text = eie("run", build, "--input", inputs, "--labels", tmp_path / "y.npy", "-o",
                  tmp_path / "out")
    assert "eie: warning: a constant answer is as good (" in text


def test_outputs_that_are_bad_alone_are_warned_of(tmp_path, build, inputs, answers, eie):
    numbers = answers[1].copy()
    numbers[:2, 0] = numbers[1::-1, 0]
    np.save(tmp_path / "y.npy", numbers)
    code, text = eie("run", build, "--input", inputs, "--labels", tmp_path / "y.npy", "-o",
                     tmp_path / "out")
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    one, = statistics["bad_outputs"]
    assert one["output"] == 0 and one["model"] is None
    assert one["network"] < statistics["r2"] / 2
    assert code == 0 and "eie: warning: 1 output alone would be bad: R² of output 0 is 0." in text


def test_words_of_a_network_with_preprocessing_are_warned_of(tmp_path, eie):
    model = Model((ModelLayer("fc", np.eye(2)),), preprocessing=Preprocessing(np.ones(2),
                                                                              np.full(2, 2.0)))
    network = compress(model, calibration=np.array([[0.0, 1], [1, 0]]))
    compile_network(network, EIEConfig(n_pe=2)).save(tmp_path / "build")
    np.save(tmp_path / "x.npy", np.array([[3, 4]]))
    for options, preprocessed in ((["--words"], False), ([], True)):
        code, text = eie("run", tmp_path / "build", "--input", tmp_path / "x.npy", *options,
                         "-o", tmp_path / "out")
        assert code == 0
        assert ("eie: warning: the offset and scale of each input were not applied" in text
                ) is not preprocessed
        statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
        assert statistics["preprocessed"] is preprocessed


def test_a_folder_that_is_no_build_is_named(tmp_path, inputs, eie):
    assert eie("run", tmp_path, "--input", inputs, "-o", tmp_path / "out") == (
        2, f"eie: {tmp_path} must be a folder that `eie compile` writes, but has no "
           "manifest.json\n")


def test_a_run_without_labels_has_no_accuracy(tmp_path, build, inputs, eie):
    code, text = eie("run", build, "--input", inputs, "-o", tmp_path / "out")
    assert code == 0 and "Accuracy" not in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert [statistics[key] for key in ("task", "accuracy", "r2", "bad_outputs")] == [None] * 4


@pytest.mark.parametrize("labels, options, message", [
    (np.zeros(4, int), (), "eie: --labels must be 3, one for each input, not int64 of shape (4,)"),
    (np.array([0, 1, 3]), (), "eie: --labels must be classes from 0 to 2, the positions of the "
                              "outputs, not 3"),
    (np.ones((3, 2)), ("--task", "regression"), "eie: --labels must be 3 numbers for each input"),
])
def test_wrong_labels_are_refused_before_anything_runs(tmp_path, build, inputs, eie, monkeypatch,
                                                       labels, options, message):
    monkeypatch.setattr(inference, "infer", None)
    np.save(tmp_path / "y.npy", labels)
    code, text = eie("run", build, "--input", inputs, "--labels", tmp_path / "y.npy", *options,
                     "-o", tmp_path / "out")
    assert code == 2
    assert text.startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_task_without_labels_is_refused(tmp_path, build, inputs, eie):
    code, text = eie("run", build, "--input", inputs, "--task", "regression", "-o", tmp_path / "o")
    assert code == 2
    assert "--task needs --labels" in text
