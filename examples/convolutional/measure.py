"""Errors and cycles of a compressed network, on the golden model and in Verilog."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compression.graph import compress_graph
from eie_compiler.files.graph_file import write_graph
from eie_compiler.frontends import read_model
from eie_compiler.graph.graph import Graph
from eie_compiler.lowering.graph import compile_graph
from eie_hdl.config import EIEConfig
from eie_sim.graph_inference import infer_graph

Labels = NDArray[np.integer[Any]]


def measure(folder: Path, images: NDArray[np.float32], labels: Labels, *, v_width: int,
            n_verilog: int) -> dict[str, Any]:
    """Compress ``shared.onnx`` of a folder to ``network.npz``, and run that on the default machine.

    Parameters
    ----------
    images : float32 (n, channels, height, width)
        Test images in a random order, all of which the golden model runs.
    labels : integers (n,)
        Their classes.
    v_width : :class:`int`
        Width of a codebook index in bits.
    n_verilog : :class:`int`
        Number of the first of them, which also run in Verilog.
    """
    model = read_model(folder / "shared.onnx")
    assert isinstance(model, Graph)
    with np.load(folder / "calibration.npz") as samples:
        network = compress_graph(model, dict(samples), v_width=v_width)
    write_graph(folder / "network.npz", network)
    config = EIEConfig(v_width=v_width)
    build = compile_graph(network, config)
    golden = infer_graph(build, images, engine="golden", progress=_report("golden model"))
    run = infer_graph(build, images[:n_verilog], engine="verilator", progress=_report("Verilog"))

    def error(words: NDArray[np.int64]) -> float:
        return float((words.argmax(axis=1) != labels[:len(words)]).mean())

    (name,), total = network.outputs, run.total
    return {"bytes": (folder / "network.npz").stat().st_size, "pes": build.config.n_pe,
            "images": len(images), "error": error(golden.outputs[name]),
            "saturated": golden.total["saturated"], "seconds": golden.seconds,
            "verilog": {"ok": run.ok, "images": run.batch, "compared": run.compared,
                        "differences": run.differences,
                        "error": error(run.outputs[name]),
                        "cycles": total["cycles"] / run.batch,
                        "net_cycles": total["net_cycles"] / run.batch,
                        "seconds": run.seconds, "nodes": run.summary()["nodes"]}}


def _report(engine: str) -> Any:
    """Make a function that prints each tenth of the progress of an engine."""
    shown = 0

    def report(_step: str, done: int, total: int) -> None:
        nonlocal shown
        if (tenth := 10 * done // total) > shown:
            shown = tenth
            print(f"  {engine}: {10 * tenth} %", flush=True)

    return report
