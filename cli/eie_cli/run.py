"""`eie run`: inferences of a build."""

import io
import sys
from pathlib import Path
from typing import Any, Literal

import click

from .options import (
    BUILD,
    FILE,
    FOLDER,
    Renamed,
    command,
    run_labels_option,
    simulator_option,
    task_option,
)
from .verdict import show_score, warn, warn_of_outputs, warn_of_words

__all__ = ["run_command"]


@command("run")
@click.argument("build", type=BUILD)
@click.option("--input", "inputs", type=FILE, required=True, metavar="X.npy",
              help="Inputs, one per row; of a convolution, images (batch, channels, height, "
                   "width); of a network with several inputs, an .npz file of them by name. "
                   "Numbers, whether integers or floating-point, are rounded to the format of the "
                   "network.")
@click.option("--words", is_flag=True,
              help="Take the inputs as fixed-point words, which are integers.  [default: take them "
                   "as numbers]")
@run_labels_option
@task_option
@click.option("--engine", default="golden", show_default=True,
              type=Renamed(["golden", "cycle-model", "cocotb", "verilator"], rtl="cocotb",
                           fast="verilator"),
              help="Run the golden model alone; predict all counters and cycles too, without "
                   "simulation (needs the extra [bench]); or run the Verilog too, in cocotb, or in "
                   "Verilator without cocotb, which is many times as fast.")
@simulator_option
@click.option("--waves", is_flag=False, flag_value="", metavar="[INSTANCE]",
              help="Record a waveform of all signals, or of one instance such as pe_3, in the "
                   "folder simulation of the output folder; its path is printed.  "
                   "[default: none]")
@click.option("-o", "--output", "folder", type=FOLDER, required=True,
              help="Folder for the outputs, one .npy file per layer or output, and "
                   "statistics.json; with --engine cocotb also the folder simulation, for the log "
                   "and the waveform.")
def run_command(build: Path, inputs: Path, words: bool, labels: Path | None, task: str | None,
                engine: Literal["golden", "cycle-model", "cocotb", "verilator"], simulator: str,
                waves: str | None, folder: Path) -> None:
    """Run inferences.

    Each row of the inputs is an inference, or each pixel of a convolution. BUILD is a folder
    written by `eie compile`. Outputs are fixed-point words: a word y means y / 2 ** f, with the
    fraction_bits f in statistics.json. With --engine cocotb or verilator every bit of the outputs
    is compared with the golden model, and the exit code is 1 if one differs. --engine cycle-model
    gives the outputs of the golden model and the cycles of the Verilog, exactly, in a fraction of
    the time. Inputs and results
    that are beyond their format saturate: they are counted for each layer, under saturation in
    statistics.json, and warned of. With --labels, prints the accuracy of the last layer, or R² if
    its outputs are numbers.

    Of a network that is a graph, an inference is an image, a sequence or a vector, whatever the
    shape of its inputs; results of all its nodes are compared, and cycles are given for each.
    """
    import numpy as np

    from eie_compiler.accuracy import Meter, match_labels
    from eie_compiler.files.json_file import write_json
    from eie_compiler.files.untrusted_npz import read_array
    from eie_compiler.graph_build import GraphBuild
    from eie_compiler.graph_folder import read_any_build
    from eie_compiler.vectors import dequantise
    from eie_hdl.files import staged, write_file
    from eie_hdl.format import Layouts
    from eie_sim.inference import infer, shape_output

    from .console import show_inference, warn_of_saturation, working
    from .run_graph import run_graph

    if task and not labels:
        raise click.UsageError("--task needs --labels")
    if waves is not None and engine != "cocotb":
        raise click.UsageError("--waves needs --engine cocotb: no other engine records signals")
    if engine != "cocotb" and simulator != "verilator":
        raise click.UsageError(f"--sim {simulator} needs --engine cocotb, the only one that runs "
                               f"in it")
    loaded = read_any_build(build)
    if isinstance(loaded, GraphBuild):
        if waves is not None:
            raise click.UsageError("--waves needs a build of a chain of layers, not of a graph")
        run_graph(loaded, inputs, folder, words=words, engine=engine, simulator=simulator,
                  labels=labels, task=task)
        return
    layouts = Layouts.of(loaded.config)
    instances = {name.partition(".")[0] for name, *_ in layouts.images(loaded.config)}
    if waves and waves not in instances:
        raise click.UsageError(f"--waves must name one of {', '.join(sorted(instances))}, "
                               f"not {waves}")
    samples = read_array(inputs)
    measured: dict[str, Any] = dict.fromkeys(("task", "accuracy", "r2", "bad_outputs"))
    if labels:
        answers, last = read_array(labels), loaded.layers[-1]
        meaning, truth = match_labels(answers, task, n_samples=len(np.atleast_2d(samples)),
                                      n_outputs=len(last.columns), patches=loaded.patches)
    with working("running inferences"):
        inference = infer(loaded, samples, words=words, engine=engine,
                          simulator=simulator, waves=waves,
                          folder=folder / "simulation" if engine == "cocotb" else None,
                          end_to_end=engine in ("cycle-model", "verilator"))
    if labels:
        meter = Meter(meaning)
        meter.add(dequantise(inference.outputs[-1], last.frac), truth)
        measured |= {"task": meaning, "bad_outputs": meter.bad_outputs(),
                     "accuracy" if meaning == "classification" else "r2": meter.score}
    with staged(folder, last="statistics.json") as stage:
        for name, output in zip(inference.names, inference.outputs):
            # NumPy's own errors of a full disk name neither the file nor the cause.
            content = io.BytesIO()
            np.save(content, shape_output(loaded, output), allow_pickle=False)
            write_file(stage / f"{name}.npy", content.getvalue())
        write_json(stage / "statistics.json", inference.summary() | {
            "fraction_bits": {vector.name: vector.frac for vector in loaded.outputs},
            "preprocessed": loaded.preprocessing is not None and not words,
            **measured})
    show_inference(str(folder), inference)
    if labels:
        show_score(meaning, meter.score, meter.constant, len(truth))
        warn_of_outputs(measured)
    if words and loaded.preprocessing is not None:
        warn_of_words()
    if inference.all_equal and (samples != samples[:1]).any():
        warn(f"all {len(inference.entries):,} inferences give the same results, although their "
             "inputs differ: check the scale of --input, which should be that of `eie compress "
             "--calibrate`")
    warn_of_saturation(inference)
    if inference.waveform:
        click.echo(f"The waveform is {inference.waveform}.")
    if not inference.ok:
        sys.exit(1)
