"""Front ends: conversion of models in common formats to `Model`."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eie_hdl.extras import missing

from ..model import Model
from .common import FrontEndError, at

if TYPE_CHECKING:
    from .stream import LayerShape

__all__ = ["KINDS", "FrontEndError", "read_model"]

_NAMED = ("layers", "relu", "image")

#: Suffix of a file -> module, reader function, options of the reader.
KINDS = {
    ".onnx": ("onnx", "read_onnx", ("first", "last", "image")),
    ".npz": ("arrays", "read_npz", _NAMED),
    ".safetensors": ("pytorch", "read_safetensors", _NAMED),
    ".pt": ("pytorch", "read_state_dict", _NAMED),
    ".pth": ("pytorch", "read_state_dict", _NAMED),
}
_STREAM = ("stream", "read_stream", (*_NAMED, "shapes"))

#: Extras of the package that modules require.
_EXTRAS = {"onnx": "onnx", "pytorch": "train"}


def read_model(path: str | Path, *, first: str | None = None, last: str | None = None,
               layers: Sequence[str] | None = None, relu: Sequence[bool] | None = None,
               image: Sequence[int] | None = None,
               shapes: "Mapping[str, LayerShape] | str | Path | None" = None) -> Model:
    """Read a model from a file, which is not trusted; docs/models.md lists the formats.

    Parameters
    ----------
    path : path
        ``.onnx``; ``.npz`` of matrices by name, or of one from scipy.sparse.save_npz; a state dict
        in ``.safetensors``, ``.pt`` or ``.pth``; any name for a Deep Compression stream.
    first, last : :class:`str`, optional
        ONNX: first and last tensor of the part to read.
    layers : sequence of :class:`str`, optional
        All but ONNX: names of the layers in order of computation. None: all.
    relu : sequence of :class:`bool`, optional
        All but ONNX: one for each layer, true if it ends in a ReLU. None: all but the last do.
    image : (channels, height, width), optional
        Shape of the images, if the first layer is a convolution.
    shapes : mapping or path, optional
        Names and shapes of the layers; marks the file as a Deep Compression stream.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FrontEndError
        If the format is unknown, the file is corrupt, or the model cannot be run; the message names
        the file and the layer or node.
    """
    given: dict[str, Any] = {"first": first, "last": last, "layers": layers, "relu": relu,
                             "image": image, "shapes": shapes}
    given = {name: value for name, value in given.items() if value is not None}
    with at(path):
        kind = _STREAM if shapes is not None else KINDS.get(Path(path).suffix.lower())
        if kind is None:
            raise FrontEndError(f"file must be {', '.join(KINDS)}, or a Deep Compression stream "
                                "with shapes=FILE; pickled models can run code and are not read: "
                                "pass the object to its front end, or export it to ONNX")
        module, function, options = kind
        if unknown := sorted(set(given) - set(options)):
            raise FrontEndError(f"options for this format must be among "
                                f"{', '.join(options)}, not {unknown[0]}")
        try:
            reader = importlib.import_module(f".{module}", __package__)
        except ModuleNotFoundError as error:
            raise FrontEndError(missing(f"{error.name}", "to read it", _EXTRAS[module])
                                ) from error
        model: Model = getattr(reader, function)(path, **given)
        return model
