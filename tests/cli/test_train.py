"""`eie train` and `eie compress --retrain`: from data to a network."""

import contextlib
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from eie_compiler.compression.decompress import decompress
from eie_compiler.files.network_file import read_network
from eie_hdl.extras import install_command

needs_torch = pytest.mark.usefixtures("torch")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=install_command("train"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three classes, each a cloud around a point of six dimensions."""
    rng = np.random.default_rng(61)
    centres = rng.uniform(-1, 1, (3, 6))
    arrays = {}
    for which, count in (("train", 300), ("test", 100)):
        labels = rng.integers(0, 3, count)
        arrays |= {f"{which}_inputs": centres[labels] + rng.normal(0, 0.3, (count, 6)),
                   f"{which}_labels": labels}
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def dense(tmp_path_factory, data, eie):
    path = tmp_path_factory.mktemp("dense") / "dense.npz"
    assert eie("train", data, "--layers", "16,8", "--epochs", 10, "--rate", 0.01,
               "-o", path)[0] == 0
    return path


def accuracy(data, path):
    """Of a network file, on the test data."""
    with np.load(data) as arrays:
        scores = decompress(read_network(path))(arrays["test_inputs"])
        return (scores.argmax(axis=1) == arrays["test_labels"]).mean()



@needs_torch
def test_a_network_is_trained_and_its_stages_are_told(tmp_path, data, eie):
    path, log = tmp_path / "dense.npz", tmp_path / "log.jsonl"
    code, text = eie("train", data, "--layers", "16,8", "--epochs", 3, "--dropout", 0.1, "-o", path,
                     "--log", log)
    assert code == 0
    assert re.search(r"dense +3 +100\.0% +\d+\.\d\d% +\d+\.\d\d%", text)
    with np.load(path) as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {
            "fc1.weight": (16, 6), "fc1.bias": (16,), "fc2.weight": (8, 16), "fc2.bias": (8,),
            "fc3.weight": (3, 8), "fc3.bias": (3,)}
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dense.npz", "log.jsonl"]


@needs_torch
def test_a_seed_gives_the_same_file(tmp_path, data, eie):
    def train(name, *options):
        assert eie("train", data, "--layers", 8, "--epochs", 1, "-o", tmp_path / name,
                   *options)[0] == 0
        with np.load(tmp_path / name) as arrays:
            return {key: array.tobytes() for key, array in arrays.items()}

    assert train("a.npz") == train("b.npz") != train("c.npz", "--seed", 1)


@needs_torch
def test_dsd_has_three_stages(tmp_path, data, eie):
    code, text = eie("train", data, "--layers", "16", "--epochs", 1, "--dsd", 0.25, "-o",
                     tmp_path / "dsd.npz")
    assert code == 0
    assert re.findall(r"^(dense again|dense|sparse) +1 +(\S+)", text, re.M) == [
        ("dense", "100.0%"), ("sparse", "75.0%"), ("dense again", "100.0%")]


@needs_torch
def test_a_run_that_was_stopped_is_resumed(tmp_path, data, eie, monkeypatch):
    arguments = ["train", data, "--layers", 8, "--epochs", 4, "-o", tmp_path / "net.npz", "--log",
                 tmp_path / "log.jsonl"]
    from eie_compiler.training import loop

    write, left = loop.write_checkpoint, [3]

    def stop(*details):
        write(*details)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_checkpoint", stop)
    code, text = eie(*arguments)
    assert code == 1 and "stopped: the same command with --resume continues" in text
    assert (tmp_path / "net.npz.checkpoint.npz").exists() and not (tmp_path / "net.npz").exists()
    monkeypatch.undo()
    code, text = eie(*arguments)
    assert code == 2 and "continue with --resume, or delete it to start over" in text
    code, text = eie(*arguments, "--seed", 1, "--resume")
    assert code == 2
    assert "net.npz.checkpoint.npz: checkpoint must be of the same model, data and options" in text
    assert eie(*arguments, "--resume")[0] == 0
    log = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in log.splitlines()]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3, 4]
    assert not (tmp_path / "net.npz.checkpoint.npz").exists()


@needs_torch
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
    # What the table tells is what the file holds.
    error = float(re.findall(r"^share .* (\d+\.\d\d)% +\S+$", text, re.M)[0])
    assert error == pytest.approx(100 - 100 * accuracy(data, path), abs=0.01)


@needs_torch
def test_pins_quality_and_formats_are_told(tmp_path, dense, eie):
    path = tmp_path / "net.npz"
    code, text = eie("compress", dense, "--quality", 1, "--pin", "fc2=9", "--pin", "input=10",
                     "--kmeans-init", "density", "-o", path)
    assert code == 0
    network = read_network(path)
    assert (network.input_frac, network.layers[1].output_frac) == (10, 9)
    assert re.search(r"^fc2 +\S+ +\S+ +9 +0\.002 ", text, re.M)


@needs_torch
@pytest.mark.parametrize("options, message", [
    (["--balance", "pes=4"], "--balance is now --balance-pes; see `eie compress --help`"),
    (["--start", "linear"], "--start is now --kmeans-init; see `eie compress --help`"),
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
     "eie: calibration must hold one or more inputs of 6 numbers, not shape (2, 3)"),
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


@needs_torch
@pytest.mark.parametrize("options, message", [
    (["--layers", "0"], "eie: --layers must have at least 1 output, not 0"),
    (["--layers", "99999999999"], "eie: --layers must have at most 134,217,728 weights in all"),
    (["--layers", "8", "--dsd", "1.0"], "eie: --dsd must be a share from 0 to below 1, not 1.0"),
])
def test_wrong_options_of_training_are_refused(tmp_path, data, eie, monkeypatch, options, message):
    import eie_compiler.training.loop

    monkeypatch.setattr(eie_compiler.training.loop, "train", None)
    code, text = eie("train", data, *options, "-o", tmp_path / "dense.npz")
    assert code == 2
    assert text.startswith(message)


def test_inputs_take_memory_for_the_bytes_that_are_there_only(tmp_path, eie):
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
    assert steps == ["compressing", "compressing a", "choosing formats", "measuring the formats"]


def test_without_pytorch_the_error_says_what_to_install(tmp_path, data):
    program = ("import sys; sys.modules['torch'] = None; from eie_cli.main import main; "
               f"main(['train', {str(data)!r}, '--layers', '8', '-o', 'dense.npz'])")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8",
                         cwd=tmp_path, timeout=60)
    assert run.returncode == 2
    assert re.fullmatch(r"eie: PyTorch must be installed to train, but was not found: "
                        r"pip install .*\[train\]'\n", run.stderr)


@pytest.mark.parametrize("option", ["--steps", "--epochs", "--seed"])
def test_options_of_retraining_need_it(tmp_path, eie, option):
    np.savez(tmp_path / "w.npz", **{"a.weight": np.ones((2, 2))})
    code, text = eie("compress", tmp_path / "w.npz", option, 3, "-o", tmp_path / "net.npz")
    assert code == 2
    assert f"{option} needs --retrain" in text
