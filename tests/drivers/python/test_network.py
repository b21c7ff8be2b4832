import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import Concat
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.random_networks import random_network
from eie_driver.accelerator import Accelerator
from eie_driver.errors import SaturationWarning
from eie_driver.network import NetworkDriver
from eie_hdl.config import EIEConfig
from eie_sim.golden.fake_machine import FakeMachine
from eie_sim.graph_inference import infer_graph
from support.driver_builds import TINY
from support.graphs import (
    SCALER,
    pooled_network,
    recurrent_network,
    residual_network,
    scaled_inputs,
    scaled_network,
    separable_network,
)


@pytest.fixture
def driver(machine):
    return NetworkDriver(machine, compile_graph(residual_network(TINY), TINY))


def test_results_are_those_of_the_golden_model(machine):
    rng = np.random.default_rng(6)
    for graph, x in ((residual_network(TINY), rng.normal(size=(2, 2, 6, 6))),
                     (recurrent_network(TINY), rng.normal(size=(3, 3))),
                     (scaled_network(TINY), scaled_inputs(3))):
        driver = NetworkDriver(machine, compile_graph(graph, TINY))
        run, expected = driver.run(x), infer_graph(driver.build, x, engine="golden")
        assert {name: words.tolist() for name, words in run.outputs.items()} == {
            name: words.tolist() for name, words in expected.outputs.items()}


@pytest.mark.parametrize("act_depth, buffers", [(64, 2), (20, 1)])
def test_a_convolution_that_is_a_loop_runs_once_for_an_image(act_depth, buffers):
    config = dataclasses.replace(TINY, loops=True, act_depth=act_depth)
    fake, graph = FakeMachine(config), residual_network(TINY)
    driver = NetworkDriver(Accelerator(fake, timeout=0.5), compile_graph(graph, config))
    programs = driver.build.programs
    assert programs["conv1"].patches.loop and programs["conv1"].input_buffers == buffers
    images = np.random.default_rng(6).normal(size=(4, 2, 6, 6))
    run, expected = driver.run(images), infer_graph(compile_graph(graph, TINY), images,
                                                    engine="golden")
    assert {name: words.tolist() for name, words in run.outputs.items()} == {
        name: words.tolist() for name, words in expected.outputs.items()}
    assert fake.log.count("START") == 4 * len(programs)


def test_a_convolution_in_local_mode_has_the_results_of_any_other():
    config = EIEConfig(n_pe=4, loops=True, local=True)
    driver = NetworkDriver(Accelerator(FakeMachine(config), timeout=0.5),
                           compile_graph(separable_network(), config))
    assert [node.get("local") for node in driver.build.report["nodes"]] == [None, True, True]
    images = np.random.default_rng(6).normal(size=(4, 5, 6, 7))
    plain = infer_graph(compile_graph(separable_network(), EIEConfig(n_pe=4)), images,
                        engine="golden")
    assert driver.run(images).outputs["conv1"].tolist() == plain.outputs["conv1"].tolist()


@pytest.mark.parametrize("relu", [False, True])
def test_a_subgraph_runs_once_for_an_image(relu):
    config = EIEConfig(n_pe=4, loops=True, local=True, maximum=True)
    fake = FakeMachine(config)
    driver = NetworkDriver(Accelerator(fake, timeout=0.5),
                           compile_graph(pooled_network(relu=relu), config))
    assert list(driver.build.programs) == ["fc"]
    images = np.random.default_rng(6).normal(size=(4, 1, 13, 12))
    plain = infer_graph(compile_graph(pooled_network(relu=relu), EIEConfig(n_pe=4)), images,
                        engine="golden")
    run = driver.run(images)
    assert {name: words.tolist() for name, words in run.outputs.items()} == {
        "fc": plain.outputs["fc"].tolist()}
    assert fake.log.count("START") == 4


def test_inferences_give_numbers_and_warn_of_what_saturates(driver):
    image = np.zeros((2, 6, 6))
    image[0, 0, 0] = 100
    with pytest.warns(SaturationWarning, match="1 elements of input 'image' were beyond"):
        numbers = driver.infer(image)
    assert {name: array.shape for name, array in numbers.items()} == {"fc": (1, 3), "mean": (1, 4)}
    words = driver.build.to_words(image).words
    assert (driver.infer(words, words=True)["mean"] == numbers["mean"]).all()


def test_inputs_are_preprocessed_unless_they_are_words(machine):
    driver = NetworkDriver(machine, compile_graph(scaled_network(TINY), TINY))
    x = scaled_inputs(2)
    numbers, words = driver.infer(x), driver.build.to_words(x).words
    np.testing.assert_allclose(words["x"] / 16, SCALER(x), atol=1 / 32 + 1e-6)
    assert (driver.infer(words, words=True)["bounded"] == numbers["bounded"]).all()
    x[0, 0, 0] += 1
    with pytest.warns(SaturationWarning, match="1 elements of input 'x', after preprocessing, were "
                                               "beyond the range"):
        driver.infer(x)


def test_memories_are_loaded_once_for_each_load_of_a_batch(driver, fake):
    driver.run(np.zeros((5, 2, 6, 6)))
    assert fake.log.count("CONTROL") == len(driver.build.loads)
    assert driver.select("fc") is False


def test_loads_alternate_in_a_scan_whose_programs_do_not_fit_together(machine):
    rng = np.random.default_rng(12)
    first, second = (random_network(rng, sizes, density=0.6, v_width=3, frac=4)
                     for sizes in ([5, 6, 4], [4, 6, 2]))    # of four codebooks, three fit
    body = Graph({"x": (3,), "h": (2,)}, (
        Node("joined", Concat(0), ("x", "h")), Node("first", first, ("joined",)),
        Node("second", second, ("first",))), ("second",),
        dict.fromkeys(["x", "h", "joined", "first", "second"], 4))
    graph = Graph({"x": (4, 3)}, (Node("scan", Scan(body, (("h", "second"),)), ("x",)),),
                  ("scan",), {"x": 4, "scan": 4})
    driver = NetworkDriver(machine, compile_graph(graph, TINY))
    assert driver.build.loads == [["scan/first"], ["scan/second"]]
    x = rng.normal(size=(3, 4, 3))
    loads = []
    select = driver.select
    driver.select = lambda path: loads.append(select(path))
    run, expected = driver.run(x), infer_graph(driver.build, x, engine="golden")
    assert run.outputs["scan"].tolist() == expected.outputs["scan"].tolist()
    assert loads == [True] * 8
