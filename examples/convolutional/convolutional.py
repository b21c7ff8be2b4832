"""LeNet-5, a residual and a shuffle network on MNIST: trained, pruned, shared, run in Verilog.

Writes a folder for each network, with the trained and the compressed model in ONNX, images for the
calibration, the compressed network and `results.json`; and `results.md`.
"""

import argparse
import copy
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import measure
from networks import NETWORKS
from torch import nn

from eie_bench.seeds import last_records
from eie_compiler.files.json_file import write_json
from eie_compiler.training.data import Data, read_data
from eie_compiler.training.loop import train
from eie_compiler.training.recipes import dense_stages
from eie_compiler.training.retrain import compress_module
from eie_compiler.training.torch_module import TorchModule

SHAPE = (1, 28, 28)
V_WIDTH = 4
BATCH = 128

#: Training images for the calibration of the formats.
N_CALIBRATION = 1000

#: Options of training and of compression. Densities of LeNet-5 are those of Deep Compression.
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lenet5": ({"epochs": 12, "rate": 2e-3, "decay": 0.1},
               {"density": {"conv1": 0.66, "conv2": 0.12, "fc1": 0.08, "fc2": 0.19},
                "steps": 4, "epochs": 3, "rate": 1e-3, "decay": 0.1}),
    "residual": ({"epochs": 6, "rate": 4e-3, "decay": 0.1},
                 {"density": {f"block{block}.conv{number}.0": 0.5
                              for block in (1, 2, 3) for number in (1, 2)},
                  "steps": 2, "epochs": 2, "rate": 1e-3, "decay": 0.01}),
    "shuffle": ({"epochs": 6, "rate": 4e-3, "decay": 0.1},
                {"density": {f"unit{unit}.{part}.0": 0.7
                             for unit in (1, 2, 3) for part in ("expand", "project")},
                 "steps": 1, "epochs": 3, "rate": 2e-3, "sharing_rate": 2e-3, "decay": 0.01})}

#: Test images that run in Verilog.
N_VERILOG = {"lenet5": 200, "residual": 20, "shuffle": 50}

#: Errors and size reported by the Deep Compression paper.
PAPER = "Deep Compression, LeNet-5: 0.80 % → 0.74 %, 44 KB, density 8 %"


def train_dense(name: str, data: Data, folder: Path, seed: int
                ) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train all weights of a network; return it and its records."""
    torch.manual_seed(seed)
    network = NETWORKS[name]()
    wrapped = TorchModule(network, SHAPE)
    records = train(wrapped, data, dense_stages(**OPTIONS[name][0], dropout=0.0), seed=seed,
                    batch=BATCH, checkpoint=folder / "dense.npz", resume=True, on_epoch=report)
    return wrapped.release(), records


def make_models(name: str, data: Data, folder: Path, seed: int) -> dict[str, Any]:
    """Train and compress a network; return its number of weights and the records of its stages."""
    network, records = train_dense(name, data, folder, seed)
    export(copy.deepcopy(network), folder / "float.onnx")
    records += compress_module(network, SHAPE, data, v_width=V_WIDTH, seed=seed, batch=BATCH,
                               checkpoint=folder / "sparse.npz", resume=True, on_epoch=report,
                               **OPTIONS[name][1])
    export(network, folder / "shared.onnx")
    return {"weights": sum(weight.numel() for weight in network.parameters() if weight.dim() > 1),
            "stages": last_records(records)}


def report(record: dict[str, Any]) -> None:
    """Print a record of training."""
    errors = [f"{part} error {record[part]:.2%}" for part in ("validation", "test")
              if record.get(part) is not None]
    print(f"  {record['stage']} {record['epoch']}/{record['epochs']}: {', '.join(errors)}, "
          f"density {record['density']:.1%}, {record['seconds']:.0f} s", flush=True)


def export(network: nn.Module, path: Path) -> None:
    """Write a network in ONNX, for any number of images."""
    images = torch.zeros(2, *SHAPE)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)    # torchvision is not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # of PyTorch about itself
        torch.onnx.export(network.eval(), (images,), path, input_names=["image"],
                          output_names=["logits"], opset_version=18, external_data=False,
                          dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)


def table(rows: list[dict[str, Any]]) -> str:
    """Format results in Markdown."""
    lines = ["| network | weights | density | file | error, trained | compressed | golden model, "
             "all digits | Verilog | cycles per digit |", "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        dense, *_, shared = row["stages"]
        run = row["verilog"]
        lines.append(
            f"| {row['network']} | {row['weights']:,} | {shared['density']:.1%} | "
            f"{row['bytes']:,} bytes | {dense['test']:.2%} | {shared['test']:.2%} | "
            f"{row['error']:.2%} | {run['images']} digits, {run['compared']:,} numbers, "
            f"{run['differences']} differ | {run['cycles']:,.0f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Make and run all networks, or those of `--network`; exit code 1 if the Verilog differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; examples/lenet/mnist.py makes it")
    parser.add_argument("--network", choices=NETWORKS, action="append",
                        help="network to make; may be given several times; default: all")
    parser.add_argument("--images", type=int, default=10_000,
                        help="test images for the golden model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/convolutional"))
    arguments = parser.parse_args()
    data = read_data(arguments.mnist, validation=1 / 12, seed=arguments.seed)
    rows = []
    for name in arguments.network or NETWORKS:
        print(f"{name}:", flush=True)
        start = time.perf_counter()
        folder = arguments.output / name
        folder.mkdir(parents=True, exist_ok=True)
        samples = data.train.inputs[:N_CALIBRATION].reshape(-1, *SHAPE)
        np.savez_compressed(folder / "calibration.npz", allow_pickle=False, image=samples)
        made = make_models(name, data, folder, arguments.seed)
        chosen = np.random.default_rng(28).permutation(len(data.test))[:arguments.images]
        rows.append({
            "network": name, "seed": arguments.seed, "options": OPTIONS[name], **made,
            **measure(folder, data.test.inputs[chosen].reshape(-1, *SHAPE),
                      data.test.targets[chosen], v_width=V_WIDTH, n_verilog=N_VERILOG[name]),
            "total_seconds": time.perf_counter() - start})
        write_json(folder / "results.json", rows[-1])
    (arguments.output / "results.md").write_text(table(rows), encoding="utf-8")
    print(f"\n{table(rows)}\n{PAPER}")
    return not all(row["verilog"]["ok"] for row in rows)


if __name__ == "__main__":
    sys.exit(main())
