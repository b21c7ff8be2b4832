"""`eie_compiler.frontends.pytorch_export`: modules of any form, by ONNX in memory."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402

from eie_compiler.frontends import FrontEndError, FrontEndWarning  # noqa: E402
from eie_compiler.frontends.pytorch import from_torch  # noqa: E402
from eie_compiler.graph.evaluation import evaluate_real  # noqa: E402
from eie_compiler.graph.graph import Graph, Scan  # noqa: E402
from eie_compiler.model import Model  # noqa: E402


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        y = torch.relu(self.norm(self.one(x)))
        return self.fc((torch.relu(self.two(y)) + y).mean((2, 3)))


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(5, 7)
        self.gru = nn.GRU(7, 3, batch_first=True, bidirectional=True)

    def forward(self, x, state):
        y, state = self.rnn(x, state)
        return self.gru(y.transpose(0, 1))[0], *state


class Quantised(nn.Module):
    """Layers as the quantisation of exported programs (pt2e) leaves them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kernels", torch.randint(-127, 128, (3, 2, 3, 3)).to(torch.int8))
        self.register_buffer("scales", torch.tensor([0.01, 0.02, 0.03]))
        self.register_buffer("zeros", torch.zeros(3, dtype=torch.int64))
        self.bias = nn.Parameter(torch.randn(3))

    def forward(self, x):
        operations = torch.ops.quantized_decomposed
        limits = -128, 127, torch.int8
        for scale, zero in ((0.05, 3), (0.07, -128)):
            integers = operations.quantize_per_tensor(x, scale, zero, *limits)
            x = operations.dequantize_per_tensor(integers, scale, zero, *limits)
            if zero == 3:
                kernels = operations.dequantize_per_channel(self.kernels, self.scales, self.zeros,
                                                            0, *limits)
                x = torch.relu(nn.functional.conv2d(x, kernels, self.bias, padding=1))
        return x


def read(module, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrontEndWarning)
        return from_torch(module, arguments, **options)


def test_images_of_a_residual_network(capsys):
    torch.manual_seed(0)
    module, x = Residual(), torch.randn(2, 3, 8, 8)
    graph = read(module, x, fold_batch_norm=False)
    assert module.training
    assert capsys.readouterr() == ("", "")
    layers = [layer.name for node in graph.nodes if isinstance(node.computation, Model)
              for layer in node.computation.layers]
    assert layers == ["one", "two", "fc"]
    # Not folded, as neither PyTorch nor its exporter do so.
    assert [node.name for node in graph.nodes][1].startswith("norm.")
    expected = module.eval()(x).detach().numpy()
    found = evaluate_real(graph, {"x": x.numpy().astype(np.float64)})
    np.testing.assert_allclose(found[graph.outputs[0]], expected, atol=1e-5)


def test_recurrent_layers_of_both_conventions_and_their_states():
    torch.manual_seed(0)
    module, x = Cell(), torch.randn(3, 2, 5)
    state = torch.randn(1, 2, 7), torch.randn(1, 2, 7)
    graph = read(module, x, state)
    assert graph.inputs == {"x": (3, 5), "state_0": (1, 7), "state_1": (1, 7)}
    scans = [node.name for node in graph.nodes if isinstance(node.computation, Scan)]
    assert scans == ["rnn.lstm", "gru.gru.forward", "gru.gru.reverse"]
    found = evaluate_real(graph, {
        name: np.moveaxis(tensor.numpy().astype(np.float64), 1, 0)
        for name, tensor in zip(graph.inputs, (x, *state))})
    for name, axis, tensor in zip(graph.outputs, (0, 1, 1), module(x, state)):
        np.testing.assert_allclose(found[name], np.moveaxis(tensor.detach().numpy(), axis, 0),
                                   atol=1e-5)


def test_quantised_programs():
    pytest.importorskip("torch.ao.quantization.fx._decomposed")    # registers the operations
    torch.manual_seed(0)
    module, x = Quantised(), torch.randn(20, 2, 6, 6)
    graph = read(module, x)
    assert [type(node.computation).__name__ for node in graph.nodes] == [
        "Quantise", "Model", "Quantise", "Affine"]
    found = evaluate_real(graph, {"x": x.double().numpy()})[graph.outputs[0]]
    np.testing.assert_allclose(found, module(x).detach(), atol=1e-5)


def test_a_chain_is_a_model_with_the_names_of_its_layers():
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model = read(module, torch.ones(1, 4))
    chain = from_torch(module)
    assert isinstance(model, Model) and not isinstance(model, Graph)
    assert [(layer.name, layer.relu) for layer in model.layers] \
        == [(layer.name, layer.relu) for layer in chain.layers]
    np.testing.assert_allclose(model.layers[1].weight, chain.layers[1].weight)


def test_what_is_left_out_is_warned_of():
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    with pytest.warns(FrontEndWarning, match="^the results are those before the Softmax, "):
        from_torch(module, [torch.ones(1, 4)])


def test_what_cannot_be_traced_or_converted_is_refused():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(FrontEndError, match="^module must be one that torch.export can trace: "):
        read(Branch(), torch.ones(1, 4))
