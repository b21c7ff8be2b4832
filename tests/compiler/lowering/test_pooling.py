"""`eie_compiler.lowering.pooling`: the layer and the strips of a maximum pooling."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.operations import MaxPool
from eie_compiler.lowering.pooling import pool_stage
from eie_hdl.config import EIEConfig

CONFIG = EIEConfig(n_pe=4, loops=True, local=True, maximum=True)


@pytest.mark.parametrize("act_width", [8, 16])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("frac", [-3, 6, 20])
def test_the_bias_takes_away_what_is_added_to_activations(act_width, nonnegative, frac):
    config = dataclasses.replace(CONFIG, act_width=act_width)
    source, stage = pool_stage(config, "pool", MaxPool((2, 3), (2, 1)), (5, 6, 7), frac=frac,
                               nonnegative=nonnegative)
    assert stage.chosen.bias.tolist() == [-(1 << act_width - 1)] * 5
    assert stage.chosen.bias_shift == stage.chosen.shift == 0
    assert stage.layer.relu == nonnegative and stage.zeros == (not nonnegative)
    assert (source.frac, stage.layer.output_frac) == (frac, frac)
    np.testing.assert_array_equal(stage.layer.codes.toarray(), np.kron(np.eye(5), np.ones(6)))


@pytest.mark.parametrize("acc_depth, shape, strip", [
    (64, (4, 16, 16), 16),
    (64, (40, 16, 16), 4),     # ten channels in a PE: 40 results of a strip
    (4, (4, 16, 16), 4),       # as many results as accumulators
    (4, (20, 16, 16), 1),      # not even those of a pixel fit
    (64, (4, 16, 1), 8),       # kernels of whole rows: eight results in a row
])
def test_strips_are_long_if_that_needs_fewer_cycles(acc_depth, shape, strip):
    config = dataclasses.replace(CONFIG, acc_depth=acc_depth)
    _, stage = pool_stage(config, "pool", MaxPool((2, 1), (2, 1)), shape, frac=6,
                          nonnegative=True)
    assert stage.patches.loop == strip
