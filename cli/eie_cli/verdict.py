"""Verdict on what compression costs, with the cause and the remedy."""

import sys
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from .console import format_count, make_console

if TYPE_CHECKING:
    from eie_compiler.accuracy import Task

__all__ = ["COLOURS", "conclude", "conclude_untrained", "describe_score", "show_score", "warn",
           "warn_of_labels", "warn_of_outputs", "warn_of_precision", "warn_of_words"]

#: Exit code of a network that is bad.
_BAD = 3

#: Colour of each verdict.
COLOURS = {"good": "green", "doubtful": "yellow", "bad": "red"}

#: Causes that retraining may remove.
_RETRAINABLE = ("pruning", "sharing")

#: Cause -> the words for it, and the remedy.
_REMEDIES = {
    "pruning": ("pruning", "keep more weights (--density, --quality)"),
    "sharing": ("sharing of weights", "raise --v-width, up to 8"),
    "retraining": ("compression in spite of retraining",
                   "raise --density, --v-width or --epochs"),
    "activation_rounding": ("the resolution of activations",
                            "raise --act-width, or leave out --pin"),
    "activation_clipping": ("saturation of activations",
                            "leave out --pin, or give --calibrate inputs of the full range"),
    "accumulator": ("the narrow accumulator", "give --config a machine of greater acc_width"),
    "arithmetic": ("rounding and saturation", "raise --act-width, or give --calibrate inputs of "
                                              "the full range"),
    "scaler": ("the one format of inputs of different magnitudes, which the model then scales",
               "scale the inputs on the host, and read the model after its scaler (--first)"),
    "weight_rounding": ("the width of weights", "give --config a machine of greater "
                                                "codebook_width"),
}


#: Loss of the score of an output up to which its model is the cause, if it is bad.
_OUTPUT_LOSS = 0.03

#: Hint where labels were taken as numbers.
_CLASSES = ("; the labels of classes are one integer for each input, or --task classification "
            "takes them as such")


def conclude(check: dict[str, Any], what: str, *, accept_loss: bool, quiet: bool = False,
             lead: str = "", retrainable: bool = True) -> None:
    """Print the verdict of a check; a bad one ends the program with exit code 3.

    Parameters
    ----------
    check : :class:`dict`
        As from :func:`eie_compiler.compression.fidelity.measure_fidelity`.
    what : :class:`str`
        Name of the file that was written.
    accept_loss : :class:`bool`
        Keep the exit code 0.
    quiet : :class:`bool`
        Print nothing if the network is good.
    lead : :class:`str`
        Beginning of the sentence.
    retrainable : :class:`bool`
        False for a chain with a convolution, or a graph of several inputs: they cannot be
        retrained.
    """
    verdict = check["verdict"]
    text = lead + describe_score(check)
    if verdict != "good":
        text += f" {_explain(check, retrainable)}"
    # A loss must be seen even if the results go to a pipe.
    if verdict != "good" or not quiet:
        _print(verdict, text if verdict != "bad" else _add_file(text, what, accept_loss))
    if verdict == "bad" and not accept_loss:
        sys.exit(_BAD)


def conclude_untrained(check: dict[str, Any], what: str, *, accept_loss: bool) -> None:
    """Print that a trained model is no better than a constant answer; then as :func:`conclude`."""
    labels, (_, form) = check["labels"], _name_score(check)
    text = (f"the trained network is no better on {_count_inputs(check)} "
            f"({labels['model']:{form}}) than a constant answer ({labels['constant']:{form}}): "
            f"change --epochs or --rate, or scale the inputs.")
    _print("bad", _add_file(text, what, accept_loss))
    if not accept_loss:
        sys.exit(_BAD)


def _add_file(text: str, what: str, accept_loss: bool) -> str:
    return f"{text} {what} is written" + (
        "." if accept_loss else "; with --accept-loss the exit code is 0.")


def _print(verdict: str, text: str) -> None:
    make_console(stderr=verdict != "good").print(
        Text(f"{verdict.capitalize()}: {text}", COLOURS[verdict]), soft_wrap=True)


def _name_score(check: dict[str, Any]) -> tuple[str, str]:
    """Name of a score on labels, and its format."""
    return ("accuracy", ".1%") if check["agreement"] is not None else ("R²", ".4f")


def describe_score(check: dict[str, Any]) -> str:
    """Describe in a sentence how well a network does."""
    if check["cause"] == "format":
        return f"the machine has no number format for it: {check['reason']}."
    labels, data = check["labels"], _count_inputs(check)
    if labels and labels["judge"]:
        name, form = _name_score(check)
        return (f"{name} {labels['network']:{form}} on {data}, {labels['model']:{form}} in "
                f"floating point.")
    if check["agreement"] is None:
        text = f"R² {check['r2']:.4f} against the floating-point model on {data}"
        assumed = "numbers; with --task classification, scores of classes"
    else:
        text = (f"the greatest output is that of the floating-point model for "
                f"{check['agreement']:.1%} of {data}")
        assumed = "scores of classes; with --task regression, numbers"
    return f"{text}. The outputs are taken as {assumed}." if check["task_assumed"] else f"{text}."


def _count_inputs(check: dict[str, Any]) -> str:
    return format_count(check["samples"], check.get("data", "inputs").removesuffix("s"))


