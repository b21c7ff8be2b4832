"""The part of `eie compress` for models that are graphs."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from eie_hdl.config import EIEConfig

from .console import working
from .verdict import conclude, warn_of_labels, warn_of_outputs

if TYPE_CHECKING:
    from eie_compiler.graph.graph import Graph

__all__ = ["by_node", "compress_graph_to_file", "refuse_options"]

#: Options of `eie compress` that a graph does not have -> what to do instead.
_NOT_FOR_GRAPHS = {
    "quality": "give --density",
    "balance": "leave it out",
    "nonnegative_inputs": "leave it out: signs are known where a ReLU is before layers",
    "pins": "leave it out: formats are those of the numbers seen with --calibrate",
    "retrain": "retrain with PyTorch before the export, see docs/training.md",
}


def by_node(kind: type[int] | type[float], what: str) -> Any:
    """Make the callback of an option of one number for all nodes, or ``NODE=NUMBER,...``."""
    def parse(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            if text is None or "=" not in text:
                return text and kind(text)
            pairs = (part.rpartition("=") for part in text.split(","))
            return {node: kind(number) for node, _, number in pairs}
        except ValueError as error:
            raise click.BadParameter(f"must be {what}, or NODE={what.split()[-1].upper()} for "
                                     f"each, separated by commas, not {text!r}") from error
    return parse


def refuse_options(context: click.Context) -> None:
    """Refuse options that a graph does not have."""
    for name, remedy in _NOT_FOR_GRAPHS.items():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = next(one.opts[0] for one in context.command.params if one.name == name)
            raise click.UsageError(f"{option} must not be given for a graph: {remedy}")


def compress_graph_to_file(path: Path, model: "Graph", config: EIEConfig, *,
                           calibrate: Path | None, labels: Any, task: str | None,
                           options: Mapping[str, Any], accept_loss: bool, as_json: bool) -> None:
    """Compress a graph, write it, and print what it costs; a bad one ends with exit code 3.

    Parameters
    ----------
    path : path
        Network file.
    labels : array, optional
        Labels of the samples in `calibrate`.
    options : mapping
        Of :func:`eie_compiler.compression.graph.compress_graph`.
    """
    from eie_compiler.compression.graph import compress_graph
    from eie_compiler.compression.graph_fidelity import measure_graph_fidelity
    from eie_compiler.files.graph_file import write_graph
    from eie_compiler.files.json_file import to_json

    from .graph_tables import describe_graph, show_graph

    samples = None if calibrate is None else _read_samples(calibrate, model)
    with working("compressing") as progress:
        network = compress_graph(model, samples, v_width=config.v_width,
                                 act_width=config.act_width,
                                 codebook_width=config.codebook_width, progress=progress,
                                 **options)
        assert samples is not None
        write_graph(path, network)
        check = measure_graph_fidelity(model, network, config, samples, labels=labels, task=task,
                                       pruned=options["density"] is not None, progress=progress)
    if as_json:
        click.echo(to_json({"notes": model.notes, **describe_graph(network), "check": check}))
    else:
        show_graph(path, network, check)
    warn_of_labels(check)
    warn_of_outputs(check)
    several = len(check["outputs"]) > 1
    conclude(check, str(path), accept_loss=accept_loss, quiet=as_json, retrainable=False,
             lead=f"output {check['output']}: " if several else "")


def _read_samples(path: Path, model: "Graph") -> dict[str, Any]:
    """Read samples of each input from an .npz file, or of the only one from an .npy file."""
    from eie_compiler.errors import CompressError
    from eie_compiler.files.untrusted_npz import read_array, read_arrays

    if zipfile.is_zipfile(path):
        return read_arrays(path)
    if len(model.inputs) > 1:
        raise CompressError(f"calibration must be an .npz file with an array for each input, "
                            f"{', '.join(model.inputs)}, as the graph has {len(model.inputs)}")
    return {next(iter(model.inputs)): read_array(path)}
