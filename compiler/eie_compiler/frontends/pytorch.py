"""Front end for PyTorch modules and state dicts."""

import numbers
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.weight_norm import WeightNorm

from ..graph.graph import Graph
from ..model import Model
from .arrays import FIELDS, make_matrix, make_part
from .chain import Chain
from .common import FrontEndError, ReuseLimit, at
from .geometry import Geometry
from .pytorch_export import from_module
from .pytorch_graph import ARITHMETIC, CHOOSE, check_unused, find_path, inference, label, trace
from .tensors import join_tensors

__all__ = ["from_state_dict", "from_torch", "join_state"]

_PADDING = {"valid": "VALID", "same": "SAME_UPPER"}

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

#: Further types of masks.
_MASKS = (torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64)

#: Layout -> name of SciPy, and methods for values and indices.
_SPARSE = {torch.sparse_coo: ("coo", ("_values", "_indices")),
           torch.sparse_csr: ("csr", ("values", "col_indices", "crow_indices")),
           torch.sparse_csc: ("csc", ("values", "row_indices", "ccol_indices"))}

#: Hooks that only compute the weight before use.
_WEIGHT_HOOKS = (BasePruningMethod, WeightNorm)


def from_torch(module: "nn.Module", example_inputs: Sequence[Any] | None = None, *,
               image: Sequence[int] | None = None, fold_batch_norm: bool = True) -> Model | Graph:
    """Read a module in inference mode: no dropout, running statistics.

    Parameters
    ----------
    module : :class:`torch.nn.Module`
        Without example inputs, a sequence of linear layers, convolutions and operations that fold
        into them. Its `forward` is traced by :mod:`torch.fx`. The input of a BatchNorm1d between
        linear layers must have two dimensions, (batch, features): with three, PyTorch would
        normalise along the second.
    example_inputs : sequence of tensors, optional
        Arguments of the module, with a batch of any size: the module is exported to ONNX in memory,
        and may be of any form that is read from it.
    image : (channels, height, width), optional
        Without example inputs: shape of the images, if the first layer is a convolution; height 1
        for a Conv1d.
    fold_batch_norm : :class:`bool`
        With example inputs: as of :func:`~.onnx.from_onnx`.

    Raises
    ------
    FrontEndError
        If the module has other operations; the message names the submodule or the function.
    """
    if example_inputs is not None:
        return from_module(module, example_inputs, fold_batch_norm=fold_batch_norm)
    root = nn.Sequential(module)    # a single layer must also be traced as a layer
    with inference(root):
        nodes = trace(root)
        path = find_path(nodes)
        layers = [root.get_submodule(node.target) for node in path if node.op == "call_module"]
        first = next((layer for layer in layers if isinstance(layer, _MATRICES)), None)
        chain = Chain(image=image, choose=CHOOSE, axis=-1 - len(getattr(first, "kernel_size", ())))
        for node in path:
            with at(label(node)):
                if node.op == "call_module":
                    layer = root.get_submodule(node.target)
                    _step(layer)(chain, node.target.removeprefix("0."), layer)
                else:
                    _call(chain, root, node)
        check_unused(nodes, path)
        return chain.model()


def from_state_dict(state: Mapping[str, Any], *, layers: Sequence[str] | None = None,
                    relu: bool | Sequence[bool] | None = None, image: Sequence[int] | None = None,
                    ignore: Sequence[str] = ()) -> Model:
    """Read the tensors ``NAME.weight`` and ``NAME.bias`` of a state dict.

    As for :func:`~.arrays.from_arrays`: linear layers, and convolutions with stride 1 and without
    padding, in the order of the keys. Masks of pruning are applied. A state dict does not describe
    the modules further: a :class:`~.common.FrontEndWarning` states what is assumed.

    Raises
    ------
    FrontEndError
        If there are other tensors, or a layer is invalid.
    """
    return join_state(state, "of the keys", layers=layers, relu=relu, image=image, ignore=ignore)


