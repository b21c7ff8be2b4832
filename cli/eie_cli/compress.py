"""`eie compress`: models of all kinds become networks."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from eie_compiler.compression.kmeans_inits import KMEANS_INITS
from eie_hdl.config import EIEConfig

from .console import working
from .options import FILE, numbers
from .training_options import Learning, learn, learning_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eie_compiler.model import Model

__all__ = ["compress_command"]

#: Inputs of a data set whose range the number formats are made for.
_CALIBRATION = 10_000


def _per_layer(context: click.Context, parameter: click.Parameter, text: str | None
               ) -> float | tuple[float, ...] | None:
    """One number is for all layers."""
    values = numbers(float)(context, parameter, text)
    return values[0] if values and len(values) == 1 else values


def _balance(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    name, _, count = text.partition("=")
    try:
        if name == "pes":
            return int(count)
    except ValueError:
        pass
    raise click.BadParameter(f"must be pes=N, not {text!r}")


def _pins(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
          ) -> dict[str, int]:
    try:
        return {name: int(frac) for name, _, frac in (text.rpartition("=") for text in texts)}
    except ValueError as error:
        raise click.BadParameter(f"must be LAYER=BITS, not {' '.join(texts)!r}") from error


@click.command("compress")
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", "network", required=True, help="Network file to write.",
              type=click.Path(dir_okay=False, path_type=Path))
@click.option("--first", metavar="TENSOR", help="Begin at a tensor of an ONNX graph.")
@click.option("--last", metavar="TENSOR", help="End at a tensor of an ONNX graph.")
@click.option("--layer", "layers", multiple=True, metavar="NAME",
              help="Take this layer; once for each, in order of computation.  [default: all]")
@click.option("--image", callback=numbers(int), metavar="C,H,W",
              help="Channels, height and width of the images of a convolution.")
@click.option("--shapes", type=FILE, metavar="FILE",
              help="Layers of a Deep Compression stream, which does not tell them.")
@click.option("--density", callback=_per_layer, metavar="SHARE[,SHARE...]",
              help="Share of the weights to keep, the greatest ones, in all layers or in each.")
@click.option("--quality", callback=_per_layer, metavar="Q[,Q...]",
              help="Keep weights from Q standard deviations up instead, in all layers or in each.")
@click.option("--balance", callback=_balance, metavar="pes=N",
              help="Keep as many weights for each of N PEs; for compile --mapping interleaved.")
@click.option("--v-width", type=click.IntRange(2, 8), default=4, show_default=True,
              help="Bits of a codebook index: 4 make 15 shared weights beside zero.")
@click.option("--start", type=click.Choice(KMEANS_INITS), default=KMEANS_INITS[0],
              show_default=True, help="Where k-means of the shared weights begins.")
@click.option("--act-width", type=int, default=16, show_default=True,
              help="Bits of the activations of the machine it is for.")
@click.option("--calibrate", type=FILE, metavar="X.npy",
              help="Inputs, one a row or image, whose range the number formats are made for. "
                   "Without them they are made for all inputs from -1 to 1, or for the data of "
                   "--retrain.")
@click.option("--pin", "pins", multiple=True, callback=_pins, metavar="LAYER=BITS",
              help="Fraction bits of the results of a layer, or of `input`, whatever was seen.")
@click.option("--retrain", type=FILE, metavar="DATA.npz",
              help="Retrain with the data of `eie train`: prune in steps, then train the shared "
                   "weights. The options below are for it; needs the extra [train].")
@click.option("--steps", type=click.IntRange(min=1), default=4, show_default=True,
              help="Steps of pruning, with retraining after each.")
@learning_options
@click.pass_context
def compress_command(context: click.Context, model: Path, network: Path, first: str | None,
                     last: str | None, layers: tuple[str, ...], image: tuple[int, ...] | None,
                     shapes: Path | None, density: float | tuple[float, ...] | None,
                     quality: float | tuple[float, ...] | None,
                     balance: int | None, v_width: int, start: str, act_width: int,
                     calibrate: Path | None, pins: dict[str, int], retrain: Path | None,
                     steps: int, learning: Learning) -> None:
    """Prune a model and share its weights.

    MODEL is a file of ONNX, PyTorch or safetensors, a Deep Compression stream, or an .npz file of
    matrices n_rows x n_cols `NAME.weight` and vectors `NAME.bias`, in order of computation, or of
    SciPy's sparse matrices. Where it does not say so itself, a ReLU follows all layers but the
    last. What is zero stays zero; without --density and --quality nothing else is pruned.
    """
    given = [name for name in ("steps", *Learning._fields)
             if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if given and not retrain:
        raise click.UsageError(f"--{given[0]} needs --retrain")

    from eie_compiler.compression.calibration import report_formats
    from eie_compiler.compression.compress import check_options, compress, densities
    from eie_compiler.files.network_file import write_network
    from eie_compiler.files.untrusted_npz import read_array
    from eie_compiler.frontends import read_model

    from .format_tables import show_formats
    from .network_tables import show_network

    loaded = read_model(model, first=first, last=last, layers=layers or None, image=image,
                        shapes=shapes)
    samples = read_array(calibrate) if calibrate else None
    options: dict[str, Any] = {"v_width": v_width, "kmeans_init": start, "act_width": act_width,
                               "pins": pins}
    shares = densities(loaded, density=density, quality=quality)
    pruning: dict[str, Any] = {"density": shares, "balance": balance}
    with contextlib.ExitStack() as stack:
        if retrain:
            check_options(loaded, calibration=samples, **options)    # not when hours have passed
            if density is None and quality is None and balance is None:
                steps = 0
            # What comes back is pruned and shared: nothing of it changes any more.
            loaded, seen = stack.enter_context(_retrained(
                loaded, retrain, network, steps, shares, balance, v_width, start, learning))
            samples = seen if samples is None else samples
            pruning = {}
        with working("compressing") as progress:
            compressed = compress(loaded, calibration=samples, progress=progress, **options,
                                  **pruning)
            write_network(network, compressed)
            formats = report_formats(compressed, EIEConfig(v_width=v_width, act_width=act_width),
                             samples=samples)
    show_network(network, compressed)
    show_formats(formats)


@contextlib.contextmanager
def _retrained(model: "Model", data: Path, network: Path, steps: int, densities: list[float],
               balance: int | None, v_width: int, start: str, learning: Learning
               ) -> "Iterator[tuple[Model, NDArray[np.float32]]]":
    """The model as it is after retraining, and some of the inputs that it was retrained with."""
    from eie_compiler.training.data import read_data
    from eie_compiler.training.module import Module
    from eie_compiler.training.recipes import pruning_stages, sharing_stage

    loaded = read_data(data, validation=learning.validation, seed=learning.seed)
    module = Module.from_model(model)
    stages = [*pruning_stages(steps, learning.epochs, densities, balance=balance,
                              rate=learning.rate, decay=learning.decay, dropout=learning.dropout),
              sharing_stage(learning.epochs, v_width=v_width, kmeans_init=start,
                            rate=learning.rate)]
    with learn(module, loaded, stages, learning, network):
        yield module.to_model(), loaded.train.inputs[:_CALIBRATION]
