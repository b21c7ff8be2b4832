"""`eie compress`: from weights to a network."""

import contextlib
import io
import json
import os
import re
import threading

import numpy as np
import pytest

from eie_compiler.compression.decompress import decompress
from eie_compiler.files.network_file import read_network


def accuracy(data, path):
    """Accuracy of a network file on the test data."""
    with np.load(data) as arrays:
        scores = decompress(read_network(path))(arrays["test_inputs"])
        return (scores.argmax(axis=1) == arrays["test_labels"]).mean()


def test_network_is_compressed_as_asked(tmp_path, weights, eie):
    np.save(tmp_path / "x.npy", np.full((2, 6), 3.9))
    path = tmp_path / "net.npz"
    code, text = eie("compress", weights, "-o", path, "--density", "0.5,1", "--v-width", 3,
                     "--calibrate", tmp_path / "x.npy", "--accept-loss")
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


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("pruning, nonzeros", [
    (["--density", "0.25,0.5,1"], (24, 64, 24)),
    (["--density", "0.5", "--balance-pes", 4], (48, 64, 12)),
    (["--quality", "0.9"], None),
    (["--balance-pes", 4], (96, 128, 24)),
    ([], (96, 128, 24)),
])
def test_retraining_prunes_and_shares(tmp_path, data, dense, eie, pruning, nonzeros):
    path = tmp_path / "net.npz"
    code, text = eie("compress", dense, "--retrain", data, "--epochs", 8, "--steps", 2, "--rate",
                     0.01, "--batch", 16, "--v-width", 3, *pruning, "-o", path)
    assert code == 0
    assert re.findall(r"^(prune \d|share) ", text, re.M) == [
        *(["prune 1", "prune 2"] if pruning else []), "share"]
    network = read_network(path)
    assert network.v_width == 3
    counts = tuple(layer.n_nonzeros for layer in network.layers)
    assert counts == nonzeros if nonzeros else all(np.less(counts, (80, 110, 20)))
    assert accuracy(data, path) > 0.85
    # The error in the table is that of the network in the file.
    error = float(re.findall(r"^share .* (\d+\.\d\d)% +\S+$", text, re.M)[0])
    assert error == pytest.approx(100 - 100 * accuracy(data, path), abs=0.01)


@pytest.mark.usefixtures("torch")
def test_uniform_weights_are_trained_and_their_labels_updated(tmp_path, data, dense, eie):
    path, codes, books = tmp_path / "net.npz", [], []
    for options in (["--epochs", 0], ["--epochs", 1], ["--epochs", 1, "--update-labels"]):
        assert eie("compress", dense, "--retrain", data, "--rate", 0.1, "--v-width", 2,
                   "--quantiser", "uniform", "--accept-loss", *options, "-o", path)[0] == 0
        layer = read_network(path).layers[0]
        codes.append(layer.codes.toarray())
        books.append(layer.codebook)
    assert books[0][2] == pytest.approx((books[0][1] + books[0][3]) / 2)
    assert (books[0] != books[1]).any()
    np.testing.assert_array_equal(codes[0], codes[1])
    assert (codes[1] != codes[2]).any()


@pytest.mark.usefixtures("torch")
def test_pins_and_quality_take_effect_and_formats_are_shown(tmp_path, dense, eie):
    path = tmp_path / "net.npz"
    code, text = eie("compress", dense, "--quality", 1, "--pin", "fc2=9", "--pin", "input=10",
                     "--kmeans-init", "density", "-o", path)
    assert code == 0
    network = read_network(path)
    assert (network.input_frac, network.layers[1].output_frac) == (10, 9)
    assert re.search(r"^fc2 +\S+ +\S+ +9 +0\.002 ", text, re.M)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("options, message", [
    (["--pin", "fc1"], "must be LAYER=BITS, not 'fc1'"),
    (["--pin", "fc9=3"], "eie: --pin must be for input, fc1, fc2, fc3, not 'fc9'"),
    (["--density", "0.5", "--quality", "1"], "eie: exactly one of density and quality must be "
                                             "given"),
    (["--retrain", "DATA", "--density", "-1"], "eie: --density must be above 0 and at most 1, not "
                                               "-1.0"),
    (["--retrain", "DATA", "--density", "1,1"], "eie: --density must have one number for each of 3 "
                                                "layers, not 2"),
    (["--kmeans-init", "nowhere"],
     "'nowhere' is not one of 'exact', 'linear', 'density', 'random'"),
    (["--quantiser", "uniform", "--kmeans-init", "exact"],
     "--kmeans-init needs --quantiser kmeans"),
    (["--update-labels"], "--update-labels needs --retrain"),
    (["--balance-pes", "x"], "'x' is not a valid integer"),
    (["--balance-pes", "0"], "eie: --balance-pes must be a number of PEs, 1 or more, not 0"),
    # Not after hours of training.
    (["--retrain", "DATA", "--balance-pes", "0"],
     "eie: --balance-pes must be a number of PEs, 1 or more, not 0"),
    (["--retrain", "DATA", "--pin", "fc9=3"],
     "eie: --pin must be for input, fc1, fc2, fc3, not 'fc9'"),
    (["--retrain", "DATA", "--act-width", "99"],
     "eie: --act-width must be an integer from 4 to 24, not 99"),
    (["--retrain", "DATA", "--calibrate", "WRONG"],
     "eie: --calibrate must contain one or more inputs of 6 numbers, not shape (2, 3)"),
])
def test_wrong_options_are_refused(tmp_path, data, dense, eie, monkeypatch, options, message):
    import eie_compiler.training.retrain

    monkeypatch.setattr(eie_compiler.training.retrain, "train", None)
    np.save(tmp_path / "wrong.npy", np.ones((2, 3)))
    files = {"DATA": data, "WRONG": tmp_path / "wrong.npy"}
    code, text = eie("compress", dense, *[files.get(option, option) for option in options],
                     "-o", tmp_path / "net.npz")
    assert code == 2
    assert message in text
    assert not (tmp_path / "net.npz").exists()


