"""Options of commands that read a model."""

from collections.abc import Callable
from typing import Any

import click

from .options import FILE, numbers, require_each_once

__all__ = ["model_options"]

#: Parameters of :func:`eie_compiler.frontends.read_model`.
_NAMES = ("first", "last", "layers", "relu", "ignore", "image", "shapes",
          "topology", "fix")


def _fixed(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
           ) -> dict[str, Any]:
    """Parse numbers by name; one number is not a list."""
    fixed: dict[str, Any] = {}
    for text in texts:
        name, _, values = text.rpartition("=")
        given = numbers(float)(context, parameter, values)
        if not name:
            raise click.BadParameter(f"must be NAME=VALUE, not {text!r}")
        fixed[name] = given if len(given) > 1 else given[0]
    require_each_once(texts, fixed)
    return fixed


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of :func:`eie_compiler.frontends.read_model`; pass them on as `reading`."""
    @click.option("--first", metavar="TENSOR",
                  help="First tensor to take of a graph of ONNX or TensorFlow Lite.  [default: its "
                       "input]")
    @click.option("--last", metavar="TENSOR",
                  help="Last tensor to take of a graph of ONNX or TensorFlow Lite.  [default: its "
                       "output]")
    @click.option("--layer", "layers", multiple=True, metavar="NAME",
                  help="Layer to take; give the option once for each, in order of computation.  "
                       "[default: all]")
    @click.option("--relu/--no-relu", "relu", multiple=True, default=None,
                  help="A ReLU follows all layers, or none; given once for each layer, in order of "
                       "computation: this layer. Not for ONNX and TensorFlow Lite.  [default: all "
                       "but the last]")
    @click.option("--ignore", multiple=True, metavar="NAME",
                  help="Tensor of a state dict, or module with all its tensors, to leave out "
                       "although it may change the results; may be given several times.")
    @click.option("--image", callback=numbers(int), metavar="C,H,W",
                  help="Channels, height and width in pixels of the images of a convolution.")
    @click.option("--fix", multiple=True, callback=_fixed, metavar="NAME=VALUE",
                  help="Value of an input of a graph, or values separated by commas, or an "
                       "open size by its name, or by that of its input and its axis, such as "
                       "input.1; may be given several times.")
    @click.option("--shapes", type=FILE, metavar="FILE",
                  help="File with the layers of a Deep Compression stream, which does not name "
                       "them.")
    @click.option("--topology", type=FILE, metavar="FILE.json",
                  help="File with the layers of a Deep Compression stream and their operands, of a "
                       "network that is no chain.")
    @click.option("--fold-batch-norm/--no-fold-batch-norm", default=None,
                  help="Layers of an ONNX graph absorb batch normalisations, or the host computes "
                       "them, which leaves weights that share values better.  [default: absorb]")
    def with_model(*arguments: Any, **options: Any) -> None:
        reading = {name: options.pop(name) or None for name in _NAMES}
        reading["fold_batch_norm"] = options.pop("fold_batch_norm")
        if reading["relu"] and len(reading["relu"]) == 1:
            reading["relu"], = reading["relu"]    # for all layers
        command(*arguments, **options, reading=reading)

    with_model.__name__ = command.__name__
    with_model.__doc__ = command.__doc__
    # After the options that were declared below this one, as click reverses them.
    with_model.__click_params__ = [    # type: ignore[attr-defined]
        *getattr(command, "__click_params__", []), *with_model.__click_params__]    # type: ignore[attr-defined]
    return with_model
