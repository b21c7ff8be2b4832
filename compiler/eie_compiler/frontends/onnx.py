"""Front end for ONNX models, or parts of them."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ..graph.graph import Graph as Network
from ..model import Model, ModelError
from ..patches import PatchError
from .common import FrontEndError, FrontEndWarning
from .onnx_branches import has_branches, take_branches
from .onnx_chain import read_chain
from .onnx_data import load_data
from .onnx_expansion import expand
from .onnx_fixed import Fixed, fix_inputs
from .onnx_graph import Graph
from .onnx_network import read_network

__all__ = ["from_onnx", "read_onnx"]


def read_onnx(path: str | Path, *, first: str | None = None, last: str | None = None,
              image: Sequence[int] | None = None, fold_batch_norm: bool = True,
              fix: Mapping[str, Fixed] | None = None) -> Model | Network:
    """Read a model from a file, as :func:`from_onnx`."""
    try:
        model = onnx.load_model_from_string(Path(path).read_bytes())
    except DecodeError as error:
        raise FrontEndError(f"must be a valid model in ONNX: {error}") from error
    load_data(model, Path(path).parent)
    return from_onnx(model, first=first, last=last, image=image, fold_batch_norm=fold_batch_norm,
                     fix=fix)


def from_onnx(model: "onnx.ModelProto", *, first: str | None = None, last: str | None = None,
              image: Sequence[int] | None = None, fold_batch_norm: bool = True,
              fix: Mapping[str, Fixed] | None = None) -> Model | Network:
    """Read a model, or the part of it that computes tensor `last` from tensor `first`.

    A chain of layers is a :class:`~..model.Model`; all others are a :class:`~..graph.graph.Graph`.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source; it is not trusted.
    first, last : :class:`str`, optional
        Names of tensors. None: the input and the output of the graph.
    image : (channels, height, width), optional
        Shape of the input of the first convolution, if the model leaves it open or runs with
        another one.
    fold_batch_norm : :class:`bool`
        True if layers absorb the normalisations of a graph. False if the host computes them:
        shared weights are then more accurate where their scales differ.
    fix : mapping of :class:`str` to number, or to numbers
        Values of inputs that are constant, such as a sampling rate, and of open sizes, by name.

    Raises
    ------
    FrontEndError, ModelError
        If the model is invalid or has an unsupported operation; the message names the node and its
        tensors, or the layer.
    """
    if fix:
        model = fix_inputs(model, fix)
    model = expand(model)
    graph, branches = take_branches(model, first, last, image) if has_branches(model) \
        else (Graph(model), [])
    try:
        result: Model | Network = read_chain(graph, first, last, image)
    except (FrontEndError, ModelError, PatchError):
        graph.constants.restart()
        result = read_network(graph, first, last, image, fold_batch_norm=fold_batch_norm)
    result = dataclasses.replace(result, notes=(*branches, *result.notes))
    for note in result.notes:
        warnings.warn(note, FrontEndWarning, stacklevel=2)
    return result
