"""Front end for PyTorch modules and state dicts."""

import numbers
import operator
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.weight_norm import WeightNorm

from ..model import Model
from .arrays import from_arrays, select_layers
from .chain import Chain, Geometry
from .common import FrontEndError, ReuseLimit, at
from .pytorch_graph import ARITHMETIC, CHOOSE, check_unused, find_path, inference, label, trace

__all__ = ["from_state_dict", "from_torch", "read_safetensors", "read_state_dict"]

_PADDING = {"valid": "VALID", "same": "SAME_UPPER"}

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

#: Hooks that only compute the weight before use.
_WEIGHT_HOOKS = (BasePruningMethod, WeightNorm)


def from_torch(module: "nn.Module", *, image: Sequence[int] | None = None) -> Model:
    """Read a module in inference mode: no dropout, running statistics.

    Parameters
    ----------
    module : :class:`torch.nn.Module`
        Sequence of linear layers, convolutions and operations that fold into them. Its `forward`
        is traced by :mod:`torch.fx`. The input of a BatchNorm1d between linear layers must have two
        dimensions, (batch, features): with three, PyTorch would normalise along the second.
    image : (channels, height, width), optional
        Shape of the images, if the first layer is a convolution; height 1 for a Conv1d.

    Raises
    ------
    FrontEndError
        If the module has other operations; the message names the submodule or the function.
    """
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
                    relu: Sequence[bool] | None = None, image: Sequence[int] | None = None
                    ) -> Model:
    """Read the tensors ``NAME.weight`` and ``NAME.bias`` of a state dict.

    As for :func:`~.arrays.from_arrays`: linear layers, and convolutions with stride 1 and without
    padding, in the order of the keys. A state dict does not describe the modules further.

    Raises
    ------
    FrontEndError
        If there are other tensors, or a layer is invalid.
    """
    tensors = select_layers({str(key): value for key, value in state.items()}, layers)
    if any(key.endswith(".running_mean") for key in tensors):
        raise FrontEndError("state dict must be without batch normalisation, of which it lacks "
                            "the epsilon: pass the module to from_torch, or export it to ONNX")
    reuse = ReuseLimit()
    return from_arrays({key: _numpy(key, value, reuse) for key, value in tensors.items()},
                       layers=layers, relu=relu, image=image)


def read_safetensors(path: str | Path, **options: Any) -> Model:
    """Read a state dict, as :func:`from_state_dict`, from a .safetensors file.

    The file does not keep the order of its tensors: they are sorted by name, with numbers in names
    by value.
    """
    Path(path).open("rb").close()    # errors of safetensors do not name the file
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise FrontEndError(f"must be an intact safetensors file: {error}") from error
    def order(key: str) -> list[Any]:
        parts: list[Any] = re.split("0*([0-9]+)", key)
        parts[1::2] = [(len(number), number) for number in parts[1::2]]
        return parts
    return from_state_dict({key: tensors[key] for key in sorted(tensors, key=order)}, **options)


def read_state_dict(path: str | Path, **options: Any) -> Model:
    """Read a state dict, as :func:`from_state_dict`, from a file of `torch.save`, without code."""
    problem = ("must be a state dict of tensors, as torch.save(module.state_dict(), path) writes: "
               "a pickled module would be code")
    try:
        with zipfile.ZipFile(path) as archive:    # checked first, because torch would inflate it
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members) \
                    or sum(member.file_size for member in members) > Path(path).stat().st_size:
                raise FrontEndError("must not be deflated nor have overlapping parts, unlike files "
                                    "of torch.save")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (FrontEndError, OSError):
        raise
    except Exception as error:    # corrupt bytes can raise any exception
        raise FrontEndError(problem) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]    # in a checkpoint
    if not isinstance(state, Mapping):
        raise FrontEndError(problem)
    return from_state_dict(state, **options)


def _numpy(key: str, tensor: Any, reuse: ReuseLimit | None = None) -> NDArray[np.float64]:
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided \
            or tensor.dtype not in _FLOATS or tensor.is_meta or is_lazy(tensor):
        found = f"{tensor.dtype} ({tensor.layout}, {tensor.device})" \
            if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise FrontEndError(f"{key} must be a dense tensor with data, of type "
                            f"{', '.join(map(str, _FLOATS))}, not {found}")
    tensor = tensor.detach()
    storage = tensor.untyped_storage()
    with at(key):
        (reuse or ReuseLimit()).take(storage.data_ptr(), tensor.numel(),
                                    storage.nbytes() // tensor.element_size())
    return tensor.cpu().double().numpy()


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
                            "pruning and weight_norm: remove others, run a lazy module once, or "
                            f"export to ONNX; {CHOOSE}")
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
        else (np.ones(1), np.zeros(1))
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
