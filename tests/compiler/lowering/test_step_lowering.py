"""`eie_compiler.lowering.step_lowering`: stages of a step."""

import dataclasses
import math
import re

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.operations import (
    Add,
    Affine,
    Clip,
    Concat,
    Magnitude,
    Multiply,
    Reshape,
    Sigmoid,
    Slice,
    Subtract,
    Tanh,
)
from eie_compiler.lowering.step_formats import fit_formats
from eie_compiler.lowering.step_lowering import list_step_stages
from eie_compiler.lowering.step_stages import Drained, Weighted
from eie_compiler.random_networks import random_network
from eie_hdl.format import Table
from support.recurrences import CONFIG, StepBody, compare, random_lstm

CONVERSION = Clip(-math.inf, math.inf)


def body_of(**fracs):
    """Body of an input and states of these fraction bits, all of 8 elements."""
    return StepBody(1, dict.fromkeys(fracs, 8), fracs)


def add(body, name, operation, operands, frac):
    size = operation.shape(*((body.sizes[each],) for each in operands.split()))[0]
    return body.add(operation, *operands.split(), frac=frac, size=size, name=name)


def stages_of(scan, config=CONFIG):
    return list_step_stages(fit_formats(scan, config), config)


def list_reads(found):
    """Names of the vectors of each stage: the node that writes them, or x and s."""
    names = {found.input: "x", **{state: f"s{at}" for at, state in enumerate(found.states)}}
    listed = []
    for stage in found.stages:
        reads = " ".join(names[vector] for vector in stage.reads)
        for vector in stage.writes:
            names.setdefault(vector, stage.node)
        listed.append(f"{reads} > {' '.join(names[vector] for vector in stage.writes)}")
    return listed


def test_a_layer_reads_the_input_and_a_state_beside_it():
    body = body_of(x=9, s=11)
    joined = add(body, "xs", Concat(0), "x s", 9)
    y = body.layer([joined], 8, frac=11)
    found = stages_of(body.scan(y, {"s": y}))
    assert list_reads(found) == [f"x s0 > {y}", f"{y} > s0"]
    assert found.beside == set(found.states) and found.result == found.stages[0].results
    layer, copy = found.stages
    assert [vector.frac for vector in layer.reads] == [9, 9]    # in the format of both
    assert (copy.bias_shift, copy.shift) == (0, 2)


def test_a_value_of_the_step_is_copied_to_its_place_beside_the_input():
    body = body_of(x=9, s=9)
    t = add(body, "t", Tanh(), "s", 14)
    y = body.layer(["x", t], 8, frac=9)
    found = stages_of(body.scan(y, {"s": y}))
    (beside,) = found.beside
    assert beside not in found.states
    assert [stage.writes[0] == beside for stage in found.stages] == [False, True, False, False]


def test_layers_follow_one_another_in_a_node():
    body = body_of(x=8, s=8)
    network = random_network(np.random.default_rng(1), [8, 5, 6, 8], v_width=4, frac=8)
    y = body.add(network, "x", frac=network.layers[-1].output_frac, size=8)
    one, two, three = stages_of(body.scan(y, {"s": y})).stages[:3]
    assert (one.results, two.results) == (two.sources, three.sources)
    assert [stage.results[0].size for stage in (one, two, three)] == [5, 6, 8]


def test_results_of_a_layer_are_cut_by_slices():
    found = stages_of(random_lstm())
    assert [vector.size for vector in found.stages[0].results] == [19] * 4


def test_sums_and_products_take_one_stage():
    body = body_of(x=9, s=11, t=12)
    y = body.layer(["x"], 8, frac=10)
    add(body, "sum", Add(), f"{y} s", 9)
    add(body, "difference", Subtract(), "s t", 12)
    add(body, "product", Multiply(), "sum t", 8)
    add(body, "square", Multiply(), "difference difference", 12)
    found = stages_of(body.scan("product", {"s": body.add(
        CONVERSION, "square", frac=11, size=8), "t": "difference"}))
    assert list_reads(found)[:5] == [f"x > {y}", f"{y} s0 > sum", "s0 s1 > difference",
                               "sum s1 > product", "difference difference > square"]
    total, difference, product, square = found.stages[1:5]
    assert isinstance(total, Weighted) and total.is_local
    assert sorted(total.inputs.layer.codebook[1:3].tolist()) == [1.0, 2.0]    # the finest is s
    assert set(difference.inputs.layer.codebook[1:3]) == {2.0, -1.0}
    assert isinstance(product, Drained) and product.shift == 9 + 12 - 8 and not product.bias_shift
    assert square.operand == square.factor and square.shift == 12


