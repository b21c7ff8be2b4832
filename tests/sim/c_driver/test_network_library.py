"""Networks of the C driver on FakeMachine: results, states, statuses.

The steps are those of eie_driver.c_operations.
"""

import ctypes
import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.execution import Execution
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Multiply, Slice, Subtract, Tanh
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_driver.c_steps import Steps
from eie_hdl.config import EIEConfig
from eie_sim.c_driver.network_library import CNetwork, compile_network_library
from eie_sim.inference import infer
from support.c_graphs import every_operation, layers, nested_scans, sequence_lstm
from support.graphs import pooled_network, recurrent_network, separable_network
from support.random_graphs import random_graph
from support.recurrences import CONFIG as STEPS, graph_of, random_lstm, run_numpy, words_of
from support.sequences import N, draw_words, make_graph, make_layer

CONFIG = EIEConfig(n_pe=2)

OK, TIMEOUT, TRANSFER, BUSY, VALUE, STATES = 0, 6, 7, 9, 11, 12


def expected(build, tensors):
    """Compute all tensors of an inference by the definitions; return them and the saturated."""
    execution = Execution(build.graph, build.config.act_width, lambda path, words: infer(
        build.programs[path], words, words=True, engine="golden").outputs[0])
    computed = execution.run({name: words[np.newaxis] for name, words in tensors.items()})
    return computed, sum(execution.saturated.values())


def draw(build, seed, width=11):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(-1 << width - 1, 1 << width - 1, shape)
            for name, shape in build.graph.inputs.items()}


def make(graph, folder, **strips):
    build = compile_graph(graph, CONFIG, strips=strips)
    n_words = Steps(build.graph, build.programs, "model").arena_words
    return build, CNetwork(compile_network_library(build, folder), build, n_words)


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return make(every_operation(), tmp_path_factory.mktemp("every"))


@pytest.mark.parametrize("width", [8, 11, 16])
def test_every_operation_has_the_results_of_its_definition(every, width):
    build, network = every
    for seed in range(3):
        tensors = draw(build, seed, width)
        computed, n_saturated = expected(build, tensors)
        status, outputs = network.run(tensors)
        assert status == OK
        assert network.n_saturated == n_saturated
        assert (n_saturated > 0) >= (width == 16)
        for name, words in outputs.items():
            assert words.tolist() == computed[name][0].tolist()


def test_scans_in_scans_have_the_results_of_their_definition(tmp_path):
    build, network = make(nested_scans(), tmp_path)
    for seed in range(3):
        tensors = draw(build, seed, 8)
        computed, _ = expected(build, tensors)
        assert network.run(tensors)[1]["y"].tolist() == computed["y"][0].tolist()


def test_a_sequence_of_which_the_last_step_is_read_takes_the_words_of_one(tmp_path):
    graph = recurrent_network(CONFIG, steps=50)
    build, network = make(graph, tmp_path)
    tensors = draw(build, 1, 7)
    assert network.run(tensors)[1]["vector"].tolist() == expected(
        build, tensors)[0]["vector"][0].tolist()
    whole = compile_graph(dataclasses.replace(graph, outputs=("vector", "lstm")), CONFIG)
    assert len(network.arena) + 2 * (50 - 1) == Steps(whole.graph, whole.programs, "").arena_words


def test_strips_have_the_results_of_single_pixels(tmp_path):
    # The columns of a strip, 0, 1, 3 and 4, are not evenly spaced, and 5 strips have 9 pixels.
    patches = Patches((2, 5, 9), (2, 2), stride=(2, 1), dilation=(1, 3), padding=(1, 1, 0, 2))
    graph = Graph({"image": patches.shape}, (Node("conv", layers(
        np.random.default_rng(1), [patches.n_inputs, 4, 3], 8, 8, patches=patches), ("image",)),),
        ("conv",), {"image": 8, "conv": 8})
    build, network = make(graph, tmp_path, conv=2)
    tensors = draw(build, 1)
    computed, _ = expected(compile_graph(graph, CONFIG, strips={}), tensors)
    status, outputs = network.run(tensors)
    assert status == OK
    assert outputs["conv"].tolist() == computed["conv"][0].tolist()


