import numpy as np
import torch

from eie_compiler.training.changes import Binarise, Prune, Restore, Share
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


def test_uniform_sharing_is_at_even_distances():
    module = Module.new([40, 30], seed=5)
    before, = weights(module)
    Share(v_width=3, kmeans_init="exact", quantiser="uniform")(module)
    after, = weights(module)
    np.testing.assert_allclose(np.unique(after), np.linspace(before.min(), before.max(), 7),
                               rtol=1e-6)


def test_labels_can_be_updated_from_the_weights_before_sharing():
    shared = []
    for update_labels in (False, True):
        module = Module.new([40, 30], seed=5)
        Prune((0.3,))(module)
        before, = weights(module)
        Share(4, "exact", update_labels=update_labels)(module)
        shared += weights(module)
    np.testing.assert_array_equal(*shared)    # as long as nothing is trained
    np.testing.assert_array_equal(module.weights[0].matrix.detach(), before)


def test_a_layer_without_weights_is_shared():
    module = Module.new([4, 3], seed=5)
    module.weights[0].matrix.data.zero_()
    Share(2, "exact", update_labels=True)(module)
    assert not weights(module)[0].any()


def test_rows_have_scales_of_their_own_if_there_are_enough():
    module = Module.new([20, 6, 4], seed=6)
    Prune((0.5, 1.0))(module)
    before = weights(module)
    Binarise(n_scales=5)(module)
    after = weights(module)
    assert [weight.n_scales for weight in module.weights] == [5, 4]
    for one, other, n_scales in zip(before, after, (5, 4)):
        np.testing.assert_array_equal(np.sign(other), np.sign(one))
        assert len(np.unique(np.abs(other[other != 0]))) == n_scales
    rows = np.abs(before[1]).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(after[1]), np.broadcast_to(rows, (4, 6)), rtol=1e-6)


def test_rows_of_similar_magnitude_share_a_scale():
    module = Module.new([50, 4], seed=7)
    with torch.no_grad():
        module.weights[0].matrix *= torch.tensor([[1.0], [20.0], [1.1], [22.0]])
    Binarise(n_scales=2)(module)
    small, great, *others = np.abs(weights(module)[0]).max(axis=1)
    assert small < 0.1 * great and others == [small, great]