def test_former_spellings_are_accepted_with_a_note(tmp_path, weights, eie):
    path = tmp_path / "net.npz"
    code, text = eie("compress", weights, "--density", "0.5", "--balance", "pes=0", "-o", path)
    assert code == 2
    assert text == ("eie: --balance is now --balance-pes; the former name will be removed\n"
                    "eie: --balance-pes must be a number of PEs, 1 or more, not 0\n")
    code, text = eie("compress", weights, "--start", "middle", "-o", path)
    assert code == 2
    assert "eie: --start is now --kmeans-init; the former name will be removed\n" in text
    assert "'middle' is not one of" in text


def test_inputs_take_no_more_memory_than_the_bytes_of_their_file(tmp_path, eie):
    np.savez(tmp_path / "w.npz", **{"a.weight": np.ones((2, 2))})
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10 ** 13,)})
    path = tmp_path / "x.npy"
    path.write_bytes(header.getvalue() + bytes(16))
    code, text = eie("compress", tmp_path / "w.npz", "--calibrate", path,
                     "-o", tmp_path / "net.npz")
    assert code == 2
    assert text == (f"eie: {path} must have a header for its 16 bytes, not for shape "
                    "(10000000000000,) of float64\n")


def test_what_compress_does_is_shown(tmp_path, eie, monkeypatch):
    steps = []

    @contextlib.contextmanager
    def working(what):
        steps.append(what)
        yield steps.append

    monkeypatch.setattr("eie_cli.compress.working", working)
    np.savez(tmp_path / "w.npz", **{"a.weight": np.ones((2, 2))})
    assert eie("compress", tmp_path / "w.npz", "-o", tmp_path / "net.npz")[0] == 0
    assert steps == ["compressing", "compressing a", "choosing formats", "measuring the accuracy"]


@pytest.mark.parametrize("option", ["--steps", "--epochs", "--seed"])
def test_options_of_retraining_need_it(tmp_path, eie, option):
    np.savez(tmp_path / "w.npz", **{"a.weight": np.ones((2, 2))})
    code, text = eie("compress", tmp_path / "w.npz", option, 3, "-o", tmp_path / "net.npz")
    assert code == 2
    assert f"{option} needs --retrain" in text


@pytest.fixture
def samples(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(91).normal(size=(200, 6)))
    return path


@pytest.mark.parametrize("options, code, words", [
    ((), 0, "Good: the greatest output is that of the floating-point model for "),
    (("--density", "0.2"), 3, "The main cause is pruning: keep more weights (--density, "),
    (("--density", "0.2", "--accept-loss"), 0, "net.npz is written."),
    (("--pin", "a=17"), 3, "The main cause is saturation of activations: leave out --pin"),
    (("--task", "regression"), 0, "Good: R² 1.0000 against"),
])
def test_last_line_is_the_verdict(tmp_path, weights, samples, eie, options, code, words):
    path = tmp_path / "net.npz"
    assert eie("compress", weights, "-o", path, "--v-width", 8, "--calibrate", samples,
               *options)[0] == code
    _, text = eie("compress", weights, "-o", path, "--v-width", 8, "--calibrate", samples, *options)
    assert words in text.splitlines()[-1]
    assert path.exists()
    assert re.search(r"^a .* \d+\.\d% +\d+\.\d{3}% +\d+\.\d\d%$", text, re.M)


def test_labels_judge(tmp_path, weights, samples, eie):
    from eie_compiler.frontends import read_model

    x = np.load(samples)
    model = read_model(weights)
    np.save(tmp_path / "y.npy", model(x).argmax(axis=1))
    call = ("compress", weights, "-o", tmp_path / "net.npz", "--calibrate", samples, "--labels",
            tmp_path / "y.npy")
    code, text = eie(*call, "--v-width", 8)
    assert code == 0
    assert re.search(r"^Good: accuracy \d+\.\d% on 200 inputs, 100\.0% in floating point\.$", text,
                     re.M)
    np.save(tmp_path / "y.npy", (model(x).argmax(axis=1) + 1) % 3)
    _, text = eie(*call, "--v-width", 8)
    assert "eie: warning: the floating-point model reaches only 0.0% on the labels" in text
    np.save(tmp_path / "y.npy", np.zeros(7, int))
    code, text = eie(*call)
    assert code == 2
    assert "eie: --labels must be 200, one for each input, not int64 of shape (7,)" in text


