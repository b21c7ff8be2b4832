import torch

from eie_compiler.graph.operations import Sign
from eie_compiler.training.straight_through import sign
from eie_compiler.training.torch_operations import TORCH_OPERATIONS


def test_the_gradient_of_a_sign_passes_from_minus_1_to_1():
    x = torch.tensor([[-1.5, -1.0, -0.2, 0.0, 0.3, 1.0, 1.1]], requires_grad=True)
    y = sign(x)
    assert y.tolist() == [[-1, -1, -1, 0, 1, 1, 1]]
    (3 * y).sum().backward()
    assert x.grad.tolist() == [[0, 3, 3, 3, 3, 3, 0]]


def test_graphs_are_trained_with_it():
    assert TORCH_OPERATIONS[Sign](Sign()) is sign
