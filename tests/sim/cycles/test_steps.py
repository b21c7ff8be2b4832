"""Inputs of the cycle model: against builds and, in local mode, the golden model."""

import numpy as np
import pytest

from eie_compiler.random_networks import random_network
from eie_sim.cycles.model import predict
from eie_sim.cycles.steps import build_steps, layer_steps
from eie_sim.golden.model import GoldenModel
from support.convolutions import LOCAL_CONFIGS, random_program


@pytest.mark.parametrize("build_and_words, n_tiles", [(16, 1), (4, 3)],
                         indirect=["build_and_words"])
def test_a_layer_without_images_is_the_same_program(build_and_words, n_tiles):
    build, words = build_and_words
    rng = np.random.default_rng(3)
    layer = random_network(rng, [30, 40], density=0.2).layers[0]
    steps = layer_steps(build.config, layer, "balanced", words)
    (expected,) = build_steps(build, words[np.newaxis])
    assert len(steps) == len(expected) == n_tiles + 1
    for step, other in zip(steps, expected):
        used = other.nonzero
        assert (step.rows, step.barrier) == (other.rows, other.barrier)
        assert np.array_equal(step.nonzero, used) or not step.words
        for name in ("entries", "padding", "begin"):
            where = other.entries[:, used] > 0
            assert np.array_equal(getattr(step, name)[:, used][where],
                                  getattr(other, name)[:, used][where])
    assert predict(build.config, steps)[0] == predict(build.config, expected)[0]


@pytest.mark.parametrize("name", LOCAL_CONFIGS)
@pytest.mark.parametrize("seed", range(4))
def test_local_columns_have_entries_in_their_own_pe_only(name, seed):
    program = random_program(LOCAL_CONFIGS[name], seed)
    config, build = program.config, program.build
    pointers = np.zeros((config.n_pe, config.n_pointers), np.int64)
    for number in range(config.n_pe):
        for parity, bank in enumerate(("even", "odd")):
            image = build.images[f"pe_{number}.ptr_{bank}"][:, 0]
            pointers[number, parity:2 * len(image):2] = image
    _, statistics = GoldenModel(config, build.images).run_counted(program.inputs, program.base)
    for steps, entries, paddings in zip(build_steps(build, program.inputs), statistics.entries,
                                        statistics.paddings):
        assert sum(step.entries @ step.times for step in steps).tolist() == entries.tolist()
        assert sum((step.padding @ step.times).sum() for step in steps) == paddings
        base = 0
        for step, is_local in zip(steps, program.local):
            assert step.loop.local == is_local
            columns = np.flatnonzero(step.nonzero.any(axis=0))
            slot, pe = np.divmod(columns, config.n_pe)
            if is_local:
                assert (step.begin[pe, columns] == pointers[pe, base + slot]).all()
                assert (step.entries[pe, columns]
                        == pointers[pe, base + slot + 1] - pointers[pe, base + slot]).all()
                others = pe != np.arange(config.n_pe)[:, np.newaxis]
                for values in (step.begin, step.entries, step.padding):
                    assert not values[:, columns][others].any()
            base += step.nonzero.shape[1] // (config.n_pe if is_local else 1)
