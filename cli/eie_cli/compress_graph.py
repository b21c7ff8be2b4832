"""The part of `eie compress` for models that are graphs."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from eie_hdl.config import EIEConfig

from .console import working
from .options import require_each_once
from .training_options import Learning, find_teacher, show_stages, training_session
from .verdict import conclude, warn_of_labels, warn_of_outputs

if TYPE_CHECKING:
    from eie_compiler.graph.graph import Graph
    from eie_compiler.training.data import Data

__all__ = ["Retraining", "by_node", "compress_graph_to_file", "read_samples",
           "refuse_options"]

#: Options of `eie compress` that a graph does not have -> what to do instead.
_NOT_FOR_GRAPHS = {
    "quality": "give --density",
    "balance": "leave it out",
    "nonnegative_inputs": "leave it out: signs are known where a ReLU is before layers",
    "pins": "leave it out: formats are those of the numbers seen with --calibrate",
    "dropout": "leave it out",
}


def by_node(kind: type[int] | type[float], what: str) -> Any:
    """Make the callback of an option of one number for all nodes, or ``NODE=NUMBER,...``."""
    def parse(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            if text is None or "=" not in text:
                return text and kind(text)
            pairs = [part.rpartition("=") for part in text.split(",")]
            numbers = {node: kind(number) for node, _, number in pairs}
        except ValueError as error:
            raise click.BadParameter(f"must be {what}, or NODE={what.split()[-1].upper()} for "
                                     f"each, separated by commas, not {text!r}") from error
        require_each_once(pairs, numbers)
        return numbers

    return parse


def refuse_options(context: click.Context) -> None:
    """Refuse options that a graph does not have, or not together."""
    for name, remedy in _NOT_FOR_GRAPHS.items():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = next(one.opts[0] for one in context.command.params if one.name == name)
            raise click.UsageError(f"{option} must not be given for a graph: {remedy}")
    if context.params["values"] is not None and context.params["retrain"] is not None:
        raise click.UsageError("--values must not be given with --retrain: give --v-width")


class Retraining(NamedTuple):
    """Options of retraining.

    Attributes
    ----------
    data : :class:`~eie_compiler.training.data.Data`
        Data to train with.
    steps : :class:`int`
        Steps of pruning.
    update_labels : :class:`bool`
        True to let weights change their shared value.
    learning : :class:`~.training_options.Learning`
        Options of all training.
    """

    data: "Data"
    steps: int
    update_labels: bool
    learning: Learning


def compress_graph_to_file(path: Path, model: "Graph", config: EIEConfig, *,
                           calibrate: Path | None, labels: Any, task: str | None,
                           options: Mapping[str, Any], retraining: Retraining | None,
                           accept_loss: bool, as_json: bool) -> None:
    """Compress a graph, write it, and print what it costs; a bad one ends with exit code 3.

    Parameters
    ----------
    path : path
        Network file.
    labels : array, optional
        Labels of the samples in `calibrate`.
    options : mapping
        Of :func:`eie_compiler.compression.graph.compress_graph`.
    retraining : :class:`Retraining`, optional
        Options of retraining; without, there is none.
    """
    from eie_compiler.errors import CompileError
    from eie_compiler.files.graph_file import write_graph
    from eie_compiler.files.json_file import to_json
    from eie_compiler.lowering.dead_channels import remove_dead_channels

    from .graph_tables import describe_graph, show_graph

    samples = None if calibrate is None else read_samples(calibrate, model)
    options = {**options, "calibration": samples, "v_width": config.v_width,
               "act_width": config.act_width, "codebook_width": config.codebook_width}
    if retraining is None:
        network, stages = _compress(model, options), None
    else:
        network, stages = _retrain(path, model, options, retraining)
    try:
        live, removed = remove_dead_channels(network, config)
    except CompileError:    # the check says why
        live, removed = network, []
    write_graph(path, live)
    check = _check(model, network, config, samples, labels, task, options, retraining)
    if as_json:
        click.echo(to_json({"stages": stages, **describe_graph(live, network), "check": check,
                            "removed": [one._asdict() for one in removed]}))
    else:
        if retraining is not None and stages is not None:
            show_stages(str(path), retraining.data.classifies, stages)
        show_graph(path, live, check, network)
    warn_of_labels(check)
    warn_of_outputs(check)
    several = len(check["outputs"]) > 1
    conclude(check, str(path), accept_loss=accept_loss, quiet=as_json,
             retrainable=len(model.inputs) == 1,
             lead=f"output {check['output']}: " if several else "")


def _compress(model: "Graph", options: Mapping[str, Any]) -> "Graph":
    """Compress a graph without retraining."""
    from eie_compiler.compression.graph import compress_graph

    with working("compressing") as progress:
        return compress_graph(model, progress=progress, **options)


def _retrain(path: Path, model: "Graph", options: dict[str, Any], retraining: Retraining
             ) -> tuple["Graph", list[dict[str, Any]]]:
    """Compress a graph with retraining; return the records, too."""
    from eie_compiler.training.retrain_graph import compress_graph_with_retraining

    del options["values"]    # which refuse_options has found to be None
    learning = retraining.learning
    teacher = find_teacher(learning, retraining.data)
    with training_session(learning, path) as session:
        return compress_graph_with_retraining(
            model, retraining.data, **options, update_labels=retraining.update_labels,
            steps=retraining.steps, epochs=learning.epochs, rate=learning.rate,
            decay=learning.decay, batch=learning.batch, seed=learning.seed,
            threads=learning.threads, teacher=teacher, resume=learning.resume,
            **session._asdict())


def _check(model: "Graph", network: "Graph", config: EIEConfig, samples: Any, labels: Any,
           task: str | None, options: Mapping[str, Any], retraining: Retraining | None
           ) -> dict[str, Any]:
    """Measure the fidelity with held-out data of retraining, or with samples."""
    from eie_compiler.compression.graph_fidelity import measure_graph_fidelity

    data = "inputs"
    if retraining is not None:
        from eie_compiler.training.retrain_graph import choose_output, put_first

        output = choose_output(model, retraining.data)
        model, network = put_first(model, output), put_first(network, output)
        if labels is None:
            which, part = retraining.data.held_out
            (name, shape), = model.inputs.items()
            samples, labels = {name: part.inputs.reshape(-1, *shape)}, part.targets
            data = f"{which} inputs"
    with working("measuring the accuracy") as progress:
        return {"data": data, **measure_graph_fidelity(
            model, network, config, samples, labels=labels, task=task,
            pruned=options["density"] is not None, retrained=retraining is not None,
            progress=progress)}


def read_samples(path: Path, model: "Graph") -> dict[str, Any]:
    """Read samples of each input from an .npz file, or of the only one from an .npy file."""
    from eie_compiler.errors import CompressError
    from eie_compiler.files.untrusted_npz import read_array, read_arrays

    if zipfile.is_zipfile(path):
        return read_arrays(path)
    if len(model.inputs) > 1:
        raise CompressError(f"calibration must be an .npz file with an array for each input, "
                            f"{', '.join(model.inputs)}, as the graph has {len(model.inputs)}")
    return {next(iter(model.inputs)): read_array(path)}
