"""Formats of states that accumulate."""

import re

import numpy as np
import pytest

from eie_compiler.compression.graph import compress_graph
from eie_compiler.compression.graph_states import find_accumulators, refine_states
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.layers import all_fracs
from eie_compiler.graph.operations import Add, Affine, Clip, Multiply, Slice, Tanh
from eie_compiler.model import Model, ModelLayer
from eie_hdl.config import EIEConfig
from support.graphs import recurrent_network, residual_network

STEPS = 60


def leaky_sum(last):
    """Sums of three elements, of which the first hardly decays; and what is read of them."""
    body = Graph({"x": (3,), "c": (3,)}, (
        Node("fc", Model((ModelLayer("fc", np.eye(3)),)), ("x",)),
        Node("kept", Affine(np.array([0.9999, 0.8, 0.5]), 0.0), ("c",)),
        Node("next", Add(), ("kept", "fc")), Node("y", last, ("next",))), ("y",))
    return Graph({"x": (STEPS, 3)}, (
        Node("scan", Scan(body, (("c", "next"),)), ("x",)),
        Node("last", Slice(0, STEPS - 1, STEPS), ("scan",))), ("last",))


def compress(graph, count=24, scale=1.0):
    """Compress for samples, each of a scale (count, 1, 1)."""
    x = np.random.default_rng(1).normal([4.0, 0.0, 0.0], 0.5, size=(count, STEPS, 3))
    return compress_graph(graph, {"x": scale * x}, v_width=8)


def scale_one(number, scale, others, count=40):
    """Scales of samples, of which one differs; 32 of 40 choose formats, number 4 is not one."""
    scales = np.full((count, 1, 1), others)
    scales[number] = scale
    return scales


def test_a_state_whose_greatest_numbers_do_not_matter_gets_a_finer_format():
    network = compress(leaky_sum(Tanh()))
    fracs = all_fracs(network)
    assert fracs["scan/c"] == fracs["scan/next"] == fracs["scan/kept"] > 9
    (note,) = network.notes
    found = re.fullmatch("([0-9,]+) of 8,640 words of scan/c saturate with the calibration, for "
                         "less rounding error", note)
    assert found and 1000 < int(found[1].replace(",", "")) < 2880    # of one element of three


def test_a_sample_that_does_not_count_does_not_choose_alone():
    network = compress(leaky_sum(Tanh()), scale=scale_one(0, 0.0, 1.0, 24))
    assert all_fracs(network)["scan/c"] > 9


def test_few_samples_change_no_format():
    assert all_fracs(compress(leaky_sum(Tanh()), count=7))["scan/c"] < 8


@pytest.mark.parametrize("last", [Affine(0.5, 0.0), Clip(-1e6, 1e6)])
def test_a_state_whose_numbers_all_matter_keeps_its_format(last):
    fracs = all_fracs(compress(leaky_sum(last)))
    assert fracs["scan/c"] < 8


@pytest.mark.parametrize("number", [4, 20])
def test_a_state_whose_numbers_matter_in_one_sample_keeps_its_format(number):
    network = compress(leaky_sum(Affine(0.5, 0.0)), 40, scale_one(number, 1.0, 0.01))
    assert all_fracs(network)["scan/c"] == 15 - 8    # numbers up to about 240
    assert network.notes == ()


@pytest.mark.parametrize("number", [4, 20])
def test_a_format_is_as_fine_as_the_results_of_each_sample_allow(number):
    network = compress(leaky_sum(Clip(-20.0, 20.0)), 40, scale_one(number, 1.0, 0.01))
    assert 7 < all_fracs(network)["scan/c"] <= 15 - 5    # numbers up to 20 matter


def test_a_format_must_be_better_for_all_samples_together(monkeypatch):
    monkeypatch.setattr("eie_compiler.compression.graph_states._RARE", np.inf)
    network = compress(leaky_sum(Affine(0.5, 0.0)), 40, scale_one(4, 1.0, 0.01))
    assert all_fracs(network)["scan/c"] == 7


def test_accumulators_follow_from_themselves_by_operations():
    config = EIEConfig()
    assert find_accumulators(recurrent_network(config)) == [["lstm/c", "lstm/kept", "lstm/next_c"]]
    assert find_accumulators(residual_network(config)) == []
    body = Graph({"x": (2,), "s": (2,)}, (Node("m", Multiply(), ("x", "s")),), ("m",))
    inner = Graph({"x": (4, 2)}, (Node("i", Scan(body, (("s", "m"),)), ("x",)),), ("i",))
    outer = Graph({"x": (3, 4, 2)}, (Node("o", Scan(inner, ()), ("x",)),), ("o",))
    assert find_accumulators(outer) == [["o/i/s", "o/i/m"]]


def test_a_network_without_a_format_on_the_machine_stays():
    network = compress(leaky_sum(Tanh()))
    narrow = EIEConfig(act_width=4, codebook_width=4, acc_width=8)
    x = {"x": np.ones((9, STEPS, 3))}
    assert refine_states(network, x, narrow, lambda step: None) is network
