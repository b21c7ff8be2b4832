"""Modules of PyTorch, traced by `eie_compiler.frontends.pytorch_graph`, and state dicts."""

import re
import warnings

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError
from eie_compiler.patches import Patches

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.nn.utils import prune, weight_norm  # noqa: E402

from eie_compiler.frontends.pytorch import from_state_dict, from_torch  # noqa: E402

#: State dicts are read with assumptions; that they are stated has tests of its own.
pytestmark = pytest.mark.filterwarnings("ignore::eie_compiler.frontends.FrontEndWarning")


@pytest.fixture(autouse=True)
def seed():
    """Random numbers from a fixed seed."""
    torch.manual_seed(0)


def trained(module):
    """Give a module statistics as after training, and put it into inference mode."""
    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            if layer.affine:
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
    return module.eval()


def check(module, *shape, image=None):
    """Check that the model read computes what the module computes, also in training mode."""
    x = torch.randn(4, *shape)
    expected = trained(module)(x).detach().numpy()
    model = from_torch(module.train(), image=image)
    if model.patches is None:
        got = model(x.numpy().reshape(4, -1))
    else:
        got = model.patches.join(model(model.patches.cut(x.numpy().reshape(4, *image))))
    np.testing.assert_allclose(got.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    return model


class Perceptron(nn.Module):
    """Layers registered in another order than computed."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.body = nn.Sequential(nn.Linear(12, 8), nn.Identity())
        self.register_buffer("mean", torch.randn(12))
        self.scale = nn.Parameter(torch.randn(1))

    def forward(self, x):
        x = (x.view(x.size(0), -1) - self.mean) / 0.3
        x = functional.dropout(functional.relu(self.body(x)), training=self.training)
        return 2 - self.scale * self.head(x)


@pytest.mark.parametrize("module, shape", [
    (nn.Linear(5, 3), (5,)),
    (nn.Sequential(nn.Flatten(), nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Dropout(),
                   nn.Sequential(nn.Linear(4, 4), nn.Identity(), nn.ReLU()), nn.Linear(4, 2)),
     (2, 3)),
    (nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4), nn.BatchNorm1d(4, affine=False), nn.ReLU(),
                   nn.BatchNorm1d(4), nn.Linear(4, 2)), (6,)),
    (Perceptron(), (3, 4)),
])
def test_linear_layers_compute_what_they_did(module, shape):
    check(module, *shape)


def test_names_of_layers_are_those_of_the_modules():
    model = from_torch(Perceptron())
    assert [(layer.name, layer.relu) for layer in model.layers] == [("body.0", True),
                                                                    ("head", False)]


class Images(nn.Module):
    """Convolution and 1 × 1 convolution, with functions between."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(2, 1), dilation=2, groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.pixel = nn.Conv2d(6, 5, 1)

    def forward(self, x):
        return self.pixel(torch.relu(self.norm(self.wide(x)))).relu()


@pytest.mark.parametrize("module, image", [
    (Images(), (4, 7, 8)),
    (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding="valid")), (2, 6, 5)),
    (nn.Conv2d(2, 3, 4, padding="same"), (2, 6, 5)),
    (nn.Sequential(nn.Conv2d(2, 3, (4, 5), bias=False), nn.Flatten(), nn.Linear(3, 2)), (2, 4, 5)),
])
def test_convolutions_compute_what_they_did(module, image):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
        assert check(module, *image, image=image).patches.shape == image


def test_a_convolution_of_one_dimension_has_images_of_one_row():
    module = nn.Sequential(nn.Conv1d(3, 4, 5, stride=2, padding=1), nn.BatchNorm1d(4), nn.ReLU(),
                           nn.Conv1d(4, 2, 1))
    model = check(module, 3, 20, image=(3, 1, 20))
    assert model.patches == Patches((3, 1, 20), (1, 5), (1, 2), padding=(0, 1, 0, 1))


def test_a_normalisation_before_a_convolution_of_one_dimension_is_along_its_channels():
    check(nn.Sequential(nn.BatchNorm1d(3), nn.Conv1d(3, 2, 5)), 3, 20, image=(3, 1, 20))


def test_pruned_modules_are_read_as_they_compute():
    module = nn.Linear(20, 10)
    prune.l1_unstructured(module, "weight", amount=0.8)
    layer, = check(module, 20).layers
    assert np.count_nonzero(layer.weight) == 40