def _explain(check: dict[str, Any], retrainable: bool) -> str:
    """Name the cause and the remedy."""
    cause = check["cause"]
    if cause == "data":
        return "That measures nothing: give inputs as they occur, of all kinds."
    if cause == "format":
        return "Give --config a machine of greater widths."
    what, remedy = _REMEDIES[cause]
    if retrainable and cause in _RETRAINABLE:
        remedy += ", or give --retrain DATA.npz"
    return f"The main cause is {what}: {remedy}."


def show_score(task: "Task", score: float, constant: float, count: int) -> None:
    """Print the score of outputs on labels, and warn if a constant answer is as good."""
    from eie_compiler.accuracy import MIN_GAIN

    name, form = ("Accuracy", ".2%") if task == "classification" else ("R²", ".4f")
    click.echo(f"{name} {score:{form}} on {format_count(count, 'input')}.")
    if score == constant == 1:
        warn(f"all labels are {'of one class' if task == 'classification' else 'equal'}, so they "
             "do not measure the outputs: give --input inputs as they occur")
    elif score <= constant + MIN_GAIN[task] and score < 1:
        warn(f"a constant answer is as good ({constant:{form}}): check --labels, their order, and "
             f"the scale of --input{'' if task == 'classification' else _CLASSES}")


def warn_of_labels(check: dict[str, Any]) -> None:
    """Warn of data that do not measure a loss: equal ones, and labels unlike the model's outputs.
    """
    labels = check.get("labels")
    if check.get("constant") == 1:
        source = "their labels" if labels and labels["judge"] else "the floating-point model"
        count = check["samples"]
        what = (f"all {count:,} inputs have the same answer by {source}, so they do" if count > 1
                else "a single input has a single answer, so it does")
        warn(f"{what} not measure what compression costs: give inputs as they occur, of all kinds")
    if labels and not labels["judge"]:
        _, form = _name_score(check)
        warn(f"the floating-point model reaches only {labels['model']:{form}} on the labels, no "
             f"better than a constant answer ({labels['constant']:{form}}), so they do not measure "
             "what compression costs: check --labels, their order, and the scale of --calibrate"
             f"{'' if check['agreement'] is not None else _CLASSES}")


def warn_of_outputs(check: dict[str, Any], where: str = "") -> None:
    """Warn of outputs of a regression, or classes, that alone would be bad: lost, then others.

    Parameters
    ----------
    check : :class:`dict`
        As for :func:`conclude`, or ``task`` and ``bad_outputs`` alone.
    where : :class:`str`
        Beginning of the sentence.
    """
    bad, classifies = check.get("bad_outputs"), check["task"] == "classification"
    # Of a classifier that is bad, classes are no news.
    if not bad or classifies and check.get("verdict") == "bad":
        return
    name, noun, plural, form = ("accuracy", "class", "classes", ".1%") if classifies else (
        "R²", "output", "outputs", ".4f")
    lost = [one for one in bad if one["model"] is not None
            and one["model"] - one["network"] > _OUTPUT_LOSS]
    for some in (lost, [one for one in bad if one not in lost]):
        if not some:
            continue
        worst = min(some, key=lambda one: one["network"] - (one["model"] if some is lost else 0))
        of_model = "" if worst["model"] is None else f", {worst['model']:{form}} in floating point"
        if classifies:
            cause = "The accuracy of all inputs hides single classes: " + (
                "raise --v-width or --density of `eie compress`, or give it --retrain DATA.npz"
                if some is lost else "train with more inputs of them")
        else:
            cause = ("All outputs share one number format and one codebook: train outputs of "
                     "similar magnitude, and scale the results on the host")
        if worst["model"] is None:
            cause += "; `eie compress` with --calibrate and --labels measures the model itself"
        warn(f"{where}{len(some):,} {noun if len(some) == 1 else plural} alone would be bad: "
             f"{name} of {noun} {worst['output']} is {worst['network']:{form}}{of_model}. {cause}")


def warn_of_precision(layers: list[dict[str, Any]]) -> None:
    """Warn of accumulators that cost weights their precision.

    Parameters
    ----------
    layers : :class:`list` of :class:`dict`
        Layers with ``name`` and ``precision``, as in build reports and reports of formats.
    """
    worst = max((layer for layer in layers if "precision" in layer),
                key=lambda layer: layer["precision"]["lost_bits"], default=None)
    if worst and worst["precision"]["lost_bits"]:
        precision = worst["precision"]
        widest = max(layer["precision"]["acc_width"] for layer in layers if "precision" in layer)
        warn(f"the accumulator is narrow: weights lose up to {precision['lost_bits']} bits (layer "
             f"{worst['name']!r}: they are rounded by {precision['error']:.2g} of their size, not "
             f"{precision['possible_error']:.2g}); no weight loses any with acc_width = {widest}")


def warn_of_words() -> None:
    """Warn of words for a network that preprocesses numbers."""
    warn("the offset and scale of each input were not applied: --words are inputs after "
         "preprocessing; leave it out for inputs as the model takes them")


def warn(text: str) -> None:
    """Print a warning on the standard error."""
    click.echo(f"eie: warning: {text}", err=True)
