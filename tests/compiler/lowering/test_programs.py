"""Several networks in one load, against the same networks compiled alone.

`eie_compiler.lowering.load` makes the load.
"""

import re

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.csc_decode import decode
from eie_compiler.lowering.programs import compile_programs
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import output_columns
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.inference import infer

ROOMY = EIEConfig(n_pe=4, acc_depth=16, act_depth=1 << 12, ptr_depth=1 << 14, spmat_depth=1 << 12,
                  n_codebooks=8)


def network_of(*sizes, seed=21, **options):
    return random_network(np.random.default_rng(seed), sizes, **{"density": 1.0, **options})


def random_config(rng):
    return EIEConfig(
        n_pe=1 << int(rng.integers(5)), acc_depth=1 << int(rng.integers(2, 7)),
        z_width=int(rng.integers(2, 6)), act_depth=int(rng.integers(60, 400)),
        ptr_depth=int(rng.integers(500, 2000)), spmat_depth=int(rng.integers(300, 2000)),
        n_codebooks=int(rng.integers(4, 9)), program_depth=int(rng.integers(60, 100)))


def loads_of(builds):
    """Lists of names, one for each set of images."""
    loads = {}
    for name, build in builds.items():
        loads.setdefault(id(build.images), []).append(name)
    return list(loads.values())


@pytest.mark.parametrize("seed", range(12))
def test_each_program_computes_what_its_network_alone_does(seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    mapping, outputs = rng.choice(["balanced", "interleaved"]), rng.choice(["last", "all"])
    networks = {
        f"network {number}": random_network(
            rng, rng.integers(1, 50, rng.integers(2, 5)).tolist(), density=rng.uniform(0.1, 0.6))
        for number in range(rng.integers(2, 7))}
    builds = compile_programs(networks, config, mapping=mapping, outputs=outputs)
    assert list(builds) == list(networks)
    assert sum(loads_of(builds), []) == list(networks)
    for name, build in builds.items():
        alone = compile_network(networks[name], config, mapping=mapping, outputs=outputs)
        assert output_columns(config, build.program) == output_columns(config, alone.images[
            "ccu.program"])
        words = rng.integers(-1000, 1000, (2, len(build.input.columns)))
        found, expected = (infer(each, words, words=True, engine="golden")
                           for each in (build, alone))
        assert [output.tolist() for output in found.outputs] == [
            output.tolist() for output in expected.outputs]
        assert found.entries.tolist() == expected.entries.tolist()
        for layer, same in zip(decode(config, build.images, build.first_descriptor),
                               decode(config, alone.images), strict=True):
            assert layer.codes.nnz == same.codes.nnz and layer.bias.tolist() == same.bias.tolist()


def test_programs_of_a_load_follow_one_another_and_keep_all_biases():
    networks = {"a": network_of(20, 30, 10), "b": network_of(33, 70, seed=4),
                "c": network_of(5, 9, 5, seed=5)}
    builds = compile_programs(networks, ROOMY)
    assert loads_of(builds) == [["a", "b", "c"]]
    program = unpack(Layouts.of(ROOMY).descriptor, builds["a"].images["ccu.program"])
    assert np.flatnonzero(program["final"]).tolist() == [2, 5, 8]
    assert [build.first_descriptor for build in builds.values()] == [0, 3, 6]
    n_bias_rows = sum(-(-rows // 16) for rows in (30, 10, 70, 9, 5))
    is_tile = program["start"]["send"] == 0
    assert len(set(program["end"]["bias"][is_tile].tolist())) == is_tile.sum()
    assert program["end"]["bias"][is_tile].max() < n_bias_rows
    assert program["end"]["destination"][is_tile].min() >= n_bias_rows
    assert program["ptr_base"][is_tile].tolist() == np.cumsum([0, 20, 32, 36, 36, 8]).tolist()
    for build in builds.values():
        assert build.report["memory"] is builds["a"].report["memory"]
        assert build.input.base_word >= n_bias_rows


def test_equal_codebooks_of_a_load_are_stored_once():
    network = network_of(20, 30, 10)
    builds = compile_programs({"a": network, "b": network, "c": network_of(9, 9, seed=3)}, ROOMY)
    assert builds["a"].images["pe_0.codebook"].shape == (3 * 16, 1)


@pytest.mark.parametrize("parameter", ["act", "ptr", "spmat", "program", "n_codebooks"])
def test_a_network_that_does_not_fit_the_load_begins_another(parameter):
    """By any of the memories."""
    networks = {name: network_of(20, 30, 10, seed=seed) for seed, name in enumerate("abc")}
    roomy = compile_programs(networks, ROOMY)
    assert len(loads_of(roomy)) == 1
    memory = roomy["a"].report["memory"]
    words = {"act": sum(-(-rows // 16) for rows in (30, 10)) * 3 + 4,    # biases, widest layer
             "n_codebooks": 6, **{name: memory[instance]["words_used"] for name, instance in [
                 ("ptr", "ptr_even"), ("spmat", "spmat"), ("program", "program")]}}[parameter]
    for spare, expected in ((0, [["a", "b", "c"]]), (-1, [["a", "b"], ["c"]])):
        config = EIEConfig(**{
            **ROOMY.as_dict(),
            parameter if parameter == "n_codebooks" else f"{parameter}_depth": words + spare})
        assert loads_of(compile_programs(networks, config)) == expected


def test_a_single_network_has_the_images_of_its_own_compilation():
    network = network_of(20, 30, 10)
    (build,), alone = compile_programs({"a": network}, ROOMY).values(), \
        compile_network(network, ROOMY)
    assert build.images.keys() == alone.images.keys()
    assert all(np.array_equal(image, alone.images[name]) for name, image in build.images.items())
    assert build.report == alone.report and build.settings == alone.settings


def test_all_memories_that_are_too_small_are_named_with_the_network_that_needs_most():
    config = EIEConfig(n_pe=4, acc_depth=16, act_depth=9, spmat_depth=10)
    networks = {"small": network_of(4, 4), "wide": network_of(64, 40, density=0.5, seed=1),
                "tall": network_of(16, 100, density=0.3, seed=2)}
    messages = []
    for name in ("wide", "tall"):
        with pytest.raises(CompileError) as error:
            compile_network(networks[name], config)
        messages.append(str(error.value).split("; "))
    (wide_act, wide_spmat), (tall_act, tall_spmat) = messages
    assert re.match(r"activation SRAM must have 15 words \(7 of biases, 8 of .* 'fc1'\)", tall_act)
    assert wide_spmat.startswith("spmat SRAM must have 4")
    with pytest.raises(CompileError) as error:
        compile_programs(networks, config)
    assert sorted(str(error.value).split("; ")) == [
        f"network 'tall': {tall_act}", f"network 'wide': {wide_spmat}"]


def test_an_error_of_formats_names_the_network():
    with pytest.raises(CompileError, match="^network 'b': v_width must be 5, for which "):
        compile_programs({"a": network_of(4, 4), "b": network_of(4, 4, v_width=5)}, ROOMY)