@pytest.mark.parametrize("reparametrise", [
    lambda layer: prune.l1_unstructured(layer, "weight", amount=0.5), weight_norm])
def test_weights_are_those_of_the_next_inference_not_of_the_last(reparametrise):
    layer = nn.Linear(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # weight_norm is deprecated
        reparametrise(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2)
    got = from_torch(layer)(np.eye(4))    # before the module runs again
    np.testing.assert_allclose(got, layer(torch.eye(4)).detach().numpy(), rtol=1e-4, atol=1e-5)


class Switch(nn.Module):
    """Different computation in training; uses of sizes and keywords."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.drop = nn.Dropout()

    def forward(self, x):
        y = self.fc(input=self.drop(x).reshape(shape=(x.shape[0] * x.size(1), -1)))
        return y if self.training else functional.relu(input=3 * y, inplace=True)


def test_a_module_in_training_is_read_for_inference_and_stays_in_training():
    module = Switch()
    x = torch.randn(5, 1, 4)
    got = from_torch(module.train())(x.numpy()[:, 0])
    assert all(part.training for part in module.modules())
    module.drop.training = False
    from_torch(module)
    assert module.training and not module.drop.training
    np.testing.assert_allclose(got, module.eval()(x).detach().numpy(), rtol=1e-4, atol=1e-5)


class Function(nn.Module):
    """Linear layer before a function."""

    def __init__(self, function):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.function = function

    def forward(self, x):
        return self.function(self.fc(x))


class Throws(Function):
    """In-place ReLU with a discarded result."""

    def __init__(self):
        super().__init__(None)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.fc(x)
        self.relu(y)
        return y


class Weight(Function):
    """Result independent of the input."""

    def __init__(self):
        super().__init__(None)

    def forward(self, x):
        return self.fc.weight.view(4, -1)


class QuantisedLinear(nn.Linear):
    """Layer with rounded weights, as in torch.ao.nn.qat."""

    __module__ = "torch.ao.nn.qat.modules.linear"

    def forward(self, x):
        return functional.linear(x, self.weight.round(), self.bias)


def hooked(layer, before=False):
    """Make a layer with a hook that changes its result."""
    if before:
        layer.register_forward_pre_hook(lambda layer, inputs: inputs)
    else:
        layer.register_forward_hook(lambda layer, inputs, output: 2 * output)
    return layer


def replaced(layer):
    """Make a layer whose forward differs from its class."""
    layer.forward = lambda x: 2 * x
    return layer


UNUSED = ("result must be used later, not discarded, and the input not be modified in place; "
          "pass a part of the module")


@pytest.mark.parametrize("module, message", [
    (nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Tanh())),
     "module '1.0': module must be one of Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, "
     "Flatten, Identity, Dropout, Dropout1d, Dropout2d, not Tanh; pass a part of the module, such "
     "as module.classifier, or example inputs, (x,), with which the whole is read as a graph"),
    (Function(lambda x: (nn.functional.relu(x, True), x)[1]), f"function relu: {UNUSED}"),
    (Function(lambda x: (x.relu_(), x)[1]), f"function relu_: {UNUSED}"),
    (Function(lambda x: (x + 1, x)[1]), f"function add: {UNUSED}"),
    (Throws(), f"module 'relu': {UNUSED}"),
    (hooked(nn.Linear(4, 4)), "module '0': forward must be that of Linear, with no hooks but those "
     "of pruning and weight_norm: remove others, or run a lazy module once; "),
    (hooked(nn.Linear(4, 4), before=True), "module '0': forward must be that of Linear, "),
    (replaced(nn.Linear(4, 4)), "module '0': forward must be that of Linear, "),
    (QuantisedLinear(4, 4), "module '0': forward must be that of Linear, "),
    (nn.LazyLinear(4), "module '0': forward must be that of Linear, "),
    (nn.Linear(4, 4, device="meta"), "module '0': weight must be a tensor with data, of type "
                                     "torch.float32, "),
    (Function(lambda x: x * 1j), "function mul: constant must be a number or a tensor, not 1j"),
    (Function(lambda x: x / x.size(1)),
     "function truediv: constant must be a number or a tensor, not size"),
    (Function(functional.dropout),
     "function dropout: training must be self.training, which is false in inference"),
    (Weight(), "function view: must be computed from one input and constants; "),
    (Function(lambda x: x.view()), "function view: must be (x.size(0), -1) or (-1, N), not ()"),
    (Function(torch.sin), "function sin: function must be one of relu, flatten, view, reshape, "
     "dropout and the four operations with a constant; pass"),
    (Function(lambda x: x + x), "function add: must be computed from one input and constants; "),
    (Function(lambda x: (x, x)), "output: must be computed from one input and constants; "),
    (Function(lambda x: x if x.sum() > 0 else -x), "module must be one that torch.fx can trace: "),
    (Function(torch.flatten), "function flatten: start_dim must be 1, the first after the batch, "
                              "not 0"),
    (Function(lambda x: x.reshape(2, 2, -1)),
     "function reshape: must be (x.size(0), -1) or (-1, N), not (2, 2, -1)"),
    (Function(lambda x: x.view(2, -1)),
     "function view: must be (x.size(0), -1) or (-1, N), not (2, -1)"),
    (Function(lambda x: x.view(-1, 2)), "function view: shape must not join or split vectors of "
                                        "4 numbers"),
    (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
     "module '1': track_running_stats must be true: inference needs the statistics"),
    (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"),
     "module '0': padding_mode must be zeros, not circular"),
    (nn.Conv2d(1, 1, 3), "module '0': shape of the image must be known: give image="),
    (nn.Sequential(nn.Flatten(0), nn.Linear(4, 4)), "module '0': start_dim must be 1"),
    (nn.Sequential(nn.Flatten(1, 2), nn.Linear(4, 4)), "module '0': end_dim must be -1, the last, "
     "not 2"),
])
def test_other_modules_are_refused(module, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}"):
        from_torch(module)


MODULE = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def test_layers_of_a_state_dict_can_be_chosen():
    state = {"embed.weight": torch.zeros(5, dtype=torch.int8), "b.weight": torch.ones(2, 3),
             "a.weight": torch.full((3, 4), 0.5, dtype=torch.bfloat16), "a.bias": torch.ones(3)}
    model = from_state_dict(state, layers=["a", "b"], relu=True, ignore=["embed"])
    assert [(layer.name, layer.relu) for layer in model.layers] == [("a", True), ("b", True)]
    np.testing.assert_array_equal(model(np.ones((1, 4))), [[9, 9]])


def test_convolutions_of_a_state_dict_have_stride_one():
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1))
    model = from_state_dict(module.state_dict(), image=(2, 5, 6))
    x = torch.randn(3, 2, 5, 6)
    np.testing.assert_allclose(model.patches.join(model(model.patches.cut(x.numpy()))),
                               module(x).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("state, message", [
    *(({"a.weight": tensor}, "layer 'a': a.weight must be a tensor with data, of type "
                             "torch.float32, torch.float64, torch.float16, torch.bfloat16, not "
                             f"{what}: save the model in floating point, before any "
                             "quantisation")
      for tensor, what in (
          ([1.0], "list"),
          (torch.ones(2, 2, dtype=torch.int8), "torch.int8 (torch.strided, cpu)"),
          (torch.empty(2, 2, device="meta"), "torch.float32 (torch.strided, meta)"),
          *((torch.zeros(2, 2, dtype=torch.uint8).view(dtype), f"{dtype} (torch.strided, cpu)")
            for dtype in (torch.float8_e4m3fn, torch.float4_e2m1fn_x2)))),
    ({"a.weight": torch.ones(1).expand(1 << 30, 1 << 30)},
     "layer 'a': a.weight: numbers used repeatedly must be at most 16777216, not "
     "1152921504606846975: share fewer weights between layers"),
    ({}, "arrays must be named NAME.weight and NAME.bias; there are none"),
])
def test_other_state_dicts_are_refused(state, message):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        from_state_dict(state)


def test_tensors_may_share_numbers_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("eie_compiler.frontends.common._MAX_REPEATED", 8)
    state = {f"{number}.weight": MODULE[2].weight[:2, :2] for number in range(5)}
    assert len(from_state_dict(state).layers) == 5    # 20 of 12 numbers
    with pytest.raises(FrontEndError, match="^layer '5': 5.weight: numbers used repeatedly must "
                                            "be at most 8, not 12: share fewer"):
        from_state_dict(state | {"5.weight": state["0.weight"]})