def test_labels_without_inputs_are_refused(tmp_path, weights, samples, eie):
    code, text = eie("compress", weights, "-o", tmp_path / "net.npz", "--labels", samples)
    assert code == 2
    assert "--labels needs --calibrate" in text


def test_what_is_assumed_without_data_is_said(tmp_path, weights, eie):
    code, text = eie("compress", weights, "-o", tmp_path / "net.npz")
    assert code == 0
    assert text.splitlines()[-1].startswith(
        "eie: warning: the accuracy was not measured, and the formats assume inputs from -1 to 1 "
        "(the input has 14 fraction bits and saturates above 1.9999): give --calibrate X.npy")


def test_json_has_tables_and_verdict(tmp_path, weights, samples, eie):
    path = tmp_path / "net.npz"
    code, text = eie("compress", weights, "-o", path, "--v-width", 8, "--calibrate", samples,
                     "--json")
    assert code == 0
    report = json.loads(text)
    assert report["schema_version"] == 1
    assert [row["name"] for row in report["formats"]] == ["input", "a", "b"]
    assert report["check"]["verdict"] == "good" and report["check"]["data"] == "inputs"
    assert report["file"]["bytes"] == path.stat().st_size
    code, text = eie("compress", weights, "-o", path, "--json")
    assert json.loads(text[:text.index("eie: warning")])["check"] is None


def test_figures_are_those_of_a_file_wherever_the_network_goes(tmp_path, weights, samples, eie):
    call = "compress", weights, "--calibrate", samples, "-o"
    code, text = eie(*call, tmp_path / "net.npz")
    assert code == 0
    os.mkfifo(tmp_path / "fifo")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "fifo").read_bytes()),
                              daemon=True)
    reader.start()
    for path in (tmp_path / "fifo", "/dev/null"):
        assert eie(*call, path) == (0, text.replace(str(tmp_path / "net.npz"), str(path)))
    reader.join()
    assert received == [(tmp_path / "net.npz").read_bytes()]


def test_arithmetic_is_that_of_the_machine(tmp_path, weights, samples, eie):
    path = tmp_path / "net.npz"
    (tmp_path / "coarse.toml").write_text("codebook_width = 4\nv_width = 5\n", encoding="utf-8")
    code, text = eie("compress", weights, "-o", path, "--calibrate", samples, "--config",
                     tmp_path / "coarse.toml", "--accept-loss")
    assert code == 0
    assert read_network(path).v_width == 5
    assert "The main cause is the width of weights: give --config a machine of" in text


def test_narrow_accumulators_are_warned_of(tmp_path, eie):
    path = tmp_path / "net.npz"
    np.savez(tmp_path / "wide.npz", **{"a.weight": np.full((2, 64), 0.9)})
    for options in ((), ("--preset", "isca2016")):
        _, text = eie("compress", tmp_path / "wide.npz", "-o", path, *options)
        assert ("eie: warning: the accumulator is narrow: weights lose up to 5 bits (layer 'a': "
                in text) == bool(options)
    for options in ((), ("--preset", "isca2016", "--pes", 2)):
        code, text = eie("compile", path, "-o", tmp_path / "build", *options)
        assert code == 0
        assert ("no weight loses any with acc_width = 37" in text) == bool(options)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("options, words", [
    ((), "on 30 validation inputs, "), (("--validation", 0), "on 100 test inputs, "),
])
def test_retrained_network_is_judged_by_held_out_data(tmp_path, data, dense, eie, options, words):
    call = ("compress", dense, "--retrain", data, "--steps", 1, "--batch", 16, "--rate", 0.01, "-o",
            tmp_path / "net.npz", *options)
    code, text = eie(*call, "--epochs", 8)
    assert code == 0
    assert text.splitlines()[-1].startswith("Good: accuracy ") and words in text.splitlines()[-1]
    code, text = eie(*call, "--epochs", 0, "--density", "0.05")
    assert code == 3
    assert "The main cause is compression in spite of retraining: raise --density" in text


def test_inputs_are_never_negative_if_so_stated(tmp_path, weights, eie):
    path = tmp_path / "net.npz"
    code, text = eie("compress", weights, "-o", path, "--nonnegative-inputs")
    assert code == 0
    assert "the formats assume inputs from 0 to 1 (the input has" in text
    assert read_network(path).nonnegative_inputs


def test_outputs_that_greater_ones_hide_are_warned_of(tmp_path, eie):
    rng = np.random.default_rng(5)
    np.savez(tmp_path / "m.npz", **{"fc.weight": rng.normal(size=(2, 8)) * [[1e5], [1]]})
    np.save(tmp_path / "x.npy", rng.normal(size=(100, 8)))
    code, text = eie("compress", tmp_path / "m.npz", "-o", tmp_path / "net.npz", "--calibrate",
                     tmp_path / "x.npy", "--task", "regression", "--v-width", 8)
    assert code == 0
    assert "eie: warning: 1 output alone would be bad: R² of output 1 is " in text