def test_loops_have_the_results_of_single_pixels(tmp_path):
    graph = every_operation()
    build = compile_graph(graph, dataclasses.replace(CONFIG, loops=True))
    assert build.programs["conv"].patches.loop > 0
    steps = Steps(build.graph, build.programs, "model")
    network = CNetwork(compile_network_library(build, tmp_path), build, steps.arena_words)
    plain = compile_graph(graph, CONFIG, strips={})
    for seed in range(2):
        tensors = draw(build, seed)
        computed, n_saturated = expected(plain, tensors)
        status, outputs = network.run(tensors)
        assert status == OK and network.n_saturated == n_saturated
        for name, words in outputs.items():
            assert words.tolist() == computed[name][0].tolist()
    # One vector, and no room for patches.
    (layers,) = [step.text("") for path, step in steps.steps if path == "conv"]
    assert "NULL, 1}" in layers and "_patches" not in layers


def test_loops_in_local_mode_have_the_results_of_single_pixels(tmp_path):
    """The host leaves out columns between the channels of a pixel."""
    graph = separable_network()
    build = compile_graph(graph, dataclasses.replace(CONFIG, loops=True, local=True))
    assert [node.get("local") for node in build.report["nodes"]] == [None, True, False]
    network = CNetwork(compile_network_library(build, tmp_path), build,
                       Steps(build.graph, build.programs, "model").arena_words)
    tensors = draw(build, 1)
    computed, n_saturated = expected(compile_graph(graph, CONFIG, strips={}), tensors)
    status, outputs = network.run(tensors)
    assert status == OK and network.n_saturated == n_saturated
    assert outputs["conv1"].tolist() == computed["conv1"][0].tolist()


@pytest.mark.parametrize("relu", [False, True])
def test_subgraphs_have_the_results_of_single_nodes(tmp_path, relu):
    graph = pooled_network(relu=relu)
    build = compile_graph(graph, dataclasses.replace(CONFIG, loops=True, local=True, maximum=True))
    assert list(build.programs) == ["fc"]
    steps = Steps(build.graph, build.programs, "model")
    assert [path for path, _ in steps.steps] == ["fc"]
    network = CNetwork(compile_network_library(build, tmp_path), build, steps.arena_words)
    plain = compile_graph(graph, CONFIG, strips={})
    for seed in range(3):
        tensors = draw(build, seed)
        status, outputs = network.run(tensors)
        assert status == OK and network.n_saturated == 0
        assert outputs["fc"].tolist() == expected(plain, tensors)[0]["fc"][0].tolist()


def test_bands_have_the_results_of_whole_maps(tmp_path):
    graph = pooled_network(relu=True)
    config = dataclasses.replace(CONFIG, loops=True, local=True, maximum=True, act_depth=80)
    build = compile_graph(graph, config)
    assert any(path.startswith("pool1.bands/") for path in build.programs)
    steps = Steps(build.graph, build.programs, "model")
    network = CNetwork(compile_network_library(build, tmp_path), build, steps.arena_words)
    plain = compile_graph(graph, CONFIG, strips={})
    for seed in range(3):
        tensors = draw(build, seed)
        status, outputs = network.run(tensors)
        assert status == OK
        assert outputs["fc"].tolist() == expected(plain, tensors)[0]["fc"][0].tolist()


