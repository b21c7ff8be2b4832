"""`eie compress`: a network from a model of any supported kind."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from eie_compiler.compression.quantisers import KMEANS_INITS, QUANTISERS
from eie_hdl.config import EIEConfig

from .compress_graph import Retraining, by_node, compress_graph_to_file, refuse_options
from .console import working
from .model_options import model_options
from .options import (
    FILE,
    FILE_OR_FOLDER,
    OUTPUT_FILE,
    accept_loss_option,
    arithmetic_options,
    command,
    compress_labels_option,
    numbers,
    renamed_option,
    require_each_once,
    task_option,
)
from .training_options import (
    Learning,
    find_teacher,
    learning_options,
    show_stages,
    training_session,
)
from .verdict import conclude, warn, warn_of_labels, warn_of_outputs, warn_of_precision

if TYPE_CHECKING:
    from eie_compiler.model import Model
    from eie_compiler.network import CompressedNetwork
    from eie_compiler.training.data import Data

__all__ = ["compress_command"]


def _per_layer(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """Parse one number for all layers, one for each, or numbers by node."""
    if text and "=" in text:
        return by_node(float, "a number")(context, parameter, text)
    values = numbers(float)(context, parameter, text)
    return values[0] if values and len(values) == 1 else values


def _pins(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
          ) -> dict[str, int]:
    try:
        pins = {name: int(frac) for name, _, frac in (text.rpartition("=") for text in texts)}
    except ValueError as error:
        raise click.BadParameter(f"must be LAYER=BITS, not {' '.join(texts)!r}") from error
    require_each_once(texts, pins)
    return pins


@command("compress")
@click.argument("model", type=FILE_OR_FOLDER)
@click.option("-o", "--output", "network", required=True, help="Network file to write.",
              type=OUTPUT_FILE)
@model_options
@click.option("--density", callback=_per_layer, metavar="SHARE[,SHARE...]",
              help="Share of the weights to keep by magnitude, above 0 to 1, for all layers or for "
                   "each; of a graph, for all or NODE=SHARE[,NODE=SHARE...].  [default: all "
                   "nonzeros]")
@click.option("--values", callback=by_node(int, "an integer"), metavar="N",
              help="Of a graph: most shared weights besides zero of each layer, for all nodes or "
                   "NODE=N[,NODE=N...]. Not with --retrain, for which --v-width is.  [default: as "
                   "many as a code can name]")
@click.option("--quality", callback=_per_layer, metavar="Q[,Q...]",
              help="Keep the weights from Q standard deviations up, for all layers or for each; "
                   "replaces --density.")
@click.option("--balance-pes", "balance", type=int, metavar="N",
              help="Keep the same number of weights in each of N PEs; for `eie compile --mapping "
                   "interleaved`.  [default: no balancing]")
@renamed_option("--balance", "--balance-pes", "balance", prefix="pes=")
@arithmetic_options
@click.option("--v-width", type=click.IntRange(2, 8),
              help="Width of a codebook index in bits; 4 bits are 15 shared weights besides zero.  "
                   "[default: that of the machine, 4]")
@click.option("--quantiser", type=click.Choice(QUANTISERS), default=QUANTISERS[0],
              show_default=True, help="Choice of the shared weights: by k-means, or evenly spaced "
                                      "from the least to the greatest weight.")
@click.option("--kmeans-init", type=click.Choice(KMEANS_INITS), default=KMEANS_INITS[0],
              show_default=True, help="Initialisation of k-means for the shared weights.")
@renamed_option("--start", "--kmeans-init", "kmeans_init")
@click.option("--act-width", type=int,
              help="Width of an activation in bits, 4 to 24.  [default: that of the machine, 16]")
@click.option("--calibrate", type=FILE, metavar="X.npy",
              help="Inputs, one per row or image, for whose range the number formats are chosen; "
                   "of a graph with several inputs, an .npz file with an array for each.  "
                   "[default: the data of --retrain, or all inputs from -1 to 1; one of both is "
                   "required of a graph]")
@click.option("--nonnegative-inputs", is_flag=True,
              help="No input is ever negative: weights keep more bits in a narrow accumulator. "
                   "Negative inputs saturate at 0.")
@compress_labels_option
@task_option
@accept_loss_option
@click.option("--pin", "pins", multiple=True, callback=_pins, metavar="LAYER=BITS",
              help="Number of fraction bits of the results of a layer, or of `input`, independent "
                   "of the calibration.")
@click.option("--retrain", type=FILE, metavar="DATA.npz",
              help="Retrain with the data of `eie train`: prune in steps, then train the shared "
                   "weights. The options below are for retraining, which needs the extra [train].")
@click.option("--steps", type=click.IntRange(min=1), default=4, show_default=True,
              help="Number of steps of pruning, with retraining after each.")
@click.option("--update-labels", is_flag=True,
              help="Let weights change their shared value while these are trained.")
@learning_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.pass_context
def compress_command(context: click.Context, model: Path, network: Path, reading: dict[str, Any],
                     density: Any, values: Any,
                     quality: float | tuple[float, ...] | None, config: EIEConfig,
                     balance: int | None, v_width: int | None, quantiser: str, kmeans_init: str,
                     act_width: int | None, calibrate: Path | None,
                     nonnegative_inputs: bool, labels: Path | None,
                     task: str | None, accept_loss: bool, pins: dict[str, int],
                     retrain: Path | None, steps: int, update_labels: bool, learning: Learning,
                     as_json: bool) -> None:
    """Prune a model and share its weights.

    MODEL is a file of ONNX, TensorFlow Lite, PyTorch or safetensors, a Deep Compression stream, or
    an .npz file of matrices n_rows x n_cols `NAME.weight` and vectors `NAME.bias`, in order of
    computation, or of SciPy's sparse matrices. If the file does not specify it, a ReLU follows all
    layers but the last. Zeros stay zero; without --density and --quality nothing else is pruned. A
    model that is no chain of layers, such as a residual or a recurrent one, is compressed as a
    graph.

    With --calibrate or --retrain the outputs of the network, in the fixed-point arithmetic of the
    machine, are compared with those of MODEL in floating point. The last line says whether the
    network is good, doubtful or bad, the main cause and the remedy; the exit code is 3 if it is
    bad.
    """
    given = [name for name in ("steps", "update_labels", *Learning._fields)
             if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if given and not retrain:
        raise click.UsageError(f"--{given[0].replace('_', '-')} needs --retrain")
    if quantiser != QUANTISERS[0] \
            and context.get_parameter_source("kmeans_init") is not ParameterSource.DEFAULT:
        raise click.UsageError(f"--kmeans-init needs --quantiser {QUANTISERS[0]}")
    if labels and not calibrate:
        raise click.UsageError("--labels needs --calibrate: they are labels of its inputs")

    from eie_compiler.compression.calibration import report_formats
    from eie_compiler.files.json_file import to_json
    from eie_compiler.files.untrusted_npz import read_array
    from eie_compiler.frontends import read_model
    from eie_compiler.graph.graph import Graph

    from .network_tables import describe_network

    loaded = read_model(model, **reading)
    config = dataclasses.replace(config, v_width=v_width or config.v_width,
                                 act_width=act_width or config.act_width)
    truth = read_array(labels) if labels else None
    if isinstance(loaded, Graph):
        refuse_options(context)
        compress_graph_to_file(
            network, loaded, config, calibrate=calibrate, labels=truth, task=task,
            options={"density": density, "values": values, "quantiser": quantiser,
                     "kmeans_init": kmeans_init},
            retraining=None if retrain is None else Retraining(
                _read_data(retrain, learning), steps, update_labels, learning),
            accept_loss=accept_loss, as_json=as_json)
        return
    if values is not None or isinstance(density, dict):
        raise click.UsageError(f"--{'values' if values is not None else 'density NODE=SHARE'} is "
                               "for graphs, and the model is a chain of layers: give --density "
                               "SHARE[,SHARE...] and --v-width")
    samples = read_array(calibrate) if calibrate else None
    options: dict[str, Any] = {
        "density": density, "quality": quality, "balance": balance, "v_width": config.v_width,
        "quantiser": quantiser, "kmeans_init": kmeans_init, "act_width": config.act_width,
        "codebook_width": config.codebook_width, "calibration": samples,
        "nonnegative_inputs": nonnegative_inputs, "pins": pins}
    result = (_compress(network, loaded, options) if retrain is None else
              _retrain(network, loaded, options, retrain, steps=steps, update_labels=update_labels,
                       learning=learning))
    with working("measuring the accuracy"):
        formats = report_formats(result.network, config, samples=result.samples)
        check = _check(loaded, result, config, samples, truth, task)
    if as_json:
        click.echo(to_json({"notes": loaded.notes, "stages": result.stages,
                            **describe_network(result.network), "formats": formats,
                            "check": check}))
    else:
        _show(network, result, formats, check)
    warn_of_precision(formats)
    if check is None:
        _warn_of_no_check(result.network, config)
    else:
        warn_of_labels(check)
        warn_of_outputs(check)
        conclude(check, str(network), accept_loss=accept_loss, quiet=as_json,
                 retrainable=loaded.patches is None)


class _Result(NamedTuple):
    """A compressed network, and the data that it was made with.

    Attributes
    ----------
    network : :class:`~eie_compiler.network.CompressedNetwork`
        Network, as it was written.
    samples : array, optional
        Inputs for whose range its formats were chosen.
    data : :class:`~eie_compiler.training.data.Data`, optional
        Data of retraining.
    stages : :class:`list` of :class:`dict`, optional
        Records of retraining.
    """

    network: "CompressedNetwork"
    samples: Any
    data: "Data | None" = None
    stages: list[dict[str, Any]] | None = None


def _compress(path: Path, model: "Model", options: dict[str, Any]) -> _Result:
    """Compress a model without retraining, and write the network."""
    from eie_compiler.compression.compress import compress
    from eie_compiler.files.network_file import write_network

    with working("compressing") as progress:
        network = compress(model, progress=progress, **options)
        write_network(path, network)
        return _Result(network, options["calibration"])


def _retrain(path: Path, model: "Model", options: dict[str, Any],
             data_file: Path, *, steps: int, update_labels: bool, learning: Learning
             ) -> _Result:
    """Compress a model with retraining, and write the network."""
    from eie_compiler.files.network_file import write_network
    from eie_compiler.training.retrain import compress_with_retraining

    data = _read_data(data_file, learning)
    teacher = find_teacher(learning, data)
    with training_session(learning, path) as session:
        network, stages, samples = compress_with_retraining(
            model, data, **options, update_labels=update_labels, steps=steps,
            epochs=learning.epochs, rate=learning.rate, decay=learning.decay,
            dropout=learning.dropout, batch=learning.batch, seed=learning.seed,
            threads=learning.threads, teacher=teacher, resume=learning.resume,
            **session._asdict())
        write_network(path, network)
        return _Result(network, samples, data, stages)


def _read_data(path: Path, learning: Learning) -> "Data":
    from eie_compiler.training.data import read_data

    return read_data(path, validation=learning.validation, seed=learning.seed)


def _check(model: "Model", result: _Result, config: EIEConfig, samples: Any, labels: Any,
           task: str | None) -> dict[str, Any] | None:
    """Measure the fidelity with held-out data of retraining, or with samples if there are any."""
    from eie_compiler.compression.fidelity import measure_fidelity

    data = "inputs"
    if result.data is not None and labels is None:
        name, part = result.data.held_out
        samples, labels, data = part.inputs, part.targets, f"{name} inputs"
    if samples is None:
        return None
    return {"data": data, **measure_fidelity(model, result.network, config, samples, labels=labels,
                                             task=task, retrained=result.data is not None)}


def _show(path: Path, result: _Result, formats: list[dict[str, Any]], check: dict[str, Any] | None
          ) -> None:
    """Print tables of the stages of retraining, the network and its formats."""
    from .format_tables import show_formats
    from .network_tables import show_network

    if result.data is not None and result.stages is not None:
        show_stages(str(path), result.data.classifies, result.stages)
    show_network(path, result.network)
    show_formats(formats, check)


def _warn_of_no_check(network: "CompressedNetwork", config: EIEConfig) -> None:
    """Warn that no input was given, and of the inputs that the formats assume."""
    from eie_compiler.compression.calibration import PREPROCESSED_MAGNITUDE
    from eie_hdl.numeric import limits

    greatest = limits(config.act_width)[1] * 0.5 ** network.input_frac
    assumed = "inputs" if network.preprocessing is None else "preprocessed inputs"
    high = 1 if network.preprocessing is None else PREPROCESSED_MAGNITUDE
    warn(f"the accuracy was not measured, and the formats assume {assumed} from "
         f"{0 if network.nonnegative_inputs else -high} to {high} (the input has "
         f"{network.input_frac} fraction bits and saturates above {greatest:.5g}): give "
         "--calibrate X.npy, inputs as they occur, and --labels Y.npy if there are any")
