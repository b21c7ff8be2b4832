import numpy as np
import pytest
import torch

from eie_compiler.graph.operations import (
    OPERATIONS,
    Affine,
    AveragePool,
    Clip,
    Concat,
    LeakyRelu,
    MaxPool,
    Mean,
    Multiply,
    Quantise,
    Reshape,
    Sign,
)
from eie_compiler.training.torch_operations import TORCH_OPERATIONS
from support.operations import CASES, IMAGE

#: Fields that change how an operation is computed.
VARIANTS = [
    (Affine(np.full((2, 1, 3, 1, 1), 1.5), -0.25), [IMAGE]), (Affine(np.float64(2) * 1, 1), [(3,)]),
    (LeakyRelu(np.array([[[0.1]], [[-0.5]], [[2.0]]])), [IMAGE]),
    (Clip(0.0, np.inf), [IMAGE]), (Clip(-np.inf, 0.5), [IMAGE]), (Clip(-1e300, 1e300), [IMAGE]),
    (MaxPool((3, 2), (2, 1), (2, 0, 1, 1)), [IMAGE]),
    (AveragePool((2, 3), (1, 2), (1, 0, 0, 2)), [IMAGE]),
    (AveragePool((3, 3), (1, 1), (1, 1, 2, 2), True, (2, 1)), [IMAGE]),
    (AveragePool((2, 2), (2, 2), count_padding=True), [IMAGE]),
    (Concat(1), [IMAGE]), (Mean((0, 2), True), [IMAGE]), (Multiply(), [(4,), (3, 1)]),
    (Reshape((48,)), [IMAGE])]

ALL = pytest.mark.parametrize("operation, shapes", CASES + VARIANTS,
                              ids=lambda case: type(case).__name__)


def operands(shapes, seed, batch):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, (batch, *shape)) for shape in shapes]


def test_each_operation_is_there():
    assert set(TORCH_OPERATIONS) == set(OPERATIONS.values())


@ALL
@pytest.mark.parametrize("batch", [1, 5])
def test_an_operation_computes_its_real_numbers(operation, shapes, batch):
    tensors = operands(shapes, 1, batch)
    found = TORCH_OPERATIONS[type(operation)](operation)(
        *(torch.tensor(tensor, dtype=torch.float32) for tensor in tensors))
    expected = operation.real(*tensors)
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@ALL
def test_gradients_are_those_of_finite_differences(operation, shapes):
    if isinstance(operation, (Quantise, Sign)):
        pytest.skip("the gradient is that of another function")
    # Nowhere near a kink.
    tensors = [torch.tensor(tensor, requires_grad=True) for tensor in operands(shapes, 2, 2)]
    assert torch.autograd.gradcheck(TORCH_OPERATIONS[type(operation)](operation), tensors)


def test_a_relu_at_zero_passes_no_gradient():
    x = torch.zeros(1, 2, requires_grad=True)
    TORCH_OPERATIONS[Clip](Clip(0.0, np.inf))(x).sum().backward()
    assert x.grad.tolist() == [[0, 0]]
