"""`eie_compiler.lowering.step_joining`: scans of which the machine keeps the states."""

import dataclasses
import math

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Recurrence, Scan
from eie_compiler.graph.operations import Clip, Magnitude, Reshape
from eie_compiler.graph.subgraphs import inline_subgraphs
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.step_formats import describe_formats
from eie_compiler.lowering.step_joining import keep_states
from eie_sim.graph_inference import infer_graph
from support.recurrences import (
    CONFIG,
    StepBody,
    compare,
    graph_of,
    random_lstm,
    require_recurrence,
    run_numpy,
)

HOST = "computed by the host: node 'scan': "
PLAIN = dataclasses.replace(CONFIG, loops=False, local=False, products=False, tables=False)


def kinds(graph):
    return [type(node.computation).__name__ for node in graph.nodes]


def test_the_machine_keeps_states():
    graph = graph_of(random_lstm(), 4)
    kept = keep_states(graph, CONFIG)
    assert kept.nodes[0].computation.scan is graph.nodes[0].computation
    assert kept.nodes[0].computation.steps == 4


def test_notes_say_what_is_rounded_otherwise():
    scan = random_lstm(peepholes=True)
    notes = keep_states(graph_of(scan, 4), CONFIG).notes
    assert notes == tuple(f"rounded otherwise than by the host: node 'scan': {note}"
                          for note in describe_formats(scan, CONFIG)) and len(notes) == 4


@pytest.mark.parametrize("config, steps", [(PLAIN, 4), (CONFIG, 1)])
def test_scans_stay_as_they_are(config, steps):
    """Of a single step, the host keeps states, for the next inference."""
    graph = graph_of(random_lstm(), steps)
    assert keep_states(graph, config) is graph


def test_a_step_without_products_and_functions_needs_neither():
    body = StepBody(1, {"x": 5, "s": 5}, {"x": 9, "s": 9})
    following = body.add(Clip(0.0, math.inf), body.layer(["x", "s"], 5, frac=9), frac=9, size=5)
    config = dataclasses.replace(CONFIG, products=False, tables=False)
    graph = keep_states(graph_of(body.scan(following, {"s": following}), 4), config)
    assert kinds(graph) == ["Recurrence"] and graph.notes == ()


def test_other_machines_say_why():
    graph = graph_of(random_lstm(), 4)
    for changes, reason in (({"tables": False}, "node 'n6': tables must be true for sigmoid and "
                             "tanh"),
                            ({"products": False}, "node 'n7': products must be true for products "
                             "of vectors")):
        kept = keep_states(graph, dataclasses.replace(CONFIG, **changes))
        assert kinds(kept) == ["Scan"] and kept.notes == (HOST + reason,)


def test_operations_of_the_host_are_named():
    body = StepBody(1, {"x": 4, "s": 4}, {"x": 9, "s": 9})
    y = body.layer(["x", "s"], 4, frac=9)
    z = body.add(Magnitude(), y, "s", frac=9, size=4, name="magnitude")
    kept = keep_states(graph_of(body.scan(z, {"s": y}), 4), CONFIG)
    assert kept.notes == (f"{HOST}node 'magnitude': the machine does not compute Magnitude",)


def test_states_that_are_given_are_those_of_the_host():
    scan = random_lstm()
    fracs = {"x": 9, "scan": 14, "h": 14, "c": 12}
    graph = Graph({"x": (4, 5), "h": (19,), "c": (19,)},
                  (Node("scan", scan, ("x", "h", "c")),), ("scan",), fracs)
    kept = keep_states(graph, CONFIG)
    assert kinds(kept) == ["Scan"]
    assert kept.notes == (f"{HOST}states must be zeros before the first step",)


def test_too_little_memory_is_named():
    (note,) = keep_states(graph_of(random_lstm(), 4), dataclasses.replace(
        CONFIG, act_depth=39)).notes
    assert note.startswith(f"{HOST}activation SRAM must have 40 words")


def chain(*scans, steps=3):
    """Graph of scans, one after another."""
    nodes, operand, fracs = [], "x", {"x": 9}
    for number, scan in enumerate(scans):
        first = next(iter(scan.body.inputs))
        converted = f"to{number}"
        nodes += [Node(converted, Clip(-8.0, 8.0), (operand,)),
                  Node(f"scan{number}", scan, (converted,))]
        operand = f"scan{number}"
        fracs |= {converted: scan.body.fracs[first],
                  operand: scan.body.fracs[scan.body.outputs[0]]}
    return Graph({"x": (steps, *next(iter(scans[0].body.inputs.values())))}, tuple(nodes),
                 (operand,), fracs)


