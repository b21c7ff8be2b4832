import re

import numpy as np
import pytest

from eie_compiler.compression.compress import densities
from eie_compiler.compression.prune import prune
from eie_compiler.errors import CompressError
from eie_compiler.training import TrainingError
from eie_compiler.training.module import Module
from eie_compiler.training.recipes import (
    binary_stage,
    dsd_stages,
    pruning_stages,
    sharing_stage,
)
from support.training_runs import OPTIONS, learn


def test_dsd_makes_weights_sparse_and_dense_again(data):
    stages = dsd_stages(2, 0.5, 2, **OPTIONS)
    _, records = learn(data, stages)
    assert [(record["stage"], record["density"]) for record in records if "test" in record] == [
        ("dense", 1), ("sparse", 0.5), ("dense again", 1)]


def test_the_control_of_dsd_differs_in_nothing_but_its_density(data):
    stages, control = dsd_stages(2, 0.5, 2, **OPTIONS), dsd_stages(2, 0.0, 2, **OPTIONS)
    assert [(stage.name, stage.epochs, stage.rate) for stage in stages] \
        == [(stage.name, stage.epochs, stage.rate) for stage in control]
    _, records = learn(data, control)
    assert {record["density"] for record in records} == {1}


def test_density_falls_by_the_same_factor_to_its_end():
    stages = pruning_stages(3, 1, (0.729, 1.0), balance=4, **OPTIONS)
    assert [stage.change.densities for stage in stages] == [
        pytest.approx((0.9, 1)), pytest.approx((0.81, 1)), (0.729, 1)]
    assert {stage.change.balance for stage in stages} == {4}


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_quality_leaves_the_same_in_however_many_steps(steps):
    module = Module.new([60, 50, 40], 9)
    model = module.to_model()
    for stage in pruning_stages(steps, 0, densities(model, quality=(1.5, 0.5)), **OPTIONS):
        stage.change(module)
    for after, before, quality in zip(module.to_model().layers, model.layers, (1.5, 0.5)):
        np.testing.assert_array_equal(after.weight, prune(before.weight, quality=quality).toarray())


@pytest.mark.parametrize("make, error, message", [
    (lambda: dsd_stages(1, 1.0, 2, **OPTIONS), TrainingError,
     "dsd must be a share from 0 to below 1, not 1.0"),
    (lambda: dsd_stages(1, float("nan"), 2, **OPTIONS), TrainingError,
     "dsd must be a share from 0 to below 1, not nan"),
    (lambda: pruning_stages(1, 1, (0.5, 2.0), **OPTIONS), CompressError,
     "density must be above 0 and at most 1, not 2.0"),
    (lambda: pruning_stages(1, 1, (0.5,), balance=0, **OPTIONS), CompressError,
     "balance must be a number of PEs, 1 or more, not 0"),
    (lambda: sharing_stage(1, v_width=4, kmeans_init="nowhere", rate=1e-2), CompressError,
     "kmeans_init must be exact, linear, density or random, not 'nowhere'"),
    (lambda: sharing_stage(1, v_width=4, quantiser="linear", kmeans_init="exact", rate=1e-2),
     CompressError, "quantiser must be kmeans or uniform, not 'linear'"),
    (lambda: sharing_stage(1, v_width=9, kmeans_init="exact", rate=1e-2), CompressError,
     "v_width must be an integer from 2 to 8, not 9"),
])
def test_impossible_stages_are_refused_before_any_training(make, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize("n_scales", [0, 128])
def test_scales_that_no_codebook_holds_are_refused(n_scales):
    with pytest.raises(TrainingError, match="^binary must be a number of scales from 1 to 127, not "
                                            f"{n_scales}$"):
        binary_stage(1, n_scales, rate=1e-3, dropout=0.0)
