"""Fidelity of a compressed graph to its model, measured with samples in words of the machine."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from ..accuracy import Meter, Task, choose_task, match_labels
from ..errors import CompileError
from ..graph.evaluation import evaluate_real
from ..graph.graph import Graph, Scan
from ..graph.operation import Words
from ..graph.operations import Affine
from ..lowering.integer_graph import IntegerGraph
from ..vectors import dequantise
from .graph_layers import decompress_graph, prune_graph
from .graph_samples import check_samples, sample_batches
from .judge import Judge
from .row_scales import repeat_scales

__all__ = ["choose_tasks", "measure_graph_fidelity"]

#: Relative error of scaled inputs above which it is their format that costs accuracy.
_COARSE = 0.01

Floats = NDArray[np.float64]

#: Tensors of a batch by path; of a body, one for each step, in order of computation.
_Tensors = dict[str, list[Floats]]


def measure_graph_fidelity(model: Graph, network: Graph, config: EIEConfig,
                           samples: Mapping[str, NDArray[Any]], *,
                           labels: NDArray[Any] | None = None, task: str | None = None,
                           pruned: bool = False, retrained: bool = False,
                           progress: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
    """Compare a compressed graph, in the arithmetic of a machine, with its model.

    Parameters
    ----------
    model, network : :class:`~..graph.graph.Graph`
        Model, and its network.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths; its memories do not matter.
    samples : mapping of :class:`str` to array (n_samples, ...)
        Samples for each input.
    labels : array, optional
        Classes (n_samples,) or numbers (n_samples, ...) that the first output should give.
    task : ``"classification"`` or ``"regression"``, optional
        Meaning of the first output; by default as :func:`~..accuracy.choose_task` infers it, with
        numbers for all that are no vectors.
    pruned : :class:`bool`
        True if weights were pruned: the loss that this causes is then measured apart.
    retrained : :class:`bool`
        True if the weights were trained for the first output after the model was read: other
        outputs, and the results of nodes, are then not compared with those of the model.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Returns
    -------
    :class:`dict`
        Plain JSON; docs/compression.md lists its keys.

    Raises
    ------
    CompressError
        If samples do not match the model.
    LabelError
        If labels do not match the samples, or the task is unknown.
    """
    checked, model = check_samples(model, samples), repeat_scales(model, network)
    count = len(next(iter(checked.values())))
    tasks, truth = choose_tasks(model, count, labels, task)
    result: dict[str, Any] = {"samples": count, "task": tasks[model.outputs[0]],
                              "task_assumed": labels is None and task is None}
    try:
        machine = IntegerGraph(network, config)
    except CompileError as error:
        nothing: dict[str, Any] = dict.fromkeys(("agreement", "r2", "constant", "labels"))
        return result | {"verdict": "bad", "cause": "format", "reason": str(error), **nothing,
                         "bad_outputs": [], "steps": [], "outputs": [], "nodes": []}
    shared = decompress_graph(network)
    ideal = "retraining" if retrained else "sharing"
    runs = {ideal: lambda batch: _evaluate(shared, batch),
            "arithmetic": lambda batch: _run_machine(machine, batch)}
    if pruned and not retrained:
        kept = prune_graph(model, network)
        runs = {"pruning": lambda batch: _evaluate(kept, batch), **runs}
    meters: dict[str, dict[str, Meter]] = {}    # by output or "labels", then by run
    outputs = model.outputs[:1] if retrained else model.outputs
    for key in (*outputs, *(["labels"] if truth is not None else [])):
        meaning = tasks[model.outputs[0] if key == "labels" else key]
        meters[key] = {name: Meter(meaning) for name in ("model", *runs)}
    errors = _Errors()
    for some, batch in sample_batches(model, checked):
        progress(f"measuring sample {some.start + 1}")
        tensors = {"model": _evaluate(model, batch)}
        tensors |= {name: run(batch) for name, run in runs.items()}
        errors.add(*(tensors[name] for name in ("model", ideal, "arithmetic")))
        for name, found in tensors.items():
            for output in outputs:
                meters[output][name].add(_rows(found[output]), _rows(tensors["model"][output]))
            if truth is not None:
                meters["labels"][name].add(_rows(found[model.outputs[0]]), truth[some])
    result |= _judge(model, tasks, count, meters, retrained)
    result["nodes"] = _describe_nodes(network, errors, machine, retrained)
    if result["cause"] == "arithmetic" and _has_coarse_scaler(network, result["nodes"]):
        result["cause"] = "scaler"
    return result


def choose_tasks(model: Graph, count: int, labels: NDArray[Any] | None, task: str | None
                 ) -> tuple[dict[str, Task], NDArray[Any] | None]:
    """Choose the meaning of each output, and check the labels of the first."""
    tasks: dict[str, Task] = {}
    for output in model.outputs:
        shape = model.shapes[output]
        is_vector = sum(n > 1 for n in shape) <= 1
        tasks[output] = choose_task(math.prod(shape)) if is_vector else "regression"
    first = model.outputs[0]
    n_outputs = math.prod(model.shapes[first])
    if labels is not None:
        tasks[first], truth = match_labels(
            labels.reshape(len(labels), -1) if labels.ndim > 2 else labels, task, n_samples=count,
            n_outputs=n_outputs)
        return tasks, truth
    if task is not None:
        tasks[first] = choose_task(n_outputs, task=task)
    return tasks, None


def _rows(steps: list[Floats]) -> Floats:
    """Vectors (batch, n) of a tensor outside of scans."""
    (tensor,) = steps
    return tensor.reshape(len(tensor), -1)


def _evaluate(model: Graph, batch: Mapping[str, Floats]) -> _Tensors:
    """Compute all tensors of a model in floating point, bodies of scans included."""
    found: defaultdict[str, list[Floats]] = defaultdict(list)

    computed = evaluate_real(model, batch, watch=lambda path, result: found[path].append(result))
    return found | {name: [tensor] for name, tensor in computed.items()}


def _run_machine(machine: IntegerGraph, batch: Mapping[str, Floats]) -> _Tensors:
    """Compute all tensors in words, as numbers, bodies of scans included."""
    found: defaultdict[str, list[Floats]] = defaultdict(list)

    def watch(path: str, words: Words) -> None:
        found[path].append(dequantise(words, machine.fracs[path]))

    for name, words in machine.run(batch, watch).items():
        found.setdefault(name, [dequantise(words, machine.fracs[name])])
    return dict(found)


class _Errors:
    """Sums of squares of tensors and of their errors, by path."""

    def __init__(self) -> None:
        self._squares: defaultdict[tuple[str, str], float] = defaultdict(float)

    def add(self, model: _Tensors, shared: _Tensors, machine: _Tensors) -> None:
        """Count a batch of the model, the shared weights in floating point, and the machine."""
        for path, steps in machine.items():
            if path not in model:
                continue
            for dense, ideal, fixed in zip(model[path], shared[path], steps, strict=True):
                for name, numbers in (("model", dense), ("shared", ideal),
                                      ("error", fixed - dense), ("rounding", fixed - ideal)):
                    self._squares[path, name] += float((numbers ** 2).sum())

    def ratio(self, path: str, part: str, whole: str) -> float | None:
        """Root of a ratio of sums; None if the whole is zero."""
        power = self._squares[path, whole]
        return (self._squares[path, part] / power) ** 0.5 if power else None


def _judge(model: Graph, tasks: Mapping[str, Task], count: int,
           meters: Mapping[str, Mapping[str, Meter]], retrained: bool) -> dict[str, Any]:
    """Judge each output by the model, the first one by labels, if there are any; the worst counts.
    """
    outputs, judged = [], []
    for number, output in enumerate(name for name in model.outputs if name in meters):
        chosen = {"model": meters[output]["model"]}
        if number == 0 and "labels" in meters:
            chosen["labels"] = meters["labels"]["model"]
        judge = Judge.choose(tasks[output], count, chosen, retrained=retrained)
        scores = {name: meter.score
                  for name, meter in meters["labels" if judge.by == "labels" else output].items()}
        verdict = judge.verdict(scores["arithmetic"])
        if verdict == "good" and judge.constant == 1:    # which any constant answer would be, too
            verdict = "doubtful"
        of_model = meters[output]["arithmetic"].score
        classifies = tasks[output] == "classification"
        outputs.append({"name": output, "shape": list(model.shapes[output]), "verdict": verdict,
                        "agreement": of_model if classifies else None,
                        "r2": None if classifies else of_model})
        judged.append((judge, scores))
    worst = max(range(len(outputs)),
                key=lambda number: (("good", "doubtful", "bad").index(outputs[number]["verdict"]),
                                    -number))
    judge, scores = judged[worst]
    steps = {"model": judge.start} | {name: scores[name] for name in scores if name != "model"}
    found, output = outputs[worst], model.outputs[worst]
    cause = None if found["verdict"] == "good" else "data" if judge.constant == 1 \
        else list(steps)[int(np.argmax(-np.diff(list(steps.values())))) + 1]
    by = meters["labels" if judge.by == "labels" else output]
    labelled = meters.get("labels")
    return {"verdict": found["verdict"], "cause": cause, "output": output,
            "task": tasks[output], "agreement": found["agreement"], "r2": found["r2"],
            "constant": judge.constant,
            "labels": labelled and {
                "model": labelled["model"].score, "network": labelled["arithmetic"].score,
                "constant": labelled["model"].constant, "judge": judge.by == "labels"},
            "bad_outputs": by["arithmetic"].bad_outputs(by["model"], judge.limits[1]),
            "steps": [{"step": name, "score": score} for name, score in steps.items()],
            "outputs": outputs}


def _has_coarse_scaler(network: Graph, nodes: list[dict[str, Any]]) -> bool:
    """Check whether inputs, all in one format, are too coarse for the scales that follow."""
    errors = {node["path"]: node["rounding_error"] or 0.0 for node in nodes}
    origin = {name: name for name in network.inputs}
    for node in network.nodes:
        if isinstance(node.computation, Affine) and node.inputs[0] in origin:
            origin[node.name] = origin[node.inputs[0]]
    return any(errors[name] > max(_COARSE, 10 * errors[source]) for name, source in origin.items())


def _describe_nodes(network: Graph, errors: _Errors, machine: IntegerGraph, retrained: bool
                    ) -> list[dict[str, Any]]:
    rows = []
    for path in (*network.inputs, *(path for path, node in network.walk()
                                    if not isinstance(node.computation, Scan))):
        rows.append({"path": path,
                     "error": None if retrained else errors.ratio(path, "error", "model"),
                     "rounding_error": errors.ratio(path, "rounding", "shared"),
                     "saturated": machine.saturated[path],
                     "elements": machine.counts[path]})
    return rows
