import numpy as np
import torch

from eie_compiler.training.changes import Prune, Restore, Share
from eie_compiler.training.module import Module, SharedWeight


def weights(module):
    return [weight().detach().numpy() for weight in module.weights]


def test_pruning_reaches_density_and_balance():
    module = Module.new([64, 32, 16], seed=2)
    Prune((0.25, 0.5))(module)
    assert module.densities == [0.25, 0.5]
    assert all(weight.mask.is_contiguous() for weight in module.weights)
    Prune((0.04, 0.25), balance=4)(module)
    for kept, total in zip(module.kept, (0.04 * 2048, 0.25 * 512)):
        assert len({int(kept[pe::4].sum()) for pe in range(4)}) == 1
        assert abs(kept.sum() - total) <= 2


def test_restored_weights_start_at_zero_and_learn():
    module = Module.new([16, 8], seed=3)
    Prune((0.5,))(module)
    pruned, = weights(module)
    Restore()(module)
    assert module.density == 1
    np.testing.assert_array_equal(weights(module)[0], pruned)
    module(torch.ones(1, 16)).sum().backward()
    assert (module.weights[0].matrix.grad != 0).all()


def test_sharing_keeps_zeros_and_needs_no_more_values_than_it_may():
    module = Module.new([40, 30], seed=5)
    Prune((0.3,))(module)
    before, = weights(module)
    Share(v_width=4, kmeans_init="linear")(module)
    after, = weights(module)
    assert isinstance(module.weights[0], SharedWeight)
    np.testing.assert_array_equal(after == 0, before == 0)
    assert 8 < len(np.unique(after)) <= 16
    assert np.abs(after - before).max() < np.ptp(before) / 14
