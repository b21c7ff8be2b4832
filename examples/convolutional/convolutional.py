"""LeNet-5, a residual and a shuffle network on MNIST: trained, pruned, with 15 shared weights.

Writes to a folder, for each network, the trained and the compressed model in ONNX, training images
for the calibration, logs, `results.json` and `results.md`.
"""

import argparse
import copy
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import NETWORKS
from torch import nn

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
    "shuffle": ({"epochs": 10, "rate": 4e-3, "decay": 0.1},
                {"density": {f"unit{unit}.{part}.0": 0.5
                             for unit in (1, 2, 3) for part in ("expand", "project")},
                 "steps": 2, "epochs": 3, "rate": 1e-3, "decay": 0.01})}


def make_models(name: str, data: Data, folder: Path, seed: int) -> list[dict[str, Any]]:
    """Train and compress a network; return the last record of each stage."""
    torch.manual_seed(seed)
    network = NETWORKS[name]()
    dense, sparse = OPTIONS[name]
    common: dict[str, Any] = {"seed": seed, "batch": BATCH, "resume": True, "on_epoch": report}
    stages = dense_stages(dense["epochs"], rate=dense["rate"], decay=dense["decay"], dropout=0.0)
    wrapped = TorchModule(network, SHAPE)
    records = train(wrapped, data, stages, checkpoint=folder / "dense.npz", **common)
    wrapped.release()
    export(copy.deepcopy(network), folder / "float.onnx")
    records += compress_module(network, SHAPE, data, v_width=V_WIDTH,
                               checkpoint=folder / "sparse.npz", **sparse, **common)
    export(network, folder / "shared.onnx")
    return [record for record in records if "test" in record]


def report(record: dict[str, Any]) -> None:
    """Print a record of training."""
    errors = [f"{part} error {record[part]:.2%}" for part in ("validation", "test")
              if record.get(part) is not None]
    print(f"  {record['stage']} {record['epoch']}/{record['epochs']}: {', '.join(errors)}, "
          f"density {record['density']:.1%}, {record['seconds']:.0f} s", flush=True)


def export(network: nn.Module, path: Path) -> None:
    """Write a network in ONNX, for any number of images."""
    images = torch.zeros(2, *SHAPE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # of PyTorch about itself
        torch.onnx.export(network.eval(), (images,), path, input_names=["image"],
                          output_names=["logits"], opset_version=18, external_data=False,
                          dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False)


def main() -> None:
    """Make all networks, or those of `--network`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; examples/lenet/mnist.py makes it")
    parser.add_argument("--network", choices=NETWORKS, action="append",
                        help="network to make; may be given several times; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/convolutional"))
    arguments = parser.parse_args()
    data = read_data(arguments.mnist, validation=1 / 12, seed=arguments.seed)
    for name in arguments.network or NETWORKS:
        print(f"{name}:", flush=True)
        start = time.perf_counter()
        folder = arguments.output / name
        folder.mkdir(parents=True, exist_ok=True)
        samples = data.train.inputs[:N_CALIBRATION].reshape(-1, *SHAPE)
        np.savez_compressed(folder / "calibration.npz", allow_pickle=False, image=samples)
        records = make_models(name, data, folder, arguments.seed)
        write_json(folder / "results.json", {
            "network": name, "seed": arguments.seed, "options": OPTIONS[name], "stages": records,
            "seconds": time.perf_counter() - start})


if __name__ == "__main__":
    main()
