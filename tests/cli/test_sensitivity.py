"""`eie sensitivity` (`eie_cli.sensitivity`): its tables, JSON and errors."""

import json
import re

import numpy as np
import pytest

import eie_compiler.frontends
from eie_compiler.graph.graph import Graph, Node
from support.graphs import random_layer


@pytest.fixture
def samples(tmp_path):
    """Inputs, and labels that the model does not give."""
    rng = np.random.default_rng(3)
    np.save(tmp_path / "x.npy", rng.normal(size=(60, 6)))
    np.save(tmp_path / "y.npy", np.zeros(60, np.int64))
    return tmp_path / "x.npy", tmp_path / "y.npy"


def test_tables_have_each_layer_and_a_proposal(eie, weights, samples):
    code, text = eie("sensitivity", weights, "--calibrate", samples[0],
                     "--densities", "0.9,0.5", "--v-widths", "8", "--max-loss", 1)
    assert code == 0
    assert re.search(r"^layer +weights +density +90% +50%$", text, re.M)
    assert re.search(r"^layer +weights +density +8 bits$", text, re.M)
    assert re.search(r"^a +54 +100\.0% +\d+\.\d\d% +\d+\.\d\d%$", text, re.M)
    assert re.search(r"^b +27 +100\.0% +100\.00%$", text, re.M)
    assert f"{weights}: agreement on 60 inputs, 100.00%, with one layer pruned" in text
    assert re.search(r"^Each layer alone loses at most 1 with --density 0\.5,0\.5: 50\.6% of the "
                     r"weights; together, agreement is 73\.33%, a loss of 0\.2667\.\n$", text, re.M)


@pytest.mark.parametrize("seed, count, densities, limit, last", [
    (6, 200, "0.9,0.8,0.7,0.6,0.5,0.4", 0.2,
     r"Losses add up\. All layers together lose at most 0\.2 with --density 0\..*"),
    (2, 20, "0.9", 0, r"Losses add up: no proposal loses at most 0 together\. Measure higher "
                      r"densities \(--densities\)\.")])
def test_losses_that_add_up_are_said(eie, tmp_path, seed, count, densities, limit, last):
    rng = np.random.default_rng(seed)
    np.savez(tmp_path / "w.npz", **{f"{name}.weight": rng.normal(size=(8, 8)) for name in "abc"})
    np.save(tmp_path / "x.npy", rng.normal(size=(count, 8)))
    code, text = eie("sensitivity", tmp_path / "w.npz", "--calibrate", tmp_path / "x.npy",
                     "--no-relu", "--max-loss", limit, "--v-widths", "8", "--densities", densities)
    first, second = text.splitlines()[-2:]
    assert code == 0 and re.fullmatch(last, second)
    assert first.startswith(f"Each layer alone loses at most {limit} with --density ")
    assert float(first[-7:-1]) > limit    # the loss of all together


def test_the_option_for_a_chain_is_what_compress_takes(eie, weights, samples, tmp_path):
    code, text = eie("sensitivity", weights, "--calibrate", samples[0], "--v-widths", "8", "--json")
    found = json.loads(text)
    assert code == 0 and found["schema_version"] == 1
    assert set(found["layers"][0]) == {"layer", "weights", "nonzeros", "densities", "v_widths"}
    assert eie("compress", weights, "-o", tmp_path / "net.npz",
               *found["proposals"][-1]["option"].split(" "))[0] == 0


def test_the_option_for_a_graph_names_its_nodes(eie, weights, samples, monkeypatch):
    graph = Graph({"x": (6,)}, (Node("one", random_layer(6, 6, 1), ("x",)),
                                Node("two", random_layer(3, 6, 2), ("one",))), ("two",))
    monkeypatch.setattr(eie_compiler.frontends, "read_model", lambda path, **options: graph)
    code, text = eie("sensitivity", weights, "--calibrate", samples[0],
                     "--max-loss", 1, "--v-widths", "8")
    assert code == 0 and "--density one=0.1,two=0.1: " in text


def test_a_model_that_is_no_better_than_a_constant_is_warned_of(eie, weights, samples):
    code, text = eie("sensitivity", weights, "--calibrate", samples[0], "--labels", samples[1],
                     "--v-widths", "8", "--densities", "0.5")
    assert code == 0
    assert ": accuracy on 60 inputs, " in text
    assert "the model is no better than a constant answer (1), so that losses mean nothing" \
        in text


@pytest.mark.parametrize("options, message", [
    (("--densities", "0,1"), "density must be above 0 and at most 1, not 0.0"),
    (("--v-widths", "x"), "must be integers separated by commas, not 'x'"),
    (("--max-loss", "-1"), "-1.0 is not in the range x>=0")])
def test_wrong_options_are_refused(eie, weights, samples, options, message):
    code, text = eie("sensitivity", weights, "--calibrate", samples[0], *options)
    assert code != 0 and message in text
