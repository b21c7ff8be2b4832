"""LeNet-300-100 on MNIST: trained, compressed as in Deep Compression and for EIE, run in Verilog.

Writes weights, networks, logs, `results.json` and `results.md` to a folder. Each network is made by
`eie` commands, which are printed.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from eie_compiler.compression.decompress import decompress
from eie_compiler.files.json_file import write_json
from eie_compiler.files.network_file import read_network
from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.frontends import read_chain
from eie_compiler.lowering.compile import compile_network
from eie_hdl.config import EIEConfig
from eie_sim.inference import infer, prepare

#: Tuned with seed 1, as described in docs/results.md.
TRAIN = {"layers": "300,100", "epochs": 25, "rate": 2e-3, "decay": 0.3, "dropout": 0.2}
RETRAIN = {"density": "0.07,0.09,0.35", "steps": 10, "epochs": 10, "rate": 2e-3, "decay": 0.3,
           "dropout": 0.3}
PUBLISHED = {"epochs": 5, "rate": 1e-3}

#: Model and options of each network: the first as in Deep Compression, the others for the
#: codebooks of EIE with 16 entries.
NETWORKS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "lenet-6bit": ("dense.npz", {**RETRAIN, "v-width": 6, "kmeans-init": "linear"}),
    "lenet-4bit": ("dense.npz", {**RETRAIN, "v-width": 4}),
    "published-4bit": (None, {**PUBLISHED, "v-width": 4})}

#: Networks that also run in Verilog, on the default machine.
IN_VERILOG = ("lenet-4bit", "published-4bit")

#: Errors and size reported by the Deep Compression paper.
PAPER = "Deep Compression, LeNet-300-100: 1.64 % → 1.58 %, 27 KB, density 8 %"


def eie(*arguments: object, **options: object) -> None:
    """Print and run an `eie` command."""
    words = [*map(str, arguments),
             *(f"--{name}={value}" for name, value in options.items())]
    print(f"\n$ eie {shlex.join(words)}", flush=True)
    subprocess.run([Path(sys.executable).with_name("eie"), *words], check=True)


def make_networks(mnist: Path, published: Path | None, folder: Path, seed: int) -> list[str]:
    """Train and compress; return the names of the networks made."""
    common = {"validation": 1 / 12, "seed": seed}
    eie("train", mnist, "-o", folder / "dense.npz", "--resume", log=folder / "dense.jsonl",
        **TRAIN, **common)
    made = []
    for name, (source, options) in NETWORKS.items():
        model = folder / source if source else published
        if model is None:
            print(f"\n{name}: skipped, as it needs PUBLISHED=file")
            continue
        eie("compress", model, "-o", folder / f"{name}.npz", "--resume", retrain=mnist,
            log=folder / f"{name}.jsonl", **options, **common)
        made.append(name)
    return made


def measure(mnist: Path, folder: Path, names: list[str], n_verilog: int) -> list[dict[str, Any]]:
    """Measure errors in floating point, in the golden model and in Verilog, and file sizes.

    The golden model runs all test images; the Verilog of the default machine runs the first
    `n_verilog` in a random order.
    """
    arrays = read_arrays(mnist)
    images = arrays["test_images"].reshape(-1, 784) / 256
    labels = arrays["test_labels"]
    chosen = np.random.default_rng(300100).permutation(len(images))[:n_verilog]

    def error(scores: np.ndarray, labels: np.ndarray = labels) -> float:
        return float((scores.argmax(axis=1) != labels).mean())

    dense = read_chain(folder / "dense.npz")
    rows: list[dict[str, Any]] = [{
        "name": "dense", "error_float": error(dense(images)), "density": 1.0,
        "bytes": 4 * sum(layer.weight.size + layer.bias.size for layer in dense.layers)}]
    for name in names:
        path = folder / f"{name}.npz"
        network = read_network(path)
        weights = [(layer.n_nonzeros, layer.n_rows * layer.n_cols) for layer in network.layers]
        build = compile_network(network, EIEConfig(v_width=network.v_width))
        words = prepare(build, images)
        golden = infer(build, words, words=True, engine="golden")
        row = {
            "name": name, "v_width": network.v_width,
            "densities": [kept / total for kept, total in weights],
            "density": sum(kept for kept, _ in weights) / sum(total for _, total in weights),
            "bytes": path.stat().st_size, "error_float": error(decompress(network)(images)),
            "error_golden": error(golden.outputs[-1]),
            "macs": float(golden.counters["macs"].mean())}
        if name in IN_VERILOG:
            print(f"{name}: {n_verilog:,} images through the Verilog of {build.config.n_pe} PEs",
                  flush=True)
            run = infer(build, words[chosen], words=True, engine="verilator")
            row["verilog"] = {
                "images": n_verilog, "pes": build.config.n_pe, "mismatches": len(run.mismatches),
                "overflows": run.overflows, "error": error(run.outputs[-1], labels[chosen]),
                "cycles": float(run.counters["cycles"].mean()),
                "pe_utilisation": run.pe_utilisation, "seconds": run.seconds}
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Format the rows in Markdown."""
    def percent(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    lines = ["| network | density | file | error, floating point | error, golden model, 10,000 "
             "digits | Verilog | cycles per digit |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        run = row.get("verilog")
        verdict = (f"{run['images']:,} digits, {run['mismatches']} numbers differ" if run else "")
        cycles = f"{run['cycles']:,.0f}" if run else ""
        lines.append(f"| {row['name']} | {percent(row['density'])} | {row['bytes']:,} bytes | "
                     f"{percent(row['error_float'])} | {percent(row.get('error_golden'))} | "
                     f"{verdict} | {cycles} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Make and measure all networks; exit code 1 if hardware and golden model differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; mnist.py makes it")
    parser.add_argument("--published", type=Path, help="weights of a published pruned "
                        "LeNet-300-100, .npz of NAME_weight and NAME_bias")
    parser.add_argument("--images", type=int, default=10_000, help="images for the Verilog")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/lenet"))
    arguments = parser.parse_args()
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    names = make_networks(arguments.mnist, arguments.published, folder, arguments.seed)
    trained = time.perf_counter() - start
    rows = measure(arguments.mnist, folder, names, arguments.images)
    write_json(folder / "results.json", {
        "seed": arguments.seed, "train": TRAIN, "retrain": RETRAIN, "published": PUBLISHED,
        "seconds": {"training": trained, "all": time.perf_counter() - start}, "networks": rows})
    (folder / "results.md").write_text(table(rows), encoding="utf-8")
    print(f"\n{table(rows)}\n{PAPER}")
    print(f"{time.perf_counter() - start:.0f} seconds, {trained:.0f} of them training")
    differ = [row["name"] for row in rows
              if "verilog" in row and (row["verilog"]["mismatches"] or row["verilog"]["overflows"])]
    return bool(differ)


if __name__ == "__main__":
    sys.exit(main())