def test_an_operand_is_kept_while_its_parts_are_read(tmp_path):
    rng = np.random.default_rng(1)
    graph = Graph({"x": (3, 4)}, (
        Node("fc", layers(rng, [4, 4], 8, 8, relu=False), ("x",)),
        Node("row", Slice(0, 0, 1), ("fc",)), Node("product", Multiply(), ("fc", "row")),
        Node("last", Slice(0, 2, 3), ("product",)), Node("y", Subtract(), ("last", "product"))),
        ("y",), {"x": 8, "fc": 8, "row": 8, "product": 9, "last": 9, "y": 9})
    build, network = make(graph, tmp_path)
    tensors = draw(build, 1)
    assert network.run(tensors)[1]["y"].tolist() == expected(build, tensors)[0]["y"][0].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_random_graphs_have_the_results_of_their_definition(tmp_path, seed):
    build, network = make(random_graph(seed), tmp_path)
    for tensors in (draw(build, 1, 9), draw(build, 2, 12)):
        computed, n_saturated = expected(build, tensors)
        for name, words in network.run(tensors)[1].items():
            assert words.tolist() == computed[name][0].tolist()
        assert network.n_saturated == n_saturated


def test_states_are_kept_between_the_parts_of_a_sequence(tmp_path):
    build, network = make(sequence_lstm(4), tmp_path)
    whole = compile_graph(sequence_lstm(12), CONFIG)
    tensors = draw(whole, 3)
    computed = expected(whole, tensors)[0]["lstm"][0]
    for _ in range(2):
        for part, function in enumerate(("run", "continue", "continue")):
            rows = slice(4 * part, 4 * part + 4)
            status, outputs = network.run({"x": tensors["x"][rows]}, function)
            assert status == OK
            assert outputs["lstm"].tolist() == computed[rows].tolist()


@pytest.mark.parametrize("buffers", [1, 2])
def test_programs_with_states_run_whole_sequences_and_cannot_be_continued(tmp_path, buffers):
    layer, words = make_layer(steps=5, buffers=buffers), draw_words(4, 5)
    build = make_graph(layer, 10)
    n_words = Steps(build.graph, build.programs, "model").arena_words
    network = CNetwork(compile_network_library(build, tmp_path), build, n_words)
    results = layer.compute(layer.compute(words)).reshape(2, 10, N)
    for part, expected in zip(words.reshape(2, 10, N), results):
        status, outputs = network.run({"x": part})
        assert status == OK and outputs["twice"].tolist() == expected.tolist()
    network.driver.fake.log.clear()
    assert network.run({"x": words[:10]}, "continue")[0] == STATES
    assert network.driver.fake.log == []


@pytest.mark.parametrize("buffers, depth", [(2, 256), (1, 40)])
@pytest.mark.parametrize("reverse", [False, True])
def test_recurrences_have_the_results_of_numpy(tmp_path, reverse, buffers, depth):
    scan = random_lstm(reverse=reverse)
    build = compile_graph(graph_of(scan, 6), dataclasses.replace(STEPS, act_depth=depth))
    assert build.programs["scan"].input_buffers == buffers
    n_words = Steps(build.graph, build.programs, "model").arena_words
    network = CNetwork(compile_network_library(build, tmp_path), build, n_words)
    for seed in range(2):    # states are zeros again
        words = words_of(scan, 6, 1, seed=seed)
        status, outputs = network.run({"x": words[0]})
        assert status == OK
        assert outputs["scan"].tolist() == run_numpy(build, words)[0].tolist()
    assert network.run({"x": words[0]}, "continue")[0] == STATES


def test_memories_are_loaded_when_the_next_program_is_not_in_them(every):
    build, network = every
    fake, tensors = network.driver.fake, draw(build, 1)
    assert len(build.loads) == 2
    for _ in range(2):      # ends in the other load
        fake.log.clear()
        assert network.run(tensors)[0] == OK
        assert fake.log.count("CONTROL") == 2
    assert network.driver.call("reset") == OK
    assert network.run(tensors)[0] == OK


@pytest.mark.parametrize("word", [1 << 15, -(1 << 15) - 1])
def test_an_input_out_of_range_is_refused(every, word):
    build, network = every
    tensors = draw(build, 1)
    tensors["image"][1, 6, 7] = word
    network.driver.fake.log.clear()
    assert network.run(tensors)[0] == VALUE
    assert network.driver.fake.log == []
    assert network.run(draw(build, 1))[0] == OK


