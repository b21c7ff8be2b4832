import numpy as np
import pytest
import torch

from eie_compiler.training.binary_weight import BinaryWeight
from eie_compiler.training.recipes import binary_stage, pruning_stages
from support.training_runs import OPTIONS, bits, learn

MATRIX = torch.tensor([[0.5, -0.3, 0.1], [-2.0, 4.0, 0.0], [-0.7, 0.2, 0.9]])
MASK = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])


def test_weights_are_signs_times_the_mean_magnitude_of_the_rows_of_a_group():
    weight = BinaryWeight(MATRIX, MASK, torch.tensor([0, 1, 0]))
    assert weight.n_scales == 2
    scale = (0.5 + 0.3 + 0.1 + 0.7 + 0.2 + 0.9) / 6
    found = weight().detach().numpy()
    np.testing.assert_allclose(found, [[scale, -scale, scale], [-3, 3, 0], [-scale, scale, scale]],
                               rtol=1e-6)
    assert len(np.unique(np.abs(found))) == 3    # both rows have the same bits


def test_gradients_reach_signs_and_scales():
    weight = BinaryWeight(MATRIX, MASK, torch.tensor([0, 1, 0]))
    factors = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    (weight() * factors).sum().backward()
    signs = MATRIX.sign()
    scale, total = 2.7 / 6, (signs * factors)[[0, 2]].sum() / 6
    expected = factors * scale + signs * total
    expected[1] = signs[1] * (-4 + 5) / 2    # beyond magnitude 1 only the scale learns
    np.testing.assert_allclose(weight.matrix.grad, expected * MASK, rtol=1e-5)


def test_a_row_without_weights_stays_zero():
    weight = BinaryWeight(MATRIX, MASK & torch.tensor([[False], [True], [True]]),
                          torch.tensor([0, 1, 2]))
    assert weight()[0].abs().max() == 0
    assert torch.isfinite(weight()).all()


def test_binary_weights_learn_and_a_stopped_run_resumes(data, tmp_path):
    stages = [*pruning_stages(1, 3, (0.9, 1), **OPTIONS),
              binary_stage(6, 3, rate=1e-2, dropout=0.2)]
    whole, records = learn(data, stages)
    assert records[-1]["test"] < 0.2
    assert [record.get("scales") for record in records] == [None] * 4 + [[3, 3]] * 7
    for kept, layer in zip(whole.kept, whole.to_model().layers):
        assert len(np.unique(np.abs(layer.weight[kept]))) <= 3
        assert not layer.weight[~kept].any()

    def stop(record):
        if (record["stage"], record["epoch"]) == ("binary", 4):
            raise InterruptedError

    path = tmp_path / "checkpoint.npz"
    with pytest.raises(InterruptedError):
        learn(data, stages, checkpoint=path, on_epoch=stop)
    resumed, _ = learn(data, stages, checkpoint=path, resume=True)
    assert bits(resumed) == bits(whole)
