"""Front end for TensorFlow Lite models, or parts of them, by ONNX in memory."""

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path

from ..graph.graph import Graph
from ..model import Model
from .common import FrontEndWarning, at
from .onnx import from_onnx
from .onnx_fixed import Fixed
from .tflite_file import File
from .tflite_operators import OPERATORS, translate
from .tflite_part import find_part, label
from .tflite_problems import check_part
from .tflite_site import Site
from .tflite_writer import Writer

__all__ = ["from_tflite", "read_tflite"]


def read_tflite(path: str | Path, *, first: str | None = None, last: str | None = None,
                fix: Mapping[str, Fixed] | None = None) -> Model | Graph:
    """Read a model from a file, as :func:`from_tflite`."""
    return from_tflite(Path(path).read_bytes(), first=first, last=last, fix=fix)


def from_tflite(content: bytes, *, first: str | None = None, last: str | None = None,
                fix: Mapping[str, Fixed] | None = None) -> Model | Graph:
    """Read a model, or the part of it that computes tensor `last` from tensor `first`.

    Images have the channels first, and tensors of integers are the real numbers that they stand
    for: notes name the inputs and outputs that differ from those of the file.

    Parameters
    ----------
    content : :class:`bytes`
        TensorFlow Lite file from any source; it is not trusted.
    first, last : :class:`str`, optional
        Names of tensors. None: the inputs and outputs of the model.
    fix : mapping of :class:`str` to number, or to numbers
        Values of inputs that are constant, by name.

    Raises
    ------
    FrontEndError, ModelError
        If the file is damaged or has an unsupported operator; the message names the operator and
        its tensors, or the layer.
    """
    file = File(content)
    part = find_part(file, first, last)
    check_part(file, part, OPERATORS)
    writer = Writer(file)
    for index in part.starts:
        writer.add_input(index)
    for operator in part.operators:
        with at(label(file, operator)):
            translate(Site(file, writer, operator))
    result = from_onnx(writer.model(part.ends), fix=fix)
    for note in writer.notes:
        warnings.warn(note, FrontEndWarning, stacklevel=2)
    return dataclasses.replace(result, notes=(*writer.notes, *result.notes))