def join_state(state: Mapping[str, Any], order: str, **options: Any) -> Model:
    """Read a state dict with the options of :func:`~.tensors.join_tensors`."""
    tensors = {str(key): value for key, value in state.items()}
    reuse = ReuseLimit()

    def get(name: str) -> Any:
        return _numpy(name, tensors[name], reuse, is_mask=name.endswith("mask"))

    return join_tensors(tensors, lambda names: make_part(names, get, reuse), assumed_order=order,
                        **options)


def _numpy(name: str, tensor: Any, reuse: ReuseLimit | None = None, *, is_mask: bool = False
           ) -> Any:
    """Convert a tensor to float64; a sparse matrix to a :class:`scipy.sparse.csc_array`."""
    kinds = (*_FLOATS, *_MASKS) if is_mask else _FLOATS
    if not isinstance(tensor, torch.Tensor) or tensor.layout not in (torch.strided, *_SPARSE) \
            or tensor.dtype not in kinds or tensor.is_meta or is_lazy(tensor):
        found = f"{tensor.dtype} ({tensor.layout}, {tensor.device})" \
            if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise FrontEndError(f"{name} must be a tensor with data, of type "
                            f"{', '.join(map(str, kinds))}, not {found}: save the model in "
                            "floating point, before any quantisation")
    with at(name):
        if tensor.layout == torch.strided:
            return _dense(tensor, reuse or ReuseLimit()).astype(np.float64)
        return _sparse(tensor, reuse or ReuseLimit())


