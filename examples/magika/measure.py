"""Compress parts of Magika's network without retraining, and run them in the hardware.

Magika classifies files by type. Its fully connected head and its convolution are imported from the
published ONNX file, compressed, and run in simulated Verilog, with every output compared with the
golden model. The inputs are features that the original network computes for files of the Python
library and of installed packages.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from features import CONV, HEAD, MODEL, load_files, run_original, take_bytes
from numpy.typing import NDArray

from eie_compiler.compression.compress import compress
from eie_compiler.files.json_file import to_json, write_json
from eie_compiler.files.network_file import write_network
from eie_compiler.frontends import read_chain
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model
from eie_compiler.vectors import dequantise
from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits
from eie_sim.inference import infer, prepare

#: Machine for both parts: 256 shared weights, and 40,960 weights of the convolution in each PE.
CONFIG = EIEConfig(n_pe=16, v_width=8, n_codebooks=1, spmat_depth=5120)

#: Width of a code in bits, and density.
SETTINGS = [(v_width, density) for v_width in (8, 4) for density in (1.0, 0.5, 0.25)]

#: Files for the convolution, one image each: to choose the formats, and to test.
N_CALIBRATION, N_TEST = 32, 8


def main() -> None:
    """Measure all settings; write the results and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/magika"))
    parser.add_argument("--files", type=int, default=128,
                        help="files whose scores the hardware computes, in each setting")
    parser.add_argument("--patches", type=int, default=32,
                        help="pixels of the convolution that the hardware computes")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    content = take_bytes(load_files())
    calibration, test = content[::2], content[1::2]
    print(f"{len(calibration)} files to choose the formats, {len(test)} to test")
    rows = []
    for name, part, chosen, tested, n_words in (
            ("head", HEAD, calibration, test, options.files),
            ("conv", CONV, _few(calibration, N_CALIBRATION), _few(test, N_TEST), options.patches)):
        seen, _ = run_original(chosen, part)
        features, results = run_original(tested, part)
        model = read_chain(MODEL, first=part.first, last=part.last)
        for v_width, density in SETTINGS:
            row = {"part": name, "v_width": v_width, "density": density,
                   **measure(model, seen, features, results, v_width, density, n_words,
                             options.output / f"{name}-{v_width}-{density}.npz")}
            rows.append(row)
            print(to_json(row, indent=None), flush=True)
            if not row["exact"]:
                raise SystemExit(f"{name}: the hardware differs from the golden model")
    write_json(options.output / "results.json", {"rows": rows})
    (options.output / "results.md").write_text(table(rows), encoding="utf-8")


def measure(model: Model, seen: NDArray[np.float64], features: NDArray[np.float64],
            results: NDArray[np.float64], v_width: int, density: float, n_words: int, path: Path
            ) -> dict[str, Any]:
    """Compress a part of the network and compare it with the original.

    Parameters
    ----------
    seen : (samples, ...)
        Inputs for the choice of formats.
    features, results : (samples, ...)
        Inputs of the part, and results of the original.
    n_words : :class:`int`
        Number of inputs for the hardware; the golden model runs all.
    path : :class:`~pathlib.Path`
        Network file to write.
    """
    network = compress(model, density=density, v_width=v_width, calibration=seen)
    write_network(path, network)
    build = compile_network(network, dataclasses.replace(CONFIG, v_width=v_width))
    words = prepare(build, features)
    (output,) = infer(build, words, words=True, engine="golden").outputs
    found = dequantise(output, build.outputs[0].frac)
    # One row per pixel of a convolution.
    expected = np.moveaxis(results, 1, -1).reshape(found.shape)
    cosine = ((found * expected).sum(axis=1)
              / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1))
    hardware = infer(build, _few(words, n_words), words=True, engine="verilator")
    n_weights = sum(layer.codes.shape[0] * layer.codes.shape[1] for layer in network.layers)
    return {
        "weights": n_weights, "bytes_float32": 4 * n_weights, "bytes": path.stat().st_size,
        "samples": len(found), "cosine": float(cosine.mean()), "cosine_least": float(cosine.min()),
        "mse": float(((found - expected) ** 2).mean()), "variance": float(expected.var()),
        "saturated": int(np.isin(output, limits(CONFIG.act_width)).sum()),
        "same_greatest": float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        "in_hardware": len(hardware.outputs[0]), "numbers_compared": hardware.outputs[0].size,
        "exact": hardware.ok, "cycles": float(hardware.counters["cycles"].mean())}


def _few(samples: NDArray[Any], count: int) -> NDArray[Any]:
    """Select evenly spaced samples."""
    return samples[np.unique(np.linspace(0, len(samples) - 1, count, dtype=int))]


def table(rows: list[dict[str, Any]]) -> str:
    """Format the results in Markdown."""
    columns = ["part", "bits per code", "density", "file, bytes", "of float32",
               "cosine, mean (least)", "squared error, of the variance", "same label",
               "equal in RTL", "cycles"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        same = f"{row['same_greatest']:.1%}" if row["part"] == "head" else "–"
        lines.append(
            f"| {row['part']} | {row['v_width']} | {row['density']:.0%} | {row['bytes']:,} | "
            f"1 / {row['bytes_float32'] / row['bytes']:.1f} | {row['cosine']:.5f} "
            f"({row['cosine_least']:.3f}) | {row['mse'] / row['variance']:.3%} | {same} | "
            f"{row['in_hardware']} × {row['numbers_compared'] // row['in_hardware']} | "
            f"{row['cycles']:,.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
