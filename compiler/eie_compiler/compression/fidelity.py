"""Fidelity of a network to its model, measured with samples in the arithmetic of the machine."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..accuracy import Meter, Task, choose_task, match_labels
from ..errors import CompileError
from ..lowering.arithmetic import IntegerNetwork
from ..model import Model
from ..network import CompressedNetwork
from .calibration import check_calibration
from .equalisation import find_factors
from .judge import Judge
from .layer_errors import LayerErrors
from .losses import Run, count_nonzeros, successive_runs

__all__ = ["measure_fidelity"]

#: Numbers in the widest vector of a batch; bounds the memory.
_CHUNK = 1 << 18

Floats = NDArray[np.float64]


def measure_fidelity(model: Model, network: CompressedNetwork, config: EIEConfig,
                     samples: NDArray[Any], *, labels: NDArray[Any] | None = None,
                     task: str | None = None, retrained: bool = False) -> dict[str, Any]:
    """Compare a network, in the arithmetic of a machine, with its model in floating point.

    Parameters
    ----------
    model : :class:`~..model.Model`
        Model from which the network was made.
    network : :class:`~..network.CompressedNetwork`
        Network to judge.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths; its memories do not matter.
    samples : (n_samples, n_inputs), or (n_samples, channels, height, width) of a convolution
        Inputs.
    labels : array, optional
        Classes (n_samples,) or numbers (n_samples, n_outputs) that the inputs should give.
    task : ``"classification"`` or ``"regression"``, optional
        Meaning of the outputs; by default as :func:`~..accuracy.choose_task` infers it.
    retrained : :class:`bool`
        True if the weights were trained after the model was read: layers are then not compared
        with those of the model.

    Returns
    -------
    :class:`dict`
        Plain JSON; docs/compression.md lists its keys.

    Raises
    ------
    CompressError, PatchError
        If samples do not match the model.
    LabelError
        If labels do not match the samples, or the task is unknown.
    """
    check_calibration(model, samples=samples, input_magnitude=1.0, pins={})
    data = _Data.make(model, samples, labels, task)
    result: dict[str, Any] = {"samples": len(samples), "task": data.task,
                              "task_assumed": labels is None and task is None}
    try:
        integers = IntegerNetwork(network, config)
        runs = successive_runs(model, integers, retrained=retrained)
    except CompileError as error:
        nothing: dict[str, Any] = dict.fromkeys(("agreement", "r2", "constant", "labels"))
        return result | {"verdict": "bad", "cause": "format", "reason": str(error), **nothing,
                         "bad_outputs": [], "steps": [], "layers": []}
    ideal, machine = "retraining" if retrained else "sharing", list(runs)[-1]
    errors = LayerErrors([] if retrained else find_factors(model, network))
    meters = _measure(data, {name: runs[name] for name in (ideal, machine)}, errors)
    scores = _scores(meters)
    judge = Judge.choose(data.task, len(samples),
                         {by: each["model"] for by, each in meters.items()}, retrained=retrained)
    found = scores[judge.by]
    verdict = judge.verdict(found[machine])
    if verdict != "good":
        others = {name: run for name, run in runs.items() if name not in (ideal, machine)}
        found |= _scores(_measure(data, others))[judge.by]
    steps = {"model": judge.start} | {name: found[name] for name in runs if name in found}
    falls = -np.diff(list(steps.values()))
    labelled, of_model = scores.get("labels"), scores["model"][machine]
    classifies = data.task == "classification"
    cause = None if verdict == "good" else list(steps)[int(np.argmax(falls)) + 1]
    if verdict == "good" and judge.constant == 1:    # which any constant answer would be, too
        verdict, cause = "doubtful", "data"
    return result | {
        "verdict": verdict, "cause": cause,
        "agreement": of_model if classifies else None,
        "r2": None if classifies else of_model,
        "constant": judge.constant,
        "labels": labelled and {"model": labelled["model"], "network": labelled[machine],
                                "constant": meters["labels"]["model"].constant,
                                "judge": judge.by == "labels"},
        "bad_outputs": meters[judge.by][machine].bad_outputs(meters[judge.by]["model"],
                                                             judge.limits[1]),
        "steps": [{"step": name, "score": score} for name, score in steps.items()],
        "layers": _describe_layers(model, integers, errors, retrained)}


class _Data(NamedTuple):
    """Samples with the outputs that they should give."""

    model: Model
    samples: NDArray[Any]
    labels: NDArray[Any] | None
    task: Task

    @classmethod
    def make(cls, model: Model, samples: NDArray[Any], labels: NDArray[Any] | None,
             task: str | None) -> "_Data":
        n_outputs = model.layers[-1].n_rows
        if labels is None:
            return cls(model, samples, None,
                       choose_task(n_outputs, task=task, patches=model.patches))
        chosen, truth = match_labels(labels, task, n_samples=len(samples), n_outputs=n_outputs,
                                     patches=model.patches)
        return cls(model, samples, truth, chosen)

    def batches(self) -> Iterator[tuple[Floats, NDArray[Any] | None]]:
        """Inputs (batch, n_inputs), patches if it is a convolution, and their labels."""
        patches = self.model.patches
        widest = max(self.model.layers[0].n_cols, *(layer.n_rows for layer in self.model.layers))
        pixels = 1 if patches is None else math.prod(patches.output_shape)
        count = max(_CHUNK // (widest * pixels), 1)
        for first in range(0, len(self.samples), count):
            some = slice(first, first + count)
            values = self.samples[some] if patches is None else patches.cut(self.samples[some])
            yield (values.astype(np.float64),
                   None if self.labels is None else self.labels[some])


def _measure(data: _Data, runs: Mapping[str, Run], errors: LayerErrors | None = None
             ) -> dict[str, dict[str, Meter]]:
    """Measure the model and runs, in order of their losses, against the model and the labels."""
    meters = {by: {name: Meter(data.task) for name in ("model", *runs)}
              for by in ("model", "labels")}
    for values, labels in data.batches():
        dense = list(data.model.vectors(values))
        vectors = {name: list(run(values)) for name, run in runs.items()}
        if errors:
            errors.add(dense, *vectors.values())
        for by, truth in (("model", dense[-1]), ("labels", labels)):
            if truth is not None:
                for name, results in {"model": dense, **vectors}.items():
                    meters[by][name].add(results[-1], truth)
    return {by: each for by, each in meters.items() if by == "model" or data.labels is not None}


def _scores(meters: Mapping[str, Mapping[str, Meter]]) -> dict[str, dict[str, float]]:
    return {by: {name: meter.score for name, meter in each.items()}
            for by, each in meters.items()}


def _describe_layers(model: Model, integers: IntegerNetwork, errors: LayerErrors, retrained: bool
                     ) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        # Compression may fold offsets of preprocessing into the first layer.
        dict.fromkeys(("error", "rounding_error"), errors.rounding_error(0)) | {"name": "input"}]
    for number, (before, layer, words) in enumerate(
            zip(model.layers, integers.network.layers, integers.layers, strict=True), 1):
        nonzeros = count_nonzeros(before.weight)
        zeroed = nonzeros - count_nonzeros(words.weights)
        rows.append({"name": layer.name, "error": None if retrained else errors.error(number),
                     "rounding_error": errors.rounding_error(number),
                     "zeroed": zeroed / nonzeros if nonzeros else 0.0})
    return rows
