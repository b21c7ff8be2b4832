"""Front ends: conversion of models in common formats to `Model`, or to a `Graph`."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eie_hdl.extras import missing

from ..graph.graph import Graph
from ..model import Model
from .common import FrontEndError, FrontEndWarning, at

if TYPE_CHECKING:
    from .onnx_fixed import Fixed
    from .stream import LayerShape

__all__ = ["KINDS", "FrontEndError", "FrontEndWarning", "read_chain", "read_model"]

_PARTS = ("first", "last", "image", "fold_batch_norm", "fix")
_NAMED = ("layers", "relu", "image", "ignore")

#: Suffix of a file -> module, reader function, options of the reader.
KINDS = {
    ".onnx": ("onnx", "read_onnx", _PARTS),
    ".pt2": ("pytorch_program", "read_program", _PARTS),
    ".tflite": ("tflite", "read_tflite", ("first", "last", "fix")),
    ".npz": ("arrays", "read_npz", _NAMED),
    ".safetensors": ("pytorch_files", "read_safetensors", _NAMED),
    ".pt": ("pytorch_files", "read_state_dict", _NAMED),
    ".pth": ("pytorch_files", "read_state_dict", _NAMED),
}
_STREAM = ("stream", "read_stream", ("layers", "relu", "image", "shapes"))
_TOPOLOGY = ("topology", "read_topology", ("topology",))

#: Suffix of a file that is not read -> what to do with it.
_OTHERS = {
    **dict.fromkeys((".h5", ".keras", ".pb"), "export the model to ONNX with tf2onnx"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "a pickle can run code: load it, and pass the "
                    "model to its front end, or export it to ONNX"),
    **dict.fromkeys((".ckpt", ".bin", ".tar"), "name a file of torch.save .pt"),
}

#: Extras of the package that modules require.
_EXTRAS = {"onnx": "onnx", "pytorch_files": "train", "pytorch_program": "train",
           "tflite": "tflite"}


def read_model(path: str | Path, *, first: str | None = None, last: str | None = None,
               layers: Sequence[str] | None = None, relu: bool | Sequence[bool] | None = None,
               image: Sequence[int] | None = None, ignore: Sequence[str] | None = None,
               shapes: "Mapping[str, LayerShape] | str | Path | None" = None,
               topology: str | Path | None = None, fold_batch_norm: bool | None = None,
               fix: "Mapping[str, Fixed] | None" = None) -> Model | Graph:
    """Read a model from a file, which is not trusted; docs/models.md lists the formats.

    A chain of layers is a :class:`~..model.Model`; a network of another form, in ONNX, .tflite,
    .pt2 or with a topology, is a :class:`~..graph.graph.Graph`.

    Parameters
    ----------
    path : path
        ``.onnx``; ``.tflite``; ``.pt2`` of torch.export.save; ``.npz`` of matrices by name, or of
        one from scipy.sparse.save_npz; a state dict in ``.safetensors``, ``.pt`` or ``.pth``; any
        name for a Deep Compression stream.
    first, last : :class:`str`, optional
        ONNX, .tflite, .pt2: first and last tensor of the part to read.
    layers : sequence of :class:`str`, optional
        All but ONNX, .tflite, .pt2: names of the layers in order of computation. None: all.
    relu : :class:`bool` or sequence of :class:`bool`, optional
        All but ONNX, .tflite, .pt2: true if a layer ends in a ReLU; one for all, or one for each.
        None: all but the last do.
    image : (channels, height, width), optional
        Shape of the images, if the first layer is a convolution.
    ignore : sequence of :class:`str`, optional
        State dicts, safetensors and .npz: names of tensors that are not used, or of modules.
    shapes : mapping or path, optional
        Names and shapes of the layers; marks the file as a Deep Compression stream.
    topology : path, optional
        JSON file with all layers of a network and their operands; marks the file as its Deep
        Compression stream.
    fold_batch_norm : :class:`bool`, optional
        ONNX, .pt2: false if the host computes the batch normalisations of a graph. By default,
        layers absorb them.
    fix : mapping of :class:`str` to number, or to numbers, optional
        ONNX, .tflite, .pt2: values of inputs that are constant, such as a sampling rate, and of
        open sizes, by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FrontEndError
        If the format is unknown, the file is corrupt, or the model cannot be run; the message names
        the file and the layer or node.
    """
    given: dict[str, Any] = {"first": first, "last": last, "layers": layers, "relu": relu,
                             "image": image, "ignore": ignore, "shapes": shapes,
                             "topology": topology, "fold_batch_norm": fold_batch_norm,
                             "fix": fix or None}
    given = {name: value for name, value in given.items() if value is not None}
    with at(path):
        suffix = Path(path).suffix.lower()
        kind = _TOPOLOGY if topology is not None else _STREAM if shapes is not None \
            else KINDS.get(suffix)
        if Path(path).is_dir():
            raise FrontEndError("model must be a file, not a folder: `eie run` takes a build")
        if kind is None:
            raise FrontEndError(f"file must be {', '.join(KINDS)}, or a Deep Compression stream "
                                f"with shapes=FILE: {_OTHERS.get(suffix, 'export it to ONNX')}")
        module, function, options = kind
        if unknown := sorted(set(given) - set(options)):
            raise FrontEndError(f"options for this format must be {'=, '.join(options)}=, not "
                                f"{unknown[0]}=")
        try:
            reader = importlib.import_module(f".{module}", __package__)
        except ModuleNotFoundError as error:
            raise FrontEndError(missing(f"{error.name}", "to read it", _EXTRAS[module])
                                ) from error
        model: Model | Graph = getattr(reader, function)(path, **given)
        return model


def read_chain(path: str | Path, **options: Any) -> Model:
    """Read a model as :func:`read_model`, where only a chain of layers will do.

    Raises
    ------
    FrontEndError
        Also if the model is a graph.
    """
    model = read_model(path, **options)
    with at(path):
        if isinstance(model, Graph):
            raise FrontEndError("model must be a chain of layers here, not a graph of "
                                f"{len(model.walk())} nodes: choose a part of it with first=TENSOR "
                                "and last=TENSOR")
    return model
