"""Inferences of a build of a graph, for `eie run`."""

import dataclasses
import io
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import numpy as np

from .graph_builds import show_graph_inference, warn_of_graph_saturation
from .progress import progress_bar
from .verdict import show_score, warn, warn_of_outputs, warn_of_words

if TYPE_CHECKING:
    from eie_compiler.graph_build import GraphBuild

__all__ = ["predict_cycles", "read_inputs", "run_graph"]


def predict_cycles(build: "GraphBuild", inputs: Path) -> "GraphBuild":
    """Add the cycles that the cycle model predicts for inputs, the mean of their inferences."""
    from eie_sim.graph_inference import infer_graph

    with progress_bar("golden model") as show:
        inference = infer_graph(build, read_inputs(inputs), engine="cycle-model", progress=show)
    return dataclasses.replace(build, predicted={
        path: {"net_cycles": (node.scaled(node.net_cycles, node.sampled) or 0.0) / inference.batch,
               "cycles": (node.scaled(node.cycles, node.timed) or 0.0) / inference.batch}
        for path, node in inference.nodes.items() if node.on_accelerator})


def run_graph(build: "GraphBuild", inputs: Path, folder: Path, *, words: bool,
              engine: Literal["golden", "cycle-model", "cocotb", "verilator"], simulator: str,
              labels: Path | None, task: str | None) -> None:
    """Run inferences of a graph; write their outputs and statistics, and print them."""
    from eie_compiler.files.json_file import write_json
    from eie_hdl.files import staged, write_file
    from eie_sim.graph_inference import infer_graph

    given = read_inputs(inputs)
    tensors = build.to_words(given, words=words)
    scoring = _Scoring(build, labels, task, tensors.batch) if labels else None
    with progress_bar("golden model") as show:
        inference = infer_graph(build, tensors.words, words=True, engine=engine,
                                simulator=simulator, progress=show,
                                folder=folder / "simulation" if engine == "cocotb" else None)
    inference.saturated_inputs.update(tensors.saturated)
    measured = scoring.measure(inference.outputs) if scoring else dict.fromkeys(
        ("task", "accuracy", "r2", "bad_outputs"))
    fracs = build.graph.fracs or {}
    with staged(folder, last="statistics.json") as stage:
        for name, output in inference.outputs.items():
            content = io.BytesIO()
            np.save(content, output, allow_pickle=False)
            write_file(stage / f"{name}.npy", content.getvalue())
        write_json(stage / "statistics.json", inference.summary() | {
            "fraction_bits": {name: fracs[name] for name in inference.outputs},
            "preprocessed": [] if words else list(build.preprocessing), **measured})
    show_graph_inference(str(folder), inference)
    if scoring:
        scoring.show()
        warn_of_outputs(measured)
    if words and build.preprocessing:
        warn_of_words()
    if inference.all_equal and _differ(given):
        warn(f"all {inference.batch:,} inferences give the same results, although their inputs "
             "differ: check the scale of --input, which should be that of `eie compress "
             "--calibrate`")
    warn_of_graph_saturation(inference, {name: array.size for name, array in tensors.words.items()})
    if not inference.ok:
        sys.exit(1)


def read_inputs(path: Path) -> Any:
    """Read the inputs: an array of the only input, or an .npz file with arrays by name."""
    from eie_compiler.files.untrusted_npz import read_array, read_arrays

    return read_arrays(path) if zipfile.is_zipfile(path) else read_array(path)


def _differ(given: Any) -> bool:
    arrays = given.values() if isinstance(given, dict) else [given]
    return any((array != array[:1]).any() for array in arrays)


class _Scoring:
    """Score of the only output of a graph on labels."""

    def __init__(self, build: "GraphBuild", labels: Path, task: str | None, batch: int) -> None:
        from eie_compiler.accuracy import Meter, match_labels
        from eie_compiler.files.untrusted_npz import read_array

        names = list(build.graph.outputs)
        if len(names) > 1 or len(build.graph.shapes[names[0]]) != 1:
            shapes = ", ".join(f"{name!r} of shape {build.graph.shapes[name]}" for name in names)
            raise click.UsageError("--labels needs a network with one output, a vector, not "
                                   f"{shapes}")
        self._name, self._build = names[0], build
        self._task, self._truth = match_labels(
            read_array(labels), task, n_samples=batch,
            n_outputs=build.graph.shapes[names[0]][0])
        self._meter = Meter(self._task)

    def measure(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Compute the score, as plain JSON."""
        self._meter.add(self._build.to_numbers(outputs)[self._name], self._truth)
        score = self._meter.score
        return {"task": self._task, "bad_outputs": self._meter.bad_outputs(),
                "accuracy": score if self._task == "classification" else None,
                "r2": score if self._task == "regression" else None}

    def show(self) -> None:
        """Print the score."""
        show_score(self._task, self._meter.score, self._meter.constant, len(self._truth))