def test_sums_without_local_mode_are_layers():
    found = stages_of(random_lstm(), dataclasses.replace(CONFIG, local=False))
    assert not any(stage.is_local for stage in found.stages if isinstance(stage, Weighted))


@pytest.mark.parametrize("operation, frac, shifts, relu, table", [
    (Tanh(), 14, (2, 0), False, Table.TANH), (Sigmoid(), 14, (2, 0), False, Table.SIGMOID),
    (Clip(0.0, math.inf), 7, (0, 2), True, Table.NONE),
    (CONVERSION, 12, (3, 0), False, Table.NONE)])
def test_functions_are_drained(operation, frac, shifts, relu, table):
    body = body_of(x=9, s=frac)
    y = body.layer(["x"], 8, frac=9)
    f = add(body, "f", operation, y, frac)
    stage = stages_of(body.scan(f, {"s": f})).stages[1]
    assert (stage.bias_shift, stage.shift) == shifts and (stage.relu, stage.table) == (relu, table)


def test_a_conversion_for_functions_alone_is_made_by_the_table():
    body = body_of(x=9, s=12)
    y = body.layer(["x"], 8, frac=13)
    found = stages_of(body.scan(add(body, "f", Tanh(), y, 14), {
        "s": add(body, "g", Sigmoid(), y, 12)}))
    functions = [stage for stage in found.stages if stage.node in ("f", "g.table")]
    assert [stage.operand for stage in functions] == [found.stages[0].results[0]] * 2
    assert [stage.shift for stage in functions] == [2, 2]


@pytest.mark.parametrize("frac", [13, 11, 9, 8])
def test_a_value_is_converted_where_it_is_read(frac):
    """Its precision is lost as by the definition, also where a function reads it."""
    body = body_of(x=9, s=14)
    y = body.layer(["x", "s"], 8, frac=12)
    joined = add(body, "joined", Concat(0), y, frac)
    found = compare(body.scan(add(body, "f", Tanh(), joined, 14), {"s": "f"}))
    assert found.graph.nodes[0].computation.steps == 3


def test_factors_are_cut_with_their_vector():
    body = body_of(x=9, s=10)
    scale = np.linspace(-1, 1, 8)
    add(body, "scaled", Affine(scale, 0.0), "s", 10)
    one, two = (add(body, f"part{at}", Slice(0, *ends), "scaled", 10)
                for at, ends in enumerate(((0, 3), (3, 8))))
    y = body.layer(["x", one], 8, frac=10)
    z = body.layer([y, two], 8, frac=10)
    found = stages_of(body.scan(z, {"s": z}))
    parts = [stage for stage in found.stages if stage.node == "scaled"]
    assert [len(stage.factors) for stage in parts] == [3, 5]
    words = np.concatenate([stage.factors for stage in parts])
    assert words.tolist() == np.rint(scale * (1 << parts[0].shift)).tolist()
    assert parts[0].shift == parts[1].shift == 14


@pytest.mark.parametrize("output, n_more", [
    ("y", 0), ("same", 0), ("coarse", 1), ("x", 2),
    ("s", 2), ("two", 3)])    # the state is also kept where it is not beside the input
def test_results_that_are_no_vector_of_the_step_are_copied(output, n_more):
    body = body_of(x=9, s=9)
    y = body.layer(["x", "s"], 8, frac=9)
    body.add(Reshape((8,)), y, frac=9, size=8, name="same")
    body.add(CONVERSION, y, frac=9, size=8, name="y")
    add(body, "coarse", Concat(0), y, 7)
    add(body, "two", Concat(0), "y s", 9)
    found = stages_of(body.scan(output, {"s": y}))
    assert len(found.stages) == len(stages_of(body.scan(y, {"s": y})).stages) + n_more
    assert sum(vector.size for vector in found.result) == body.sizes[output]
    assert {vector.frac for vector in found.result} == {body.fracs[output]}
    assert not set(found.result) & {found.input, *found.states}
    compare(body.scan(output, {"s": y}))