def run(build, seed=1):
    shape = (2, *next(iter(build.graph.inputs.values())))
    words = np.random.default_rng(seed).integers(-2000, 2000, shape)
    (found,) = infer_graph(build, words, engine="golden", words=True).outputs.values()
    np.testing.assert_array_equal(found, run_numpy(build, words))


@pytest.mark.parametrize("depth, loads", [(1024, 1), (256, 1)])
def test_scans_of_a_load_share_their_rows(depth, loads):
    """Each sequence finds states of zeros, whatever other programs wrote."""
    graph = chain(random_lstm(n_hidden=19), random_lstm(n_inputs=19, n_hidden=7, reverse=True),
                  random_lstm(n_inputs=7, n_hidden=30, peepholes=True))
    build = compile_graph(graph, dataclasses.replace(
        CONFIG, act_depth=depth, program_depth=256, ptr_depth=4096, spmat_depth=1024))
    require_recurrence(build)
    assert kinds(build.graph) == ["Clip", "Recurrence"] * 3
    assert len(build.loads) == loads
    run(build)


def test_scans_are_left_to_the_host_if_that_saves_loads():
    graph = chain(random_lstm(), random_lstm(n_inputs=19, n_hidden=19))
    needs = [len(compile_graph(chain(random_lstm()), CONFIG).programs["scan0"].program)]
    config = dataclasses.replace(CONFIG, program_depth=needs[0] + 3)
    build = compile_graph(graph, config)
    assert kinds(build.graph) == ["Clip", "Scan", "Clip", "Recurrence"]
    assert [note for note in build.graph.notes if note.startswith("nodes stay apart")] == [
        "nodes stay apart: the step of node 'scan0' would need 2 loads of the memories, not 1: "
        "program memory must have 25 words, one for each tile and each output, not 24: raise "
        "program_depth to 25 or more, or acc_depth"]


def test_scans_of_several_loads_are_computed():
    scans = [random_lstm(n_hidden=19), random_lstm(n_inputs=19, n_hidden=19, seed=2)]
    alone = [compile_graph(chain(scan), CONFIG).report["programs"]["scan0"] for scan in scans]
    config = dataclasses.replace(CONFIG, spmat_depth=max(
        report["memory"]["spmat"]["words_used"] for report in alone) + 4)
    build = compile_graph(chain(*scans), config)
    assert kinds(build.graph) == ["Clip", "Recurrence"] * 2 and len(build.loads) == 2
    run(build)


def test_a_scan_in_a_scan_is_one_of_the_host():
    inner = random_lstm(n_inputs=4, n_hidden=4)
    body = Graph({"x": (2, 4)}, (Node("inner", inner, ("x",)), Node("flat", Reshape((8,)), (
        "inner",))), ("flat",), {"x": 9, "inner": 14, "flat": 14})
    graph = Graph({"x": (3, 2, 4)}, (Node("scan", Scan(body, ()), ("x",)),), ("scan",),
                  {"x": 9, "scan": 14})
    kept = keep_states(graph, CONFIG)
    assert kinds(kept) == ["Scan"]
    assert kept.notes == (f"{HOST}elements of the sequence, and results of a step, must be "
                          "vectors",)


def test_another_machine_begins_with_the_scans():
    scan = random_lstm(peepholes=True)
    build = compare(scan)
    assert kinds(inline_subgraphs(build.graph)) == ["Scan"]
    plain = compile_graph(build.graph, PLAIN)
    assert kinds(plain.graph) == ["Scan"] and plain.graph.notes == ()
    again = compile_graph(plain.graph, CONFIG)
    assert again.graph.notes == build.graph.notes
    assert isinstance(again.graph.nodes[0].computation, Recurrence)
    assert all((again.programs["scan"].images[name] == image).all()
               for name, image in build.programs["scan"].images.items())


def test_layers_of_two_concatenations_are_those_of_the_host():
    body = StepBody(1, {"x": 4, "s": 4, "t": 4}, {"x": 9, "s": 9, "t": 9})
    y = body.layer(["x", "s", "t"], 4, frac=9)
    (note,) = keep_states(graph_of(body.scan(y, {"s": y, "t": y}), 3), CONFIG).notes
    assert note == f"{HOST}node 'n1': layers must read at most two vectors together"
