"""Measurement of networks that are one program: every number is compared, the last line exact.

Tables and files are those of the command `eie_cli.bench.onchip`.
"""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_bench.onchip import all_cases, cases as module, measure as measuring
from eie_bench.onchip.cases import DEPTHWISE, LENET, SMALL, make_case, make_geometries
from eie_bench.onchip.cells import LSTM, PRODUCTS
from eie_bench.onchip.measure import Row, headline, measure
from eie_cli.main import main
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Mean
from eie_hdl.extras import install_command
from eie_sim import graph_inference
from support.graphs import SAME_SIZE, graph_of, pooled_network, random_convolution

pytest.importorskip("numba", reason=install_command("bench"))


@pytest.fixture(scope="module")
def case():
    """A network with pooling of both signs, for the small machine."""
    rng = np.random.default_rng(1)
    config = dataclasses.replace(SMALL, ptr_depth=4096, n_codebooks=8)
    return make_case("geometry", "pooled", pooled_network(relu=False),
                     rng.normal(size=(2, 1, 13, 12)), config)


def flip_bit(case):
    """Case with one bit of the weights changed."""
    (program,) = case.build.programs.values()
    images = program.images | {"pe_0.codebook": program.images["pe_0.codebook"] ^ np.uint64(16)}
    return case._replace(build=dataclasses.replace(case.build, programs={
        path: dataclasses.replace(program, images=images) for path in case.build.programs}))


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Function that runs the command on given cases; returns the result and the file."""
    def run(cases, *options):
        monkeypatch.setattr(all_cases, "make_cases", lambda *arguments, **named: cases)
        path = tmp_path / "sub" / "onchip.json"
        result = CliRunner().invoke(main, ["bench", "onchip", *options, "-o", str(path)],
                                    catch_exceptions=False)
        return result, json.loads(path.read_text(encoding="utf-8"))

    return run


def test_every_number_of_the_verilog_is_compared(case, verilator, simulators, run):
    result, kept = run([case])
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == "left out, as --lenet is not given: LeNet-5"
    # Ten results, sampled ones again, and those of a host; and the cycles.
    assert result.stdout.splitlines()[-1] == (
        "onchip: 31 numbers compared, 0 differ; lenet5 - x bound, depthwise16 - x, "
        "lstm - x")
    assert "random, seed 1" in result.stdout
    (row,) = kept["rows"]
    assert (row["compared"], row["differences"], row["steps"]) == (31, 0, 0)
    assert row["predicted"] == row["cycles"] > row["bound"] > 0
    assert row["bound"] == max(row["broadcasts"], row["entries"])


def test_json_is_printed_alone_and_the_verdict_on_standard_error(case, verilator, simulators, run):
    result, kept = run([case], "--json")
    assert json.loads(result.stdout) == kept
    assert result.stderr.splitlines()[-1] == kept["headline"]


@pytest.mark.parametrize("where", ["program", "hardware"])
def test_a_flipped_bit_is_noticed(where, case, verilator, simulators, run, monkeypatch):
    wrong = flip_bit(case)
    if where == "hardware":    # the golden model has the right weights
        class Hardware(graph_inference.VerilatorMachines):
            def __init__(self, _build, **options):
                super().__init__(wrong.build, **options)
        monkeypatch.setattr(graph_inference, "VerilatorMachines", Hardware)
    result, kept = run([case if where == "hardware" else wrong])
    differences = kept["rows"][0]["differences"]
    assert result.exit_code == 1 and differences > 0
    assert f"pooled on verilator, 4 PEs: {differences:,} of 31 numbers differ" in result.stdout
    assert f"compared, {differences} differ; " in result.stdout.splitlines()[-1]


def test_a_wrong_prediction_of_the_cycles_is_a_difference(case, verilator, simulators, monkeypatch):
    def infer(build, images, *, engine, **options):
        return real(build, images[:1] if engine == "cycle-model" else images, engine=engine,
                    **options)

    real = measuring.infer_graph
    monkeypatch.setattr(measuring, "infer_graph", infer)
    assert measure(case, cache=simulators).differences == 1


def test_means_may_differ_from_those_of_the_host_by_a_step(verilator, simulators, monkeypatch):
    before = graph_of(random_convolution((4, 25, 5), [8], **SAME_SIZE))
    graph = Graph(before.inputs, (*before.nodes, Node("mean", Mean((1, 2)), ("conv0",))),
                  ("mean",), before.fracs | {"mean": 6})
    means = make_case("pooling", "means", graph, np.random.default_rng(1).normal(
        40, 20, (20, 4, 25, 5)), SMALL, pixels=5)
    row = measure(means, cache=simulators)
    assert (row.steps, row.differences, row.local) == (1, 0, 1)
    monkeypatch.setattr(module.Case, "tolerance", 0)
    assert measure(means, cache=simulators).differences > 0


def test_a_geometry_runs_on_icarus(icarus, simulators):
    row = measure(make_geometries(1, SMALL, "icarus", n_images=1)[0], cache=simulators)
    assert (row.differences, row.predicted, row.compared) == (0, None, 15)
    assert row.cycles > row.bound


def test_the_line_has_a_figure_of_each_kind():
    rows = [Row("network", LENET, "verilator", 16, 8, 1, 6, 2, 1310.0, 1310.0, 900.0, 1000.0,
                5000, 0, 0),
            Row("depthwise", DEPTHWISE, "verilator", 16, 8, 125, 1, 1, 1206.0, 1206.0, 0.0, 1000.0,
                1, 2, 0),
            *(Row("cell", name, "verilator", 16, 6, 1, 1, 0, cycles, cycles, 0.0, 1000.0, 1, 0, 0)
              for name, cycles in ((PRODUCTS, 1000.0), (LSTM, 1084.0)))]
    assert headline(rows) == ("onchip: 5,003 numbers compared, 2 differ; lenet5 1.31 x bound, "
                              "depthwise16 1.21 x, lstm 1.08 x")
    assert rows[0]._replace(broadcasts=0.0, entries=0.0).ratio is None
