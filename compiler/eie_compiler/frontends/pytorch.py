"""Modules and state dicts of PyTorch."""

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

from ..model import Model
from .arrays import from_arrays, of_layers
from .chain import Chain, Geometry
from .common import FrontEndError, at

__all__ = ["from_state_dict", "from_torch", "read_safetensors", "read_state_dict"]

_ARITHMETIC = {operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/"}
_CHOOSE = "pass a part of the module, such as module.classifier"
_PADDING = {"valid": "VALID", "same": "SAME_UPPER"}


def from_torch(module: "nn.Module", *, image: Sequence[int] | None = None) -> Model:
    """Read what a module computes in an inference: dropout does nothing, running means count.

    Parameters
    ----------
    module : :class:`torch.nn.Module`
        Of linear layers, convolutions and what folds into them, one after another; its `forward`
        is traced by :mod:`torch.fx`.
    image : (channels, height, width), optional
        Shape of the images, if it begins with a convolution; its height is 1 for a Conv1d.

    Raises
    ------
    FrontEndError
        If it does anything else; the message names the submodule or the function.
    """
    root = nn.Sequential(module)    # so that a module of one layer is traced as a layer
    try:
        nodes = fx.symbolic_trace(root).graph
    except Exception as error:    # whatever the code of the module raises
        raise FrontEndError(f"module must be one that torch.fx can trace: {error}; {_CHOOSE}, or "
                            "export it to ONNX") from error
    output = next(node for node in nodes.nodes if node.op == "output")
    chain = Chain(image=image, choose=_CHOOSE)
    for node in _path(root, output.args[0]):
        with at(_label(node)):
            if node.op == "call_module":
                layer = root.get_submodule(node.target)
                step = next((step for kind, step in _MODULES.items() if isinstance(layer, kind)),
                            None)
                if step is None:
                    names = ", ".join(kind.__name__ for kind in _MODULES)
                    raise FrontEndError(f"module must be one of {names}, not "
                                        f"{type(layer).__name__}; {_CHOOSE}")
                step(chain, node.target.removeprefix("0."), layer)
            else:
                _call(chain, root, node)
    return chain.model()


def from_state_dict(state: Mapping[str, Any], *, layers: Sequence[str] | None = None,
                    relu: Sequence[bool] | None = None, image: Sequence[int] | None = None
                    ) -> Model:
    """Read the tensors ``NAME.weight`` and ``NAME.bias`` of a state dict.

    As for :func:`~.arrays.from_arrays`: in the order of the keys, of linear layers and of
    convolutions with stride 1 and without padding, for it does not say what the modules were.

    Raises
    ------
    FrontEndError
        If there is anything else, or a layer cannot be.
    """
    tensors = of_layers({str(key): value for key, value in state.items()}, layers)
    if any(key.endswith(".running_mean") for key in tensors):
        raise FrontEndError("state dict must be without batch normalisation, which it does not "
                            "tell all of: pass the module to from_torch, or export it to ONNX")
    return from_arrays({key: _numpy(key, value) for key, value in tensors.items()},
                       layers=layers, relu=relu, image=image)


def read_safetensors(path: str | Path, **options: Any) -> Model:
    """As :func:`from_state_dict`, from a .safetensors file.

    It does not keep the order of its tensors: they are taken in that of their names, numbers in
    them by value.
    """
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise FrontEndError(f"must be a whole file of safetensors: {error}") from error
    def order(key: str) -> list[Any]:
        return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", key)]
    return from_state_dict({key: tensors[key] for key in sorted(tensors, key=order)}, **options)


def read_state_dict(path: str | Path, **options: Any) -> Model:
    """As :func:`from_state_dict`, from a file of `torch.save`, without running code in it."""
    problem = ("must be a state dict of tensors, as torch.save(module.state_dict(), path) writes: "
               "a whole module would be code")
    try:
        with zipfile.ZipFile(path) as archive:    # opened before torch, which would inflate it
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise FrontEndError("must not be deflated, as no file of torch.save is")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (FrontEndError, OSError):
        raise
    except Exception as error:    # whatever broken bytes make torch raise
        raise FrontEndError(problem) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]    # of a checkpoint
    if not isinstance(state, Mapping):
        raise FrontEndError(problem)
    return from_state_dict(state, **options)


