"""Every tensor of a file is used, or left out by name; what is assumed is stated."""

import re

import numpy as np
import pytest
import scipy.sparse as sp

from eie_compiler.frontends import FrontEndError, FrontEndWarning
from eie_compiler.frontends.arrays import from_arrays
from eie_compiler.frontends.tensors import mask_values

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from eie_compiler.frontends.pytorch import from_state_dict  # noqa: E402


@pytest.fixture(autouse=True)
def seed():
    """Random numbers from a fixed seed."""
    torch.manual_seed(0)


def state_of(**layers):
    """State dict of named modules."""
    module = nn.Module()
    for name, layer in layers.items():
        module.add_module(name, layer)
    return module.state_dict()


def check(state, module, **options):
    """Check that the layers 0 and 2 of a state dict compute what the module does."""
    x = torch.randn(5, 8)
    model = from_state_dict(state, layers=["0", "2"], relu=[True, False], **options)
    np.testing.assert_allclose(model(x.double().numpy()), module(x).detach().numpy(), rtol=1e-4,
                               atol=1e-5)
    return model


def pruned():
    """Perceptron with half of the weights of its layers pruned, and biases of the second."""
    module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    for layer in (module[0], module[2]):
        prune.l1_unstructured(layer, "weight", 0.5)
    prune.l1_unstructured(module[2], "bias", 1)
    return module


def test_pruned_weights_and_biases_are_multiplied_with_their_masks():
    module = pruned()
    layers = check(module.state_dict(), module).layers
    assert [np.count_nonzero(layer.weight) for layer in layers] == [24, 9]
    assert np.count_nonzero(layers[1].bias) == 2


def test_masks_of_parametrisations_are_applied():
    module = pruned()
    renamed = {re.sub(r"(weight|bias)_orig", r"parametrizations.\1.original",
                      re.sub(r"(weight|bias)_mask", r"parametrizations.\1.0.mask", key)): value
               for key, value in module.state_dict().items()}
    check(renamed, module)


@pytest.mark.parametrize("name", ["{}.mask", "{}.weight_mask", "{}.weight.mask"])
@pytest.mark.parametrize("kind", [torch.float32, torch.bool, torch.uint8, torch.int64])
def test_masks_in_buffers_are_applied_and_named(name, kind):
    module = pruned()
    state = {}
    for number in ("0", "2"):
        layer = module[int(number)]
        state |= {f"{number}.weight": layer.weight_orig, f"{number}.bias": layer.bias,
                  name.format(number): layer.weight_mask.to(kind)}
    with pytest.warns(FrontEndWarning) as caught:
        check(state, module)
    assert [str(warning.message) for warning in caught] == [
        f"{number}.weight was assumed to be 0 where {name.format(number)} is 0"
        for number in ("0", "2")]


#: PyTorch warns once that it checks no indices; they are checked here.
UNCHECKED = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")


@UNCHECKED
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_sparse_tensors_are_read_as_sparse_matrices(layout):
    module = pruned()
    for layer in (module[0], module[2]):
        prune.remove(layer, "weight")
    prune.remove(module[2], "bias")
    state = {key: value.to_sparse(layout=layout) if value.ndim == 2 else value
             for key, value in module.state_dict().items()}
    state["2.bias"] = state["2.bias"].to_sparse()
    layers = check(state, module).layers
    assert [layer.weight.nnz for layer in layers] == [24, 9]


@UNCHECKED
def test_sparse_tensors_do_not_expand_without_end():
    wide = torch.sparse_coo_tensor([[0], [0]], [1.0], (2, 1 << 40))
    with pytest.raises(FrontEndError, match="a.weight: shape must be two integers from 1 to "):
        from_state_dict({"a.weight": wide})
    kernels = torch.sparse_coo_tensor([[0]] * 4, [1.0], (2, 2, 1 << 20, 1 << 20))
    with pytest.raises(FrontEndError, match="a.weight: numbers used repeatedly must be at most "):
        from_state_dict({"a.weight": kernels})


@UNCHECKED
@pytest.mark.parametrize("tensor, message", [
    (lambda: torch.sparse_coo_tensor([[5], [0]], [1.0], (2, 2), check_invariants=False),
     "must be a sparse matrix in format coo: "),
    (lambda: torch.sparse_coo_tensor([[0], [-1]], [1.0], (2, 2), check_invariants=False),
     "must be a sparse matrix in format coo: "),
    (lambda: torch.sparse_coo_tensor([[0], [0], [1 << 40]], [1.0], (2, 2, 3),
                                     check_invariants=False), "indices must lie in the shape: "),
    (lambda: torch.sparse_csr_tensor([0, 1, 9], [0, 1], [1.0, 1.0], (2, 2),
                                     check_invariants=False),
     "must be a sparse matrix in format csr: "),
    (lambda: torch.sparse_coo_tensor([[0]], [[1.0, 1.0]], (2, 2)),
     "sparse tensor must have no dense dimensions or blocks: to_dense() converts it"),
])
def test_sparse_tensors_that_cannot_be_are_refused(tensor, message):
    with pytest.raises(FrontEndError, match=f"^layer 'a': a.weight: {re.escape(message)}"):
        from_state_dict({"a.weight": tensor()})


