import copy

import numpy as np
import pytest
import torch
from torch import nn

from eie_compiler.training.changes import Prune, Share
from eie_compiler.training.errors import TrainingError
from eie_compiler.training.loop import train
from eie_compiler.training.recipes import dense_stages
from eie_compiler.training.torch_module import TorchModule


class Recurrent(nn.Module):
    """Cell of a class, then a layer on its last result."""

    def __init__(self, cell, n_states, **options):
        super().__init__()
        self.cell = cell(2, n_states, batch_first=True, **options)
        size = options.get("proj_size", n_states) * (1 + options.get("bidirectional", False))
        self.fc = nn.Linear(size, 4)

    def forward(self, x):
        return self.fc(self.cell(x)[0][:, -1])


def convolutional():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(8, 4, bias=False))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("make, shape, matrices", [
    (convolutional, (2, 3, 4), {"0": (4, 18), "3": (4, 9), "5": (4, 8)}),
    (lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.Linear(6, 4)), (2, 4),
     {"0": (3, 6), "2": (4, 6)}),
    (lambda: nn.Linear(8, 4), (8,), {"weight": (4, 8)}),
    (lambda: Recurrent(nn.LSTM, 5, bidirectional=True), (4, 2),
     {"cell.l0": (20, 7), "cell.l0_reverse": (20, 7), "fc": (4, 10)}),
    (lambda: Recurrent(nn.LSTM, 5, proj_size=3), (4, 2),
     {"cell.l0": (20, 5), "cell.hr_l0": (3, 5), "fc": (4, 3)}),
    (lambda: Recurrent(nn.GRU, 3, num_layers=2), (4, 2),
     {"cell.l0": (9, 5), "cell.l1": (9, 6), "fc": (4, 3)}),
])
def test_all_weight_matrices_are_pruned_and_shared_in_place(make, shape, matrices):
    torch.manual_seed(3)
    module = make()
    wrapped = TorchModule(module, shape)
    assert {name: tuple(weight().shape)
            for name, weight in zip(wrapped.names, wrapped.weights)} == matrices
    assert (wrapped.n_inputs, wrapped.n_outputs) == (np.prod(shape), 4)
    x = torch.rand(3, wrapped.n_inputs)
    wrapped.eval()
    torch.testing.assert_close(wrapped(x), module(x.reshape(3, *shape)), rtol=1e-5, atol=1e-6)
    Prune((0.5,) * len(matrices))(wrapped)
    Share(v_width=2, kmeans_init="exact")(wrapped)
    expected = wrapped(x)
    released = wrapped.release()
    assert released is module and not module.training
    torch.testing.assert_close(module(x.reshape(3, *shape)), expected, rtol=1e-5, atol=1e-6)
    again = TorchModule(module, shape)
    assert all(abs(density - 0.5) < 0.1 for density in again.densities)
    assert all(len(torch.unique(weight())) <= 4 for weight in again.weights)


def test_all_parameters_train_and_pruned_weights_stay_zero(data):
    torch.manual_seed(4)
    module = convolutional()[:3].append(nn.Flatten()).append(nn.Linear(16, 4))
    before = copy.deepcopy(module)
    wrapped = TorchModule(module, (2, 2, 2))
    Prune((0.5, 0.5))(wrapped)
    records = train(wrapped, data, dense_stages(4, rate=1e-2, decay=0, dropout=0), seed=1,
                    batch=20)
    assert records[-1]["test"] < 0.5 * records[0]["validation"]
    wrapped.release()
    for name, old in before.named_parameters():
        assert not torch.equal(old, module.get_parameter(name)), name
    assert wrapped.densities == TorchModule(module, (2, 2, 2)).densities == [0.5, 0.5]
    assert module[1].num_batches_tracked == 4 * len(data.train) / 20


def test_layers_with_numbers_of_their_own_repeat_with_the_seed(data):
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        wrapped = TorchModule(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.3), nn.Linear(8, 4)),
                              (8,))
        train(wrapped, data, dense_stages(1, rate=1e-2, decay=0, dropout=0), seed=2)
        results.append(wrapped.release()[0].weight)
        torch.rand(1)
    assert torch.equal(*results)


def test_what_does_not_fit_is_refused(data):
    with pytest.raises(TrainingError, match="^module must have Linear, Conv1d, Conv2d, LSTM, GRU "
                       "or RNN layers to train, but ReLU has none$"):
        TorchModule(nn.ReLU(), (8,))
    wrapped = TorchModule(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4)), (8,))
    with pytest.raises(TrainingError, match="^dropout must be 0 for a PyTorch module, not 0.5: "
                       "give the module Dropout layers of its own$"):
        train(wrapped, data, dense_stages(1, rate=1e-2, decay=0, dropout=0.5))
