"""`eie_cli.model_options`: options of commands that read a model."""

import json
import re

import numpy as np
import pytest

from eie_compiler.files.network_file import read_network


@pytest.fixture
def state(tmp_path, torch):
    """File of a state dict with a normalisation between two layers of equal size."""
    nn = torch.nn
    module = nn.Sequential()
    for name, layer in (("fc1", nn.Linear(5, 5)), ("norm", nn.BatchNorm1d(5)),
                        ("fc2", nn.Linear(5, 5))):
        module.add_module(name, layer)
    torch.save(module.state_dict(), tmp_path / "m.pt")
    return tmp_path / "m.pt"


@pytest.mark.parametrize("options, relus", [
    (["--relu"], [True, True]), (["--no-relu"], [False, False]),
    (["--no-relu", "--relu"], [False, True]), ([], [True, False])])
def test_layers_end_in_a_relu_as_asked(tmp_path, weights, eie, options, relus):
    assert eie("compress", weights, *options, "-o", tmp_path / "net.npz")[0] == 0
    assert [layer.relu for layer in read_network(tmp_path / "net.npz").layers] == relus


def test_what_is_not_used_is_ignored_by_name_and_listed(tmp_path, state, eie):
    code, text = eie("compress", state, "-o", tmp_path / "net.npz")
    assert code == 2
    assert text.startswith(f"eie: {state}: arrays must be named NAME.weight and NAME.bias, not "
                           "norm.weight, ")
    assert text.endswith("; or leave them out with --ignore NAME, if they do not change the "
                         "results\n")
    code, text = eie("compress", state, "--ignore", "norm", "-o", tmp_path / "net.npz")
    assert code == 0
    warnings = re.findall("^eie: warning: (.*)$", text, re.M)
    assert warnings[0] == ("ignored: norm.weight, norm.bias, norm.running_mean, norm.running_var, "
                           "norm.num_batches_tracked")
    assert warnings[1].startswith("a ReLU after every layer but the last was assumed: fc1 (ReLU) "
                                  "-> fc2; state what is true with --relu/--no-relu, ")
    assert warnings[2].startswith("the order of the keys was assumed, ")
    assert warnings[2].endswith(": state the order with --layer NAME, or export the model to ONNX")


def test_a_stated_order_needs_no_assumptions(tmp_path, state, eie):
    code, text = eie("compress", state, "--ignore", "norm", "--layer", "fc2", "--layer", "fc1",
                     "--relu", "-o", tmp_path / "net.npz")
    assert code == 0
    assert "assumed:" not in text and "was assumed" not in text
    assert [layer.name for layer in read_network(tmp_path / "net.npz").layers] == ["fc2", "fc1"]


def test_files_of_other_commands_are_named(tmp_path, weights, network, build, eie):
    np.savez(tmp_path / "data.npz", train_inputs=np.ones((2, 2)), train_labels=np.ones(2))
    for path, message in (
            (network, "file must be a model, not a network, which is compressed already: `eie "
                      "compile` takes it"),
            (tmp_path / "data.npz", "file must be a model, not data for `eie train`, which makes a "
                                    "model of them"),
            (build, "model must be a file, not a folder: `eie run` takes a build")):
        code, text = eie("compress", path, "-o", tmp_path / "out.npz")
        assert (code, text) == (2, f"eie: {path}: {message}\n")


def test_what_was_assumed_is_in_the_json(tmp_path, state, eie):
    code, text = eie("compress", state, "--ignore", "norm", "--layer", "fc1", "--no-relu", "-o",
                     tmp_path / "net.npz", "--json")
    assert code == 0
    assert json.JSONDecoder().raw_decode(text[text.index("{"):])[0]["notes"] == [
        "ignored: norm.weight, norm.bias, norm.running_mean, norm.running_var, "
        "norm.num_batches_tracked", "layers not taken: fc2"]


@pytest.mark.parametrize("command", ["run", "export"])
def test_files_where_a_build_is_needed_are_named(tmp_path, network, eie, command):
    code, text = eie(command, network, "-o", tmp_path / "out")
    assert code == 2
    assert f"must be a folder that `eie compile` writes, not the file {network}" in text


@pytest.mark.parametrize("command", ["compile", "fit"])
def test_builds_where_a_network_is_needed_are_named(tmp_path, build, eie, command):
    code, text = eie(command, build, "-o", tmp_path / "out")
    assert code == 2
    assert f"must be a file that `eie compress` writes, not the folder {build}" in text


def test_batch_normalisations_are_folded_or_not_in_onnx_only(tmp_path, weights, eie):
    code, text = eie("compress", weights, "--no-fold-batch-norm", "-o", tmp_path / "net.npz")
    assert code == 2
    assert "options for this format must be " in text and "fold" in text


def test_inputs_are_fixed_in_onnx_only(tmp_path, weights, eie):
    code, text = eie("compress", weights, "--fix", "sr=16000", "-o", tmp_path / "net.npz")
    assert code == 2
    assert "options for this format must be " in text and "--fix" in text
    for value, message in (("16000", "must be NAME=VALUE, not '16000'"),
                           ("sr=", "must be numbers separated by commas, not ''")):
        code, text = eie("compress", weights, "--fix", value, "-o", tmp_path / "net.npz")
        assert code == 2 and message in text


@pytest.mark.parametrize("option", ["--fix", "--pin"])
def test_a_name_is_given_one_value(tmp_path, weights, eie, option):
    code, text = eie("compress", weights, option, "a=1", option, "a=2", "-o", tmp_path / "net.npz")
    assert code == 2 and "must name each one once: leave out all but one value for each" in text