@pytest.mark.parametrize("mask, message", [
    (np.ones((3, 2)), "mask must be zeros and ones of shape (2, 3), not float64 of shape (3, 2)"),
    (np.full((2, 3), 0.5), "mask must be zeros and ones of shape (2, 3), not float64 of shape "
                           "(2, 3)"),
    (np.eye(2, 3) == 0, "mask must be 1 where a weight is kept, but it keeps only zeros: invert "
                        "it"),
])
@pytest.mark.parametrize("kind", [np.asarray, sp.csc_array])
def test_masks_that_cannot_be_are_refused(mask, message, kind):
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        mask_values(kind(np.eye(2, 3)), kind(mask.astype(float)))


FIT = "; or leave them out with ignore=NAMES, if they do not change the results"


REPARAMETRISED = ("(reparametrised weights: save them after remove_weight_norm or "
                  "remove_spectral_norm of torch.nn.utils, or parametrize.remove_parametrizations)")


@pytest.mark.parametrize("between, message", [
    (nn.BatchNorm1d(4), "between.weight, between.bias, between.running_mean, between.running_var, "
     "between.num_batches_tracked (batch normalisation, whose epsilon is not here: export the "
     "model to ONNX, or pass the module to from_torch)"),
    (nn.PReLU(), "between.weight (of no linear layer or convolution, but possibly of a "),
    (nn.LayerNorm(4), "between.weight, between.bias (of no linear layer or convolution, but "),
    (nn.LayerNorm((2, 4)), "between.weight, between.bias (of no linear layer or convolution, but "),
    (nn.GRU(4, 4), "between.weight_ih_l0, between.weight_hh_l0, between.bias_ih_l0, "
     "between.bias_hh_l0 (a recurrent layer, which is no chain: export the model to ONNX "
     "(torch.onnx.export), which is read as a graph)"),
    (nn.utils.parametrizations.weight_norm(nn.Linear(4, 4, bias=False)),
     "between.parametrizations.weight.original0, between.parametrizations.weight.original1 "
     f"{REPARAMETRISED}"),
    (nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)),
     "between.bias, between.parametrizations.weight.original, "
     "between.parametrizations.weight.0._u, between.parametrizations.weight.0._v "
     f"{REPARAMETRISED}"),
    (nn.utils.spectral_norm(nn.Linear(4, 4, bias=False)),
     f"between.weight_orig, between.weight_u, between.weight_v {REPARAMETRISED}"),
    (nn.ParameterDict({"kernel": torch.ones(4, 4), "bias": torch.ones(4)}),
     "between.bias, between.kernel (a kernel of Keras or Flax, n_in × n_out: store its transpose "
     "as NAME.weight)"),
])
@pytest.mark.parametrize("layers", [None, ["fc1", "fc2"]])
def test_tensors_of_other_operations_are_refused_or_ignored_by_name(between, message, layers):
    state = state_of(fc1=nn.Linear(8, 4), between=between, fc2=nn.Linear(4, 2))
    match = re.escape(f"arrays must be named NAME.weight and NAME.bias, not {message}")
    with pytest.raises(FrontEndError, match=f"^{match}.*{FIT}$"):
        from_state_dict(state, layers=layers)
    with pytest.warns(FrontEndWarning) as caught:
        model = from_state_dict(state, layers=layers, ignore=["between"])
    ignored = [key for key in state if key.startswith("between.")]
    assert str(caught[0].message) == f"ignored: {', '.join(ignored)}"
    assert model.notes == tuple(str(warning.message) for warning in caught)
    assert [layer.name for layer in model.layers] == ["fc1", "fc2"]


def test_layers_that_are_not_taken_are_named():
    state = state_of(features=nn.Linear(5, 5), fc1=nn.Linear(8, 4), fc2=nn.Linear(4, 2))
    with pytest.warns(FrontEndWarning, match="^layers not taken: features$"):
        from_state_dict(state, layers=["fc1", "fc2"], relu=True)


def test_names_to_ignore_must_be_there():
    with pytest.raises(FrontEndError, match="^ignore must be a tensor or a module of the file, "
                                            "such as fc1.weight, fc1.bias, not fc$"):
        from_state_dict(state_of(fc1=nn.Linear(8, 4)), ignore=["fc"])


