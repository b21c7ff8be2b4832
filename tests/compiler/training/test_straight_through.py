import torch

from eie_compiler.graph.operations import Quantise, Sign
from eie_compiler.training.straight_through import nearest, sign
from eie_compiler.training.torch_operations import TORCH_OPERATIONS


def test_the_gradient_of_a_sign_passes_from_minus_1_to_1():
    x = torch.tensor([[-1.5, -1.0, -0.2, 0.0, 0.3, 1.0, 1.1]], requires_grad=True)
    y = sign(x)
    assert y.tolist() == [[-1, -1, -1, 0, 1, 1, 1]]
    (3 * y).sum().backward()
    assert x.grad.tolist() == [[0, 3, 3, 3, 3, 3, 0]]


def test_graphs_are_trained_with_it():
    assert TORCH_OPERATIONS[Sign](Sign()) is sign


def test_the_gradient_of_integers_is_that_of_the_scaled_number_within_the_limits():
    x = torch.tensor([[-3.0, -1.1, -0.25, 0.25, 0.7, 0.75, 1.9]], requires_grad=True)
    y = TORCH_OPERATIONS[Quantise](Quantise(2.0, -2, 3))(x)
    assert y.tolist() == [[-2, -2, 0, 0, 1, 2, 3]]    # halves become even
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0, 2, 2, 2, 2, 0]]


def test_integers_are_exact():
    x = torch.linspace(-200, 200, 100_001)
    assert torch.equal(nearest(x), x.round())