def test_a_negative_input_is_refused_where_layers_rely_on_it(tmp_path):
    graph = sequence_lstm(2, nonnegative=True)
    build, network = make(graph, tmp_path)
    tensors = {"x": np.abs(draw(build, 1)["x"])}
    assert network.run(tensors)[0] == OK
    tensors["x"][1, 2] = -1
    assert network.run(tensors)[0] == VALUE


@pytest.mark.parametrize(("fault", "port", "status"), [
    ("sends", "send", TRANSFER), ("takes", "receive", TRANSFER), ("ends", "sent", TIMEOUT)])
def test_a_failure_in_any_step_is_reported_and_recovered_from(every, fault, port, status):
    build, network = every
    driver, tensors = network.driver, draw(build, 2)
    computed = expected(build, tensors)[0]["last"][0].tolist()
    function, kind = getattr(driver, f"_{port}"), type(getattr(driver._port, port))
    left = 0

    def fail_at_last(*arguments):
        nonlocal left
        left -= 1
        setattr(driver, fault, left > 0)
        return function(*arguments)

    statuses = set()
    for at in range(1, 1000, 17):
        left = at
        setattr(driver._port, port, kind(fail_at_last))
        found = network.run(tensors)[0]
        setattr(driver._port, port, kind(function))
        setattr(driver, fault, True)
        if found == OK:
            break
        assert found == status
        # A program that failed must be cleared; a load is repeated.
        statuses.add(again := network.run(tensors)[0])
        assert again in (OK, BUSY)
        assert driver.call("clear") == OK
        assert network.run(tensors)[1]["last"].tolist() == computed
    assert BUSY in statuses


SHAPES = {"all": ((3, 4), (1,)), "last": ((3, 4), (4,)), "first": ((2, 3, 4), (2, 1, 1)),
          "middle": ((2, 3, 4), (3, 1)), "outer": ((2, 3, 4), (2, 1, 4)), "none": ((5,), None)}


def test_numbers_become_words_as_in_python(tmp_path):
    rng = np.random.default_rng(2)
    nodes = [Node("fc", layers(rng, [4, 2], 8, 8), ("last",)),
             *(Node(f"n_{name}", Tanh(), (name,)) for name in SHAPES)]
    graph = Graph(
        {name: shape for name, (shape, _) in SHAPES.items()}, tuple(nodes),
        tuple(node.name for node in nodes), dict.fromkeys([*SHAPES, *(n.name for n in nodes)], 8),
        preprocessing={name: Preprocessing(rng.normal(size=shape),
                                           rng.normal(size=shape) * 10 ** rng.normal(size=shape))
                       for name, (_, shape) in SHAPES.items() if shape})
    build = compile_graph(graph, CONFIG)
    (tmp_path / "q.c").write_text(
        '#include "eie_quantise.h"\n#include "model.h"\n'
        'size_t q(const double *x, int32_t *words);\n'
        'size_t q(const double *x, int32_t *words)\n'
        '{ return eie_network_words(&model, x, words); }\n', encoding="utf-8")
    library = compile_network_library(build, tmp_path, tmp_path / "q.c")
    library.q.restype = ctypes.c_size_t
    for scale in (1, 100):
        x = {name: scale * rng.normal(size=(1, *shape)) for name, (shape, _) in SHAPES.items()}
        numbers = np.concatenate([part.ravel() for part in x.values()])
        words = np.zeros(numbers.size, np.int32)
        n_saturated = library.q(*(ctypes.c_void_p(array.ctypes.data) for array in (numbers, words)))
        expected = build.to_words(x)
        assert words.tolist() == np.concatenate(
            [part.ravel() for part in expected.words.values()]).tolist()
        assert n_saturated == sum(expected.saturated.values())
        assert (n_saturated > 0) == (scale == 100)
