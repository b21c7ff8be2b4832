"""Conversion of PyTorch modules and exported programs to ONNX, in memory, for its front end."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from eie_hdl.extras import missing

from ..graph.graph import Graph
from ..model import Model
from .common import FrontEndError
from .pytorch_graph import inference

if TYPE_CHECKING:
    from .onnx_fixed import Fixed

__all__ = ["from_module", "from_program", "quiet", "reason_of"]


def from_module(module: "nn.Module", example_inputs: Sequence[Any], **options: Any
                ) -> Model | Graph:
    """Read a module in inference mode, as :func:`~.pytorch.from_torch` with example inputs."""
    with inference(module), quiet():
        try:
            program = torch.export.export(module, tuple(example_inputs))
        except Exception as error:    # the code of the module can raise any exception
            raise FrontEndError(f"module must be one that torch.export can trace: {error}"
                                ) from error
    return from_program(program, **options)


def from_program(program: "torch.export.ExportedProgram", *, first: str | None = None,
                 last: str | None = None, image: Sequence[int] | None = None,
                 fold_batch_norm: bool = True, fix: "Mapping[str, Fixed] | None" = None
                 ) -> Model | Graph:
    """Read an exported program, with the options of :func:`~.onnx.from_onnx`.

    Raises
    ------
    FrontEndError
        If PyTorch cannot convert it to ONNX, or it has an unsupported operation.
    """
    try:
        from .onnx import from_onnx

        with quiet():
            made = torch.onnx.export(program, (), dynamo=True, verbose=False, optimize=False)
    except ModuleNotFoundError as error:
        raise FrontEndError(missing(f"{error.name}", "to convert it to ONNX", "train")) from error
    except Exception as error:    # of any operation
        raise FrontEndError("model must be one that PyTorch converts to ONNX: "
                            f"{reason_of(error.__cause__ or error)}") from error
    assert made is not None
    return from_onnx(made.model_proto, first=first, last=last, image=image,
                     fold_batch_norm=fold_batch_norm, fix=fix)


def reason_of(error: BaseException) -> str:
    """Return the first line of the message of an exception, or its name if it has none."""
    return str(error).strip().partition("\n")[0] or repr(error)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard what PyTorch and its exporter print and warn of."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