def _dense(tensor: "torch.Tensor", reuse: ReuseLimit) -> NDArray[Any]:
    tensor = tensor.detach()
    storage = tensor.untyped_storage()
    reuse.take(storage.data_ptr(), tensor.numel(), storage.nbytes() // tensor.element_size())
    return (tensor.double() if tensor.is_floating_point() else tensor).cpu().numpy()


def _sparse(tensor: "torch.Tensor", reuse: ReuseLimit) -> Any:
    """Convert a sparse tensor without PyTorch, which trusts its indices; no matrix: to dense."""
    kind, methods = _SPARSE[tensor.layout]
    fields = [_dense(getattr(tensor.detach(), method)(), reuse) for method in methods]
    values, *indices = fields[0].astype(np.float64), *fields[1:]
    if values.ndim != 1:
        raise FrontEndError("sparse tensor must have no dense dimensions or blocks: to_dense() "
                            "converts it")
    if tensor.ndim == 2:
        indices = list(indices[0]) if kind == "coo" else indices
        return make_matrix(kind, np.array(tensor.shape), {
            "data": values, **dict(zip(FIELDS[kind], indices))}, reuse)
    reuse.take(id(tensor), tensor.numel(), values.size)
    try:
        places = np.ravel_multi_index(tuple(indices[0]), tuple(tensor.shape))
    except ValueError as error:
        raise FrontEndError(f"indices must lie in the shape: {error}") from error
    return np.bincount(places, values, tensor.numel()).reshape(tuple(tensor.shape))


def _step(layer: "nn.Module") -> Callable[[Chain, str, Any], None]:
    """Find the function that adds a layer to a chain, after checking the layer's forward."""
    kind = next((kind for kind in _MODULES if isinstance(layer, kind)), None)
    if kind is None:
        raise FrontEndError(f"module must be one of {', '.join(kind.__name__ for kind in _MODULES)}"
                            f", not {type(layer).__name__}; {CHOOSE}")
    hooks = [*layer._forward_hooks.values(), *layer._forward_pre_hooks.values()]
    if type(layer).forward is not kind.forward or "forward" in vars(layer) \
            or not all(isinstance(hook, _WEIGHT_HOOKS) for hook in hooks):
        raise FrontEndError(f"forward must be that of {kind.__name__}, with no hooks but those of "
                            "pruning and weight_norm: remove others, or run a lazy module once; "
                            f"{CHOOSE}")
    for hook in hooks:
        hook(layer, ())
    return _MODULES[kind]


def _call(chain: Chain, root: "nn.Module", node: "fx.Node") -> None:
    target = node.target
    if target in ARITHMETIC:
        constant_first = not isinstance(node.args[0], fx.Node) or node.args[0].op == "get_attr"
        constant: Any = node.args[0 if constant_first else 1]
        if isinstance(constant, fx.Node) and constant.op == "get_attr":
            value = operator.attrgetter(str(constant.target))(root)
            constant = _numpy(str(constant.target), value)
        elif not isinstance(constant, numbers.Real):
            raise FrontEndError(f"constant must be a number or a tensor, not {constant}")
        chain.arithmetic(ARITHMETIC[target], constant, constant_first=constant_first)
    elif target in (torch.relu, functional.relu, "relu"):
        chain.relu()
    elif target in (torch.flatten, "flatten"):
        options = dict(zip(("start_dim", "end_dim"), node.args[1:])) | node.kwargs
        _flatten(chain, options.get("start_dim", 0), options.get("end_dim", -1))
    elif target in _VIEWS:
        sizes: Any = (*node.args[1:], *node.kwargs.values())
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = tuple(sizes[0])
        if len(sizes) != 2 or sizes[1] == -1 and not isinstance(sizes[0], fx.Node):
            raise FrontEndError(f"must be (x.size(0), -1) or (-1, N), not {sizes}")
        chain.reshape(None if sizes[1] == -1 else sizes[1])
    elif target is functional.dropout:
        if (*node.args[2:], node.kwargs.get("training", True))[0]:
            raise FrontEndError("training must be self.training, which is false in inference")
    else:
        raise FrontEndError("function must be one of relu, flatten, view, reshape, dropout and the "
                            f"four operations with a constant; {CHOOSE}")


def _flatten(chain: Chain, start: int, end: int) -> None:
    if start != 1:
        raise FrontEndError(f"start_dim must be 1, the first after the batch, not {start}")
    if end != -1:
        raise FrontEndError(f"end_dim must be -1, the last, not {end}")
    chain.reshape(None)


def _linear(chain: Chain, name: str, layer: Any) -> None:
    chain.linear(name, _numpy("weight", layer.weight),
                 None if layer.bias is None else _numpy("bias", layer.bias))


def _convolution(chain: Chain, name: str, layer: Any) -> None:
    if layer.padding_mode != "zeros":
        raise FrontEndError(f"padding_mode must be zeros, not {layer.padding_mode}")
    padding = _PADDING[layer.padding] if isinstance(layer.padding, str) else layer.padding * 2
    weight = _numpy("weight", layer.weight)
    chain.convolve(name, weight.reshape(len(weight), -1),
                   Geometry(layer.kernel_size, layer.stride, layer.dilation, padding, layer.groups),
                   None if layer.bias is None else _numpy("bias", layer.bias))


def _normalisation(chain: Chain, name: str, layer: Any) -> None:
    if layer.running_mean is None:
        raise FrontEndError("track_running_stats must be true: inference needs the statistics")
    mean, variance = _numpy("mean", layer.running_mean), _numpy("variance", layer.running_var)
    gamma, beta = (_numpy("weight", layer.weight), _numpy("bias", layer.bias)) if layer.affine \
        else (np.ones_like(mean), np.zeros_like(mean))
    assert chain.axis is not None
    n_dimensions = 2 if isinstance(layer, nn.BatchNorm2d) else -1 - chain.axis
    chain.normalise(gamma, beta, mean, variance, layer.eps, n_dimensions=n_dimensions)


def _pass(chain: Chain, name: str, layer: Any) -> None:
    """Ignore a layer without effect in inference."""


_VIEWS = ("view", "reshape")

_MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d)

_MODULES: dict[Any, Callable[[Chain, str, Any], None]] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _normalisation,
    nn.BatchNorm2d: _normalisation,
    nn.ReLU: lambda chain, name, layer: chain.relu(),
    nn.Flatten: lambda chain, name, layer: _flatten(chain, layer.start_dim, layer.end_dim),
    nn.Identity: _pass,
    nn.Dropout: _pass,
    nn.Dropout1d: _pass,
    nn.Dropout2d: _pass,
}
