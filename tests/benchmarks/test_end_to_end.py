"""End-to-end cycles on a small machine: every number is compared, and the last line is exact.

Tables and files are those of the command `eie_cli.bench.end_to_end`.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_bench import end_to_end as module
from eie_bench.end_to_end import Case, headline, make_cases, measure, read_lenet
from eie_bench.sharing import DataError
from eie_cli.main import main
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_sim.inference import BACK_TO_BACK


def make_case(network="digits", engine="cycle-model"):
    rng = np.random.default_rng(5)
    build = compile_network(random_network(rng, [24, 40, 9], density=0.3, v_width=3, frac=4),
                            PRESETS["tiny"])
    return Case(network, build, rng.integers(0, 128, (4, 24)) * rng.integers(0, 2, (4, 24)), engine)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Function that runs the command on given cases; returns exit code, lines and JSON."""
    def run(cases):
        monkeypatch.setattr(module, "make_cases", lambda lenet, **options: cases)
        path = tmp_path / "sub" / "e2e.json"
        result = CliRunner().invoke(main, ["bench", "end-to-end", "-o", str(path)],
                                    catch_exceptions=False)
        return (result.exit_code, result.output.splitlines(),
                json.loads(path.read_text(encoding="utf-8")))

    return run


def test_every_number_of_the_verilog_is_compared(verilator, simulators):
    row = measure(make_case(engine="verilator"), cache=simulators)
    assert row.differences == [] and row.inferences == BACK_TO_BACK
    assert row.compared == (4 + BACK_TO_BACK + 1) * 9
    assert (row.cycles, row.latency) == (row.predicted_cycles, row.predicted_latency)
    assert row.ideal < row.bound < row.cycles < row.net < row.latency + 24
    predicted = measure(make_case())
    assert predicted == row._replace(engine="cycle-model", cycles=None, latency=None, compared=0)
    assert predicted.end_to_end == row.end_to_end


@pytest.mark.parametrize("wrong, differing", [
    (BACK_TO_BACK, ["end-to-end cycles of all, predicted"]), (1, ["latency, predicted"])])
def test_a_wrong_prediction_of_the_cycles_is_a_difference(verilator, monkeypatch, run, wrong,
                                                          differing):
    def predict(build, words):
        interval, latency = real(build, words)
        return interval + (len(words) == wrong), latency + (len(words) == wrong)

    real = module.predict_back_to_back
    monkeypatch.setattr(module, "predict_back_to_back", predict)
    code, lines, kept = run([make_case(engine="verilator"), make_case(module.QUICK[0])])
    differences = kept["rows"][0]["differences"]
    assert [one["layer"] for one in differences] == differing
    assert differences[0]["expected"] == differences[0]["got"] + 1
    assert code == 1 and lines[-3] == "1 number differs from what was expected."


def test_the_last_line_is_that_of_the_predicted_cycles(run):
    code, lines, kept = run([make_case(module.QUICK[0]), make_case("lenet")])
    assert code == 0
    layer, lenet = kept["rows"]
    assert (kept["schema_version"], kept["seed"], kept["mean_ratio"]) == (1, 1, layer["ratio"])
    assert layer["cycles"] is None and lenet["predicted_cycles"] > lenet["bound"]
    assert lines[-2:] == [
        "LeNet-300-100 is left out, as it needs --published and --mnist.",
        f"end-to-end: nine-layer subset {layer['ratio']:.3f}, digits16 -, digits64 -, digits256 -, "
        "lenet16 -"]    # on 4 PEs


def test_the_line_has_a_figure_of_each_kind():
    row = measure(make_case(module.QUICK[0]))._replace(ideal=100.0, predicted_cycles=110.0)
    rows = [row, row._replace(network=module.QUICK[1], predicted_cycles=120.0), *(
        row._replace(network=network, n_pe=n_pe, predicted_cycles=n_pe + 0.25, cycles=cycles)
        for network, n_pe, cycles in [("digits", 16, None), ("digits", 64, 200.06),
                                      ("digits", 256, None), ("lenet", 16, None),
                                      ("lenet", 64, None)])]
    assert headline(rows) == ("end-to-end: nine-layer subset 1.149, digits16 16.2, digits64 200.1, "
                              "digits256 256.2, lenet16 16.2")


@pytest.fixture
def files(tmp_path):
    """A small model in place of LeNet-300-100, and images."""
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "model.npz", **{"a.weight": rng.normal(size=(4, 9)), "a.bias": np.zeros(4)})
    np.savez(tmp_path / "data.npz", train_images=rng.integers(0, 256, (90, 3, 3), np.uint8),
             test_images=np.repeat(np.arange(50, dtype=np.uint8), 9).reshape(50, 3, 3))
    return tmp_path / "model.npz", tmp_path / "data.npz"


def test_test_images_are_drawn_at_random(files):
    network, images = read_lenet(*files, seed=1)
    assert network.layers[0].n_rows == 4
    assert images.shape == (BACK_TO_BACK, 9)
    drawn = (images[:, 0] * 256).tolist()
    assert len(set(drawn)) == BACK_TO_BACK and drawn != sorted(drawn)
    assert np.array_equal(images, read_lenet(*files, seed=1)[1])
    assert not np.array_equal(images, read_lenet(*files, seed=2)[1])


def test_data_without_images_are_refused(files):
    np.savez(files[1], train_images=np.zeros((2, 3, 3)))
    with pytest.raises(DataError, match="must contain train_images and test_images, not "
                                        "train_images$"):
        read_lenet(*files, seed=1)


@pytest.mark.parametrize("all_verilog", [False, True])
def test_the_cases_are_those_of_the_table(files, monkeypatch, all_verilog):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(module, "QUICK", ("NT-LSTM",))
    cases = make_cases(read_lenet(*files, seed=1), seed=1, all_verilog=all_verilog)
    assert [(case.network, case.build.config.n_pe, case.engine) for case in cases] == [
        *((network, n_pe, "verilator") for network in ("digits", "lenet") for n_pe in (16, 64)),
        ("digits", 256, "verilator" if all_verilog else "cycle-model"),
        ("NT-LSTM", 64, "verilator")]
    assert {len(case.words) for case in cases} == {BACK_TO_BACK, 1}