def test_what_a_state_dict_does_not_contain_is_stated():
    state = state_of(fc1=nn.Linear(8, 8), fc2=nn.Linear(8, 4), fc3=nn.Linear(4, 8))
    chain = "fc1 (ReLU) -> fc2 (ReLU) -> fc3"
    relu = (f"a ReLU after every layer but the last was assumed: {chain}; state what is true with "
            "relu=BOOLS, one for all layers or one for each")
    order = (f"the order of the keys was assumed, each layer on the results of the one before: "
             f"{chain}; a state dict does not contain the order, nor functions and connections "
             "between layers, such as one around fc1 to fc1 (as many inputs as outputs): state the "
             "order with layers=NAMES, or export the model to ONNX")
    names = ["fc1", "fc2", "fc3"]
    for options, notes in (({}, (relu, order)), ({"layers": names}, (relu,)),
                           ({"relu": [True, True, False]}, (order,)),
                           ({"layers": names, "relu": False}, ())):
        if notes:
            with pytest.warns(FrontEndWarning) as caught:
                model = from_state_dict(state, **options)
            assert tuple(str(warning.message) for warning in caught) == notes
        else:
            model = from_state_dict(state, **options)
        assert model.notes == notes
    with pytest.warns(FrontEndWarning, match="functions and connections between layers: state"):
        from_state_dict(state_of(fc1=nn.Linear(8, 6), fc2=nn.Linear(6, 4)), relu=False)


@pytest.mark.parametrize("name", ["downsample", "block_shortcut", "skip1", "residual", "q_proj",
                                  "lora_A", "self_attn", "router", "aux_head", "ema", "embedding"])
def test_names_of_layers_beside_others_are_refused_unless_chosen(name):
    state = state_of(fc1=nn.Linear(4, 4), **{name: nn.Linear(4, 4)})
    with pytest.raises(FrontEndError, match=(
            f"^layers must follow one another, but by their names {name} may lie beside others, "
            "and a state dict does not say how they are connected: export the model to ONNX, or "
            "name the layers of a chain in order of computation with layers=NAMES$")):
        from_state_dict(state)
    assert len(from_state_dict(state, layers=["fc1", name], relu=True).layers) == 2


@pytest.mark.parametrize("names, beside", [
    (["policy.0", "policy.2", "values.0", "values.2"], "policy.0, values.0"),
    (["0", "2", "average.0", "average.2"], "0, average.0"),
    (["net.left.fc", "net.right.fc"], "net.left.fc, net.right.fc"),
])
def test_modules_of_equal_layers_are_not_silently_a_chain(names, beside):
    state = {f"{name}.weight": torch.randn(4, 4) for name in names}
    with pytest.raises(FrontEndError, match=(
            f"^layers must follow one another, but by their names {beside} may lie beside ")):
        from_state_dict(state)
    assert len(from_state_dict(state, layers=names, relu=True).layers) == len(names)


@pytest.mark.parametrize("names", [["block1.fc", "block2.fc"], ["layers.0.fc", "layers.1.fc"],
                                   ["encoder.0", "decoder.2"], ["hidden", "middle"]])
def test_modules_that_differ_by_numbers_or_in_their_layers_are_a_chain(names):
    state = {f"{name}.weight": torch.randn(4, 4) for name in names}
    with pytest.warns(FrontEndWarning, match="^the order of the keys was assumed"):
        assert [layer.name for layer in from_state_dict(state, relu=True).layers] == names


def test_the_geometry_that_a_state_dict_does_not_contain_is_stated():
    state = nn.ConvTranspose2d(3, 3, 2).state_dict()
    with pytest.warns(FrontEndWarning, match=(
            "^the convolution fc was assumed to have stride 1, no padding, and no transposition")):
        model = from_state_dict({f"fc.{key}": value for key, value in state.items()},
                                layers=["fc"], relu=True, image=(3, 5, 5))
    assert len(model.notes) == 1


def test_layers_that_fit_only_beside_others_are_refused():
    arrays = {"a.weight": np.ones((4, 3)), "b.weight": np.ones((5, 4)), "c.weight": np.ones((2, 4))}
    with pytest.raises(FrontEndError, match=(
            "^layer 'c': must have 5 inputs, the results of 'b', not 4, as many as 'a' has "
            "results: connections around layers, and branches, cannot be run; export the model to "
            "ONNX, or name the layers of a chain with layers=NAMES$")):
        from_arrays(arrays)


def test_only_tensors_of_the_layers_are_read():
    state = {"a.weight": torch.ones(2, 2), "b.weight": torch.ones(2, 2, dtype=torch.int8),
             "c.steps": ["no tensor"]}
    with pytest.warns(FrontEndWarning) as caught:
        model = from_state_dict(state, layers=["a"], relu=False, ignore=["c"])
    assert [str(warning.message) for warning in caught] == list(model.notes) \
        == ["ignored: c.steps", "layers not taken: b"]
