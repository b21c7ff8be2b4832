"""Networks of `eie_bench.onchip.cases`: each is one program, for each machine that runs it."""

from pathlib import Path

import numpy as np
import pytest

from eie_bench.onchip.all_cases import make_cases
from eie_bench.onchip.cases import (
    DEPTHWISE,
    LENET,
    MACHINE,
    SMALL,
    make_case,
    make_lenet,
)
from eie_compiler.errors import CompileError
from support.graphs import pooled_network, residual_network

NETWORK = Path(__file__).parents[3] / "examples/convolutional/trained/lenet5/network.npz"


@pytest.fixture(scope="module")
def cases():
    return make_cases(NETWORK, None, seed=1)


def test_all_cases_are_one_program_without_steps_of_the_host(cases):
    assert {case.name for case in cases} >= {LENET, DEPTHWISE}
    for case in cases:
        assert list(case.build.programs) == [node.name for node in case.build.graph.nodes]
        ((source, shape),) = case.graph.inputs.items()
        assert case.images.shape[1:] == shape
        assert case.build.to_words(case.images).saturated == {source: 0}


def test_geometries_are_the_same_on_all_simulators_and_machines(cases):
    parts = [[(case.name, case.images.tolist()) for case in cases if case.part == "geometry"
              and (case.build.config, case.engine) == which]
             for which in ((MACHINE, "verilator"), (SMALL, "verilator"), (SMALL, "icarus"))]
    assert len(parts[0]) == 8 and parts[0] == parts[1] == parts[2]
    assert all(case.engine == "verilator" for case in make_cases(None, None, seed=1, icarus=False))


def test_layers_are_in_local_mode_and_take_maxima_of_both_signs(cases):
    named = {case.name: case for case in cases}
    (report,) = named[DEPTHWISE].build.programs["node1"].report["layers"]
    assert report["local"] and (named[DEPTHWISE].images > 0).all()
    assert [case.tolerance for case in cases if case.part == "pooling"] == [0] * 8 + [1] * 4
    zeros, extremes = (named[name].images for name in ("zero rows and images", "extreme numbers"))
    assert not zeros[0].any() and not zeros[1, :, 2].any() and zeros[1, :, 1].any()
    assert {-(1 << 15), (1 << 15) - 1} < set((extremes * 256).astype(int).ravel().tolist())


def test_images_of_lenet_depend_on_the_seed(cases, tmp_path):
    one, same, other = (make_lenet(NETWORK, None, seed).images for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert np.array_equal(one, cases[0].images)
    digits = np.repeat(np.arange(40, dtype=np.uint8), 784).reshape(40, 28, 28)
    np.savez(tmp_path / "mnist.npz", test_images=digits, test_labels=np.zeros(40, np.uint8))
    drawn = make_lenet(NETWORK, tmp_path / "mnist.npz", 1).images[:, 0, 0, 0] * 256
    assert len(set(drawn)) == 16 and drawn.tolist() != sorted(drawn)


@pytest.mark.parametrize("graph, shape, message", [
    (residual_network(SMALL), (2, 6, 6), "net must be one program, not 2 and steps of the host: "
                                         ".*"),
    (pooled_network(), (1, 13, 12), None)])
def test_a_network_of_several_programs_is_refused(graph, shape, message):
    def make():
        return make_case("part", "net", graph, np.zeros((1, *shape)), MACHINE)

    if message:
        with pytest.raises(CompileError, match=f"^{message}$"):
            make()
    else:
        assert make().pixels == 1