def _numpy(key: str, tensor: Any) -> NDArray[np.float64]:
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided \
            or not tensor.is_floating_point():
        raise FrontEndError(f"{key} must be a dense tensor of floating-point numbers, not "
                            f"{getattr(tensor, 'dtype', type(tensor).__name__)}")
    tensor = tensor.detach()
    # A few numbers that are repeated could be made as large as one likes.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise FrontEndError(f"{key} must have the numbers that are there, not "
                            f"{tuple(tensor.shape)}")
    return tensor.cpu().double().numpy()


def _path(root: "nn.Module", value: Any) -> list["fx.Node"]:
    """Nodes from the input to a value, each with one computed argument."""
    found = []
    while not isinstance(value, fx.Node) or value.op != "placeholder":
        inputs = [argument for argument in getattr(value, "args", ())
                  if isinstance(argument, fx.Node) and argument.op != "get_attr"]
        # What a view takes beside its input are sizes.
        if not isinstance(value, fx.Node) or len(inputs) != 1 and value.target not in _VIEWS:
            raise FrontEndError(f"{_label(value)}: must be computed from one input, and constants; "
                                f"{_CHOOSE}")
        found.append(value)
        value = inputs[0]
    return found[::-1]


def _label(node: Any) -> str:
    if not isinstance(node, fx.Node):
        return "output"
    if node.op == "call_module":
        return f"module {str(node.target).removeprefix('0.')!r}"
    return f"function {getattr(node.target, '__name__', node.target)}"


def _call(chain: Chain, root: "nn.Module", node: "fx.Node") -> None:
    target = node.target
    if target in _ARITHMETIC:
        constant_first = not isinstance(node.args[0], fx.Node) or node.args[0].op == "get_attr"
        constant = node.args[0 if constant_first else 1]
        if isinstance(constant, fx.Node):
            value: Any = root
            for name in str(constant.target).split("."):
                value = getattr(value, name)
            constant = _numpy(str(constant.target), value)
        chain.arithmetic(_ARITHMETIC[target], constant, constant_first=constant_first)
    elif target in (torch.relu, functional.relu, "relu"):
        chain.relu()
    elif target in (torch.flatten, "flatten"):
        said = dict(zip(("start_dim", "end_dim"), node.args[1:])) | node.kwargs
        _flatten(chain, said.get("start_dim", 0), said.get("end_dim", -1))
    elif target in _VIEWS:
        sizes: Any = node.args[1:]
        if isinstance(sizes[0], (tuple, list)):
            sizes = sizes[0]
        if len(sizes) != 2 or sizes[1] == -1 and not isinstance(sizes[0], fx.Node):
            raise FrontEndError(f"must be (x.size(0), -1) or (-1, N), not {sizes}")
        chain.reshape(None if sizes[1] == -1 else sizes[1])
    elif target is not functional.dropout:
        raise FrontEndError("function must be one of relu, flatten, view, reshape, dropout and the "
                            f"four operations with a constant; {_CHOOSE}")


def _flatten(chain: Chain, start: int, end: int) -> None:
    if start != 1:
        raise FrontEndError(f"start_dim must be 1, the first behind the batch, not {start}")
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
        raise FrontEndError("track_running_stats must be true: nothing else is known in inference")
    mean, variance = _numpy("mean", layer.running_mean), _numpy("variance", layer.running_var)
    gamma, beta = (_numpy("weight", layer.weight), _numpy("bias", layer.bias)) if layer.affine \
        else (np.ones(1), np.zeros(1))
    n_dimensions = 2 if isinstance(layer, nn.BatchNorm2d) else -1 - (chain.axis or -1)
    chain.normalise(gamma, beta, mean, variance, layer.eps, n_dimensions=n_dimensions)


def _pass(chain: Chain, name: str, layer: Any) -> None:
    """Changes nothing in an inference."""


_VIEWS = ("view", "reshape")

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
