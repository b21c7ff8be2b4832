"""`eie sensitivity`: what each layer of a model loses if it is pruned, or shares its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .compress_graph import read_samples
from .console import make_table, print_table, working
from .model_options import model_options
from .options import FILE, FILE_OR_FOLDER, command, compress_labels_option, numbers, task_option
from .verdict import warn

__all__ = ["sensitivity_command"]


@command("sensitivity")
@click.argument("model", type=FILE_OR_FOLDER)
@model_options
@click.option("--calibrate", type=FILE, required=True, metavar="X.npy",
              help="Inputs, one per row or image; of a graph with several inputs, an .npz file "
                   "with an array for each.")
@compress_labels_option
@task_option
@click.option("--densities", default="0.8,0.6,0.4,0.2,0.1", show_default=True,
              callback=numbers(float), metavar="SHARE[,SHARE...]",
              help="Shares of the weights of a layer that stay, above 0 to 1.")
@click.option("--v-widths", "widths", default="2,3,4,5,6,7,8", show_default=True,
              callback=numbers(int), metavar="N[,N...]",
              help="Widths of a codebook index in bits, 2 to 8.")
@click.option("--max-loss", type=click.FloatRange(min=0), default=0.01, show_default=True,
              metavar="LOSS",
              help="Greatest loss of the score, for the densities that are proposed: 0.01 is one "
                   "point of accuracy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def sensitivity_command(model: Path, reading: dict[str, Any], calibrate: Path,
                        labels: Path | None, task: str | None, densities: Sequence[float],
                        widths: Sequence[int], max_loss: float, as_json: bool) -> None:
    """Measure how sensitive each layer of a model is to compression.

    MODEL is as for `eie compress`. One layer, or node of a graph, at a time is pruned to each
    density, then shares its weights by codes of each width; all else stays as it is, in floating
    point, without retraining. The score is the accuracy, or R², of the outputs for the labels;
    without labels, for the outputs of the model itself.

    The last lines propose densities, as `eie compress --density` takes them: those that each layer
    bears alone, with what they cost together; and, if that is too much, higher ones for which the
    loss of all together is as demanded.
    """
    from eie_compiler.compression.sensitivity import measure_sensitivity
    from eie_compiler.files.json_file import to_json
    from eie_compiler.files.untrusted_npz import read_array
    from eie_compiler.frontends import read_model
    from eie_compiler.graph.graph import Graph

    loaded = read_model(model, **reading)
    samples = read_samples(calibrate, loaded) if isinstance(loaded, Graph) \
        else read_array(calibrate)
    with working("measuring the model") as progress:
        found = measure_sensitivity(loaded, samples, labels=read_array(labels) if labels else None,
                                    task=task, densities=densities, widths=widths,
                                    max_loss=max_loss, progress=progress)
    for proposal in found["proposals"]:
        proposal["option"] = _spell(proposal["densities"], isinstance(loaded, Graph))
    if as_json:
        click.echo(to_json({"notes": loaded.notes, **found}))
    else:
        _show(str(model), found)
    if labels and found["score"] <= found["constant"]:
        warn(f"the model is no better than a constant answer ({found['constant']:.4g}), so that "
             "losses mean nothing: check the inputs and the labels")


def _spell(densities: dict[str, float], by_node: bool) -> str:
    """Spell densities as `eie compress` takes them: by node of a graph, in order of a chain."""
    return "--density " + ",".join(f"{layer}={share:g}" if by_node else f"{share:g}"
                                   for layer, share in densities.items())


def _show(title: str, found: dict[str, Any]) -> None:
    """Print a table of densities, one of widths, and the first and the last proposal."""
    classifies, score = found["task"] == "classification", found["score"]
    name = "R²" if not classifies else "accuracy" if found["labels"] else "agreement"
    form = ".2%" if classifies else ".4f"
    tables = (("densities", "density", "pruned to a density", lambda share: f"{100 * share:.3g}%"),
              ("v_widths", "v_width", "sharing weights by codes", lambda width: f"{width} bits"))
    for key, value, what, head in tables:
        columns = [head(one[value]) for one in found["layers"][0][key]]
        print_table(make_table(
            "layer", "weights", "density", *columns,
            title=f"{title}: {name} on {found['samples']:,} inputs, {score:{form}}, with one layer "
                  f"{what}"),
            [[row["layer"], f"{row['weights']:,}", f"{row['nonzeros'] / row['weights']:.1%}",
              *(f"{one['score']:{form}}" for one in row[key])] for row in found["layers"]])
    first, last = found["proposals"][0], found["proposals"][-1]

    def say(proposal: dict[str, Any], lead: str) -> None:
        click.echo(f"{lead} {proposal['option']}: {proposal['density']:.1%} of the weights; "
                   f"together, {name} is {proposal['score']:{form}}, a loss of "
                   f"{score - proposal['score']:.4f}.")

    say(first, f"Each layer alone loses at most {found['max_loss']:g} with")
    if not found["holds"]:
        click.echo(f"Losses add up: no proposal loses at most {found['max_loss']:g} together. "
                   "Measure higher densities (--densities).")
    elif last is not first:
        say(last, f"Losses add up. All layers together lose at most {found['max_loss']:g} with")