def test_other_outputs_of_a_body_are_not_sent():
    body = body_of(x=9, s=9)
    y = body.layer(["x", "s"], 8, frac=9)
    t = add(body, "t", Tanh(), y, 14)
    scan = body.scan(t, {"s": y})
    compare(dataclasses.replace(scan, body=dataclasses.replace(scan.body, outputs=(t, y))))


def test_a_state_may_be_the_result():
    """Its next values are not those of the copy for the host."""
    body = body_of(x=9, s=9)
    one, two = (add(body, f"part{at}", Slice(0, 4 * at, 4 * at + 4), "s", 9) for at in range(2))
    sum_ = add(body, "sum", Add(), f"{body.layer(['x', one], 4, frac=9)} {two}", 9)
    y = add(body, "y", Concat(0), f"{add(body, 't', Tanh(), sum_, 9)} {sum_}", 9)
    compare(body.scan(y, {"s": y}))


@pytest.mark.parametrize("fracs", [(9, 9), (9, 8)])
def test_a_vector_is_read_beside_itself_in_another_format_alone(fracs):
    body = body_of(x=10)
    one, two = (add(body, f"one{at}", Concat(0), "x", frac) for at, frac in enumerate(fracs))
    joined = add(body, "joined", Concat(0), f"{one} {two}", 9)
    scan = body.scan(body.layer([joined], 8, frac=9), {})
    if fracs == (9, 9):
        with pytest.raises(CompileError, match="layers must not read a vector twice$"):
            stages_of(scan)
    else:
        compare(scan)


def refused(make, message, **changes):
    body = body_of(x=9, s=9)
    y = body.layer(["x", "s"], 8, frac=9)
    scan = make(body, y)
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        stages_of(scan, dataclasses.replace(CONFIG, **changes))


@pytest.mark.parametrize("operation, operands, frac, message, changes", [
    (Magnitude(), "s y", 9, "the machine does not compute Magnitude", {}),
    (Clip(-1.0, 1.0), "y", 9, "the machine does not compute Clip", {}),
    (Affine(0.5, 0.25), "y", 9, "the machine adds no constants to products", {}),
    (Affine(0.5, 0.0), "y", 9, "products must be true for products of vectors",
     {"products": False}),
    (Multiply(), "y s", 9, "products must be true for products of vectors", {"products": False}),
    (Tanh(), "y", 14, "tables must be true for sigmoid and tanh", {"tables": False}),
    (Add(), "y y", 9, "operands must not be the same", {}),
    (Multiply(), "y s", 19, "formats must differ by a shift from 0 to 31, not -1", {}),
    (CONVERSION, "y", 24, "formats must differ by a shift from 0 to 14, not 15", {}),
])
def test_what_the_machine_does_not_compute_is_refused(operation, operands, frac, message, changes):
    refused(lambda body, y: body.scan(add(body, "f", operation, operands.replace("y", y), frac),
                                      {"s": y}), f"node 'f': {message}", **changes)


@pytest.mark.parametrize("operands, message", [
    (["x", "s", "t"], "layers must read at most two vectors together"),
    (["t", "t"], "layers must not read a vector twice")])
def test_layers_of_other_concatenations_are_refused(operands, message):
    def make(body, y):
        body.add(Tanh(), y, frac=9, size=8, name="t")
        return body.scan(body.layer(operands, 8, frac=9), {"s": y})

    refused(make, f"node 'n4': {message}")


def test_a_part_of_the_input_is_refused():
    refused(lambda body, y: body.scan(add(body, "f", Slice(0, 0, 4), "x", 9), {"s": y}),
            "input 'x' must be read as a whole")


def test_a_state_that_is_the_next_value_of_a_state_is_refused():
    body = body_of(x=9, s=9, t=9)
    y = body.layer(["x", "s"], 8, frac=9)
    z = body.layer([y, "t"], 8, frac=9)
    with pytest.raises(CompileError, match="^next value of state 't' must be computed by the step"):
        stages_of(body.scan(z, {"s": z, "t": "s"}))
