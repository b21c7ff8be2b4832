import pytest
import torch
from torch import nn

from eie_compiler.training.batch_norms import fold_batch_norms
from eie_compiler.training.errors import TrainingError


def moved(module, shape):
    """Move the averages of the normalisations away from 0 and 1, and set random scales."""
    torch.manual_seed(11)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -1, 1)
    for _ in range(3):
        module(torch.rand(16, *shape))
    return module.eval()


def norms(module):
    return [name for name, part in module.named_modules() if "BatchNorm" in type(part).__name__]


@pytest.mark.parametrize("make, shape, folded, left", [
    (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
                           nn.Conv2d(4, 6, 1, groups=2), nn.BatchNorm2d(6, affine=False),
                           nn.Flatten(), nn.Linear(24, 5), nn.BatchNorm1d(5)), (2, 4, 4),
     ["1", "4", "7"], []),
    (lambda: nn.Sequential(nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)), nn.ReLU()),
     (2, 5), ["0.1"], []),
    # After a ReLU, on the input, and without averages.
    (lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.ReLU(), nn.BatchNorm1d(3)), (3,),
     [], ["0", "3"]),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)), (3,),
     [], ["1"]),
])
def test_normalisations_after_layers_are_folded(make, shape, folded, left):
    module = moved(make(), shape)
    x = torch.rand(5, *shape)
    expected = module(x)
    assert fold_batch_norms(module, shape) == folded
    assert norms(module) == left
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-4)


class Twice(nn.Module):
    """Uses the result of a layer, or the layer itself, twice."""

    def __init__(self, layer_twice):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.layer_twice = layer_twice

    def forward(self, x):
        result = self.layer(x)
        return self.norm(result) + (self.layer(result) if self.layer_twice else result)


def test_a_layer_that_is_used_twice_stays():
    module = moved(Twice(True), (3,))
    assert fold_batch_norms(module, (3,)) == []
    assert norms(module) == ["norm"]


def test_a_result_that_is_used_twice_is_refused():
    module = moved(Twice(False), (3,))
    x = torch.rand(2, 3)
    expected = module(x)
    with pytest.raises(TrainingError, match="^results of a layer before a batch normalisation must "
                       r"be used by it alone, but to fold norm changes outputs by [0-9.]+: fold"):
        fold_batch_norms(module, (3,))
    assert torch.equal(module(x), expected)
