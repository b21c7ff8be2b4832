"""`eie train` (`eie_cli.train`): from data to a dense network."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from eie_compiler.compression.decompress import decompress
from eie_compiler.files.network_file import read_network


@pytest.mark.usefixtures("torch")
def test_a_network_is_trained_and_its_stages_are_listed(tmp_path, data, eie):
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
    assert [(record["schema_version"], record["epoch"]) for record in records] == [
        (1, 0), (1, 1), (1, 2), (1, 3)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dense.npz", "log.jsonl"]


@pytest.mark.usefixtures("torch")
def test_a_seed_gives_the_same_file(tmp_path, data, eie):
    def train(name, *options):
        assert eie("train", data, "--layers", 8, "--epochs", 1, "-o", tmp_path / name,
                   "--accept-loss", *options)[0] == 0
        with np.load(tmp_path / name) as arrays:
            return {key: array.tobytes() for key, array in arrays.items()}

    assert train("a.npz") == train("b.npz") != train("c.npz", "--seed", 1)


@pytest.mark.usefixtures("torch")
def test_dsd_has_three_stages(tmp_path, data, eie):
    code, text = eie("train", data, "--layers", "16", "--epochs", 1, "--dsd", 0.25, "-o",
                     tmp_path / "dsd.npz", "--accept-loss")
    assert code == 0
    assert re.findall(r"^(dense again|dense|sparse) +1 +(\S+)", text, re.M) == [
        ("dense", "100.0%"), ("sparse", "75.0%"), ("dense again", "100.0%")]


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("scales, lead, per_row", [
    (4, "its defaults", "no, shared"), (16, "--v-width 6", "yes")])
def test_binary_weights_are_trained_and_their_scales_listed(tmp_path, data, eie, scales, lead,
                                                            per_row):
    path = tmp_path / "binary.npz"
    code, text = eie("train", data, "--layers", 16, "--epochs", 8, "--rate", 0.01, "--binary",
                     scales, "-o", path)
    assert code == 0
    assert re.search(rf"^fc1 +16 +{scales} +{per_row} *$", text, re.M)
    assert re.search(r"^fc2 +3 +3 +yes *$", text, re.M)
    assert f": after `eie compress` with {lead}, accuracy " in text
    with np.load(path) as arrays:
        assert len(np.unique(np.abs(arrays["fc1.weight"]))) == scales
    # The network has the same weights.
    network = tmp_path / "net.npz"
    assert eie("compress", path, "--v-width", 6, "--accept-loss", "-o", network)[0] == 0
    weights = {layer.weight.toarray().astype(np.float32).tobytes()
               for layer in decompress(read_network(network)).layers}
    with np.load(path) as arrays:
        assert weights == {arrays[f"fc{number}.weight"].tobytes() for number in (1, 2)}


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("options, where", [
    ([], "30 validation"), (["--validation", 0], "100 test"),
])
def test_last_line_is_the_verdict_on_held_out_data(tmp_path, data, eie, options, where):
    code, text = eie("train", data, "--layers", "16,8", "--epochs", 10, "--rate", 0.01, "-o",
                     tmp_path / "dense.npz", *options)
    assert code == 0
    assert re.match(rf"(Good|Doubtful): after `eie compress` with its defaults, accuracy \S+% on "
                    rf"{where} inputs, \S+% in floating point\.", text.splitlines()[-1])


@pytest.mark.usefixtures("torch")
def test_a_network_that_learnt_nothing_is_bad(tmp_path, eie):
    rng = np.random.default_rng(92)
    labels = np.r_[np.zeros(90), np.ones(10)].astype(int)
    np.savez(tmp_path / "noise.npz", **{f"{part}_{what}": array for part in ("train", "test")
                                        for what, array in (("inputs", rng.normal(size=(100, 4))),
                                                            ("labels", labels))})
    call = ("train", tmp_path / "noise.npz", "--layers", 4, "--epochs", 1, "--validation", 0, "-o",
            tmp_path / "dense.npz")
    code, text = eie(*call)
    assert code == 3
    assert re.search(
        r"^Bad: the trained network is no better on 100 test inputs \(\d+\.\d%\) than a constant "
        r"answer \(90\.0%\): change --epochs or --rate, or scale the inputs\. \S+dense.npz is "
        r"written; with --accept-loss the exit code is 0\.$", text, re.M)
    assert (tmp_path / "dense.npz").exists()
    assert eie(*call, "--accept-loss")[0] == 0


@pytest.mark.usefixtures("torch")
def test_outputs_that_are_not_learnt_are_warned_of(tmp_path, eie):
    rng = np.random.default_rng(98)
    inputs = rng.normal(size=(500, 20))
    targets = inputs @ rng.normal(size=(20, 2)) * [1, 1e-3]
    np.savez(tmp_path / "data.npz", train_inputs=inputs, train_labels=targets, test_inputs=inputs,
             test_labels=targets)
    _, text = eie("train", tmp_path / "data.npz", "--layers", "8", "--epochs", 60, "--rate", 0.02,
                  "-o", tmp_path / "dense.npz")
    assert "eie: warning: 1 output alone would be bad: R² of output 1 is " in text


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("offset, verdict", [
    # The variation is beyond the precision of the targets, or nothing of it is learnt.
    (1e6, "Bad: the trained network is no better on "), (1e2, "Bad: the trained network "),
])
def test_targets_of_which_nothing_is_learnt_are_bad(tmp_path, eie, offset, verdict):
    rng = np.random.default_rng(99)
    inputs = rng.normal(size=(200, 6))
    targets = inputs[:, :1] * 0.01 + offset
    np.savez(tmp_path / "data.npz", train_inputs=inputs, train_labels=targets, test_inputs=inputs,
             test_labels=targets)
    code, text = eie("train", tmp_path / "data.npz", "--layers", "8", "--epochs", 2, "-o",
                     tmp_path / "dense.npz")
    assert code == 3 and f"\n{verdict}" in text


@pytest.mark.usefixtures("torch")
def test_a_network_without_a_number_format_is_bad(tmp_path, data, eie, monkeypatch):
    from eie_compiler.compression import fidelity
    from eie_compiler.errors import CompileError

    def fail(*arguments):
        raise CompileError("too great")

    monkeypatch.setattr(fidelity, "IntegerNetwork", fail)
    code, text = eie("train", data, "--layers", "8", "--epochs", 1, "-o", tmp_path / "dense.npz")
    assert code == 3
    assert "the machine has no number format for it: too great. " in text


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("options, message", [
    (["--layers", "0"], "eie: --layers must have at least 1 output, not 0"),
    (["--layers", "99999999999"], "eie: --layers must have at most 134,217,728 weights in all"),
    (["--layers", "8", "--binary", "0"],
     "eie: --binary must be a number of scales from 1 to 127, not 0"),
    (["--layers", "8", "--dsd", "1.0"], "eie: --dsd must be a share from 0 to below 1, not 1.0"),
])
def test_wrong_options_of_training_are_refused(tmp_path, data, eie, monkeypatch, options, message):
    import eie_compiler.training.loop

    monkeypatch.setattr(eie_compiler.training.loop, "train", None)
    code, text = eie("train", data, *options, "-o", tmp_path / "dense.npz")
    assert code == 2
    assert text.startswith(message)


def test_without_pytorch_the_error_names_what_to_install(tmp_path, data):
    program = ("import sys; sys.modules['torch'] = None; from eie_cli.main import main; "
               f"main(['train', {str(data)!r}, '--layers', '8', '-o', 'dense.npz'])")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8",
                         cwd=tmp_path, timeout=60)
    assert run.returncode == 2
    assert re.fullmatch(r"eie: PyTorch must be installed to train, but was not found: "
                        r"pip install .*\[train\]'\n", run.stderr)
