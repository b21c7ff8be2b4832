import numpy as np
import pytest
import torch

from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.training import TrainingError
from eie_compiler.training.changes import Prune, Share
from eie_compiler.training.module import Module, SharedWeight


def weights(module):
    return [weight().detach().numpy() for weight in module.weights]


def test_a_module_computes_what_its_model_does():
    module = Module.new([8, 16, 4], seed=1)
    module.biases[0].data.normal_(generator=torch.Generator().manual_seed(1))
    x = np.random.default_rng(52).normal(size=(10, 8)).astype(np.float32)
    outputs = module(torch.from_numpy(x)).detach().numpy()
    model = module.to_model()
    assert [layer.name for layer in model.layers] == ["fc1", "fc2"]
    assert [layer.relu for layer in model.layers] == [True, False]
    np.testing.assert_allclose(outputs, model(x), rtol=1e-5, atol=1e-5)
    again = Module.from_model(model)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_array_equal(outputs, again)


def test_weights_that_are_zero_in_a_model_are_pruned_already():
    weight = np.array([[1.0, 0, 2], [0, 0, 3]])
    module = Module.from_model(Model((ModelLayer("a", weight),)))
    assert module.density == 0.5
    module.weights[0].matrix.data += 1
    np.testing.assert_array_equal(weights(module)[0], [[2, 0, 3], [0, 0, 4]])


def test_inputs_are_preprocessed():
    rng = np.random.default_rng(53)
    model = Model((ModelLayer("a", rng.normal(size=(3, 4))),), preprocessing=Preprocessing(
        np.array([1e5, 0, -2, 3]), np.array([1, 20, -0.5, 1e-3])))
    x = rng.normal(model.preprocessing.offset, 1 / np.abs(model.preprocessing.scale), (10, 4))
    module = Module.from_model(model)
    outputs = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(outputs, model(x), rtol=1e-5, atol=1e-5)
    assert module.to_model().preprocessing is model.preprocessing


def test_a_convolution_is_refused():
    model = Model((ModelLayer("a", np.ones((1, 4))),), Patches((1, 3, 3), (2, 2)))
    message = ("^model to retrain must have fully connected layers only, not a convolution: "
               "compress it without retraining, or choose layers$")
    with pytest.raises(TrainingError, match=message):
        Module.from_model(model)


@pytest.mark.parametrize("sizes, message", [
    ([6, 0, 3], "layers must have at least 1 output, not 0"),
    ([6, 8, -4, 3], "layers must have at least 1 output, not -4"),
    ([6, 10 ** 11, 3], "layers must have at most 134,217,728 weights in all, not "
                       "900,000,000,000: choose smaller layers"),
])
def test_layers_without_outputs_or_of_too_many_weights_are_refused(sizes, message):
    with pytest.raises(TrainingError, match=f"^{message}$"):
        Module.new(sizes, seed=1)


def test_the_gradient_of_a_centroid_is_the_sum_of_its_members():
    module = Module.new([12, 10, 4], seed=4)
    Prune((0.5, 0.8))(module)
    Share(v_width=3, kmeans_init="linear")(module)
    x = torch.randn(20, 12, generator=torch.Generator().manual_seed(4))
    labels = torch.arange(20) % 4

    def loss(codebook, number):
        """Reference loss, without the tested layers."""
        values = x
        for layer, (weight, bias) in enumerate(zip(module.weights, module.biases)):
            book = codebook if layer == number else weight.codebook.detach()
            values = values @ book[weight.codes].T + bias.detach()
            values = values.relu() if layer == 0 else values
        return torch.nn.functional.cross_entropy(values, labels)

    torch.nn.functional.cross_entropy(module(x), labels).backward()
    for number, weight in enumerate(module.weights):
        book = weight.codebook.detach().requires_grad_()
        expected, = torch.autograd.grad(loss(book, number), book)
        assert weight.codebook.grad[0] == 0
        torch.testing.assert_close(weight.codebook.grad[1:], expected[1:])


def test_labels_follow_the_weights_to_the_nearest_value():
    matrix = torch.tensor([[-0.9, 0.2, 0.0], [0.6, 1.4, 0.0]])
    # The codebook is in no order, and training may have led it there.
    weight = SharedWeight(torch.tensor([0.0, 1.0, -1.0, 0.5]),
                          torch.tensor([[1, 1, 0], [1, 1, 0]]), matrix)
    factors = torch.tensor([[1.0, 2, 4], [8, 16, 32]])
    (weight() * factors).sum().backward()
    assert weight.codes.tolist() == [[2, 3, 0], [3, 1, 0]]
    assert weight.codebook.grad.tolist() == [0, 16, 1, 10]
    assert weight.matrix.grad.tolist() == [[1, 2, 0], [8, 16, 0]]    # straight through
    weight.matrix.data[0, 0] = 0.8
    assert weight().tolist() == [[1, 0.5, 0], [0.5, 1, 0]]
