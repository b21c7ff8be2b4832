"""Effect of dense-sparse-dense training: LeNet-5 and the residual network, with a control.

Writes a folder for each network, with checkpoints, `dsd.json` and `dsd.md`. An interrupted run
continues from the checkpoints.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
from convolutional import BATCH, SHAPE, report
from networks import NETWORKS

from eie_bench.dsd import SHARE, make_row, write_comparison
from eie_bench.seeds import SEEDS, last_records
from eie_compiler.training.data import Data, read_data
from eie_compiler.training.loop import train
from eie_compiler.training.recipes import dsd_stages
from eie_compiler.training.torch_module import TorchModule

#: Epochs of each of the three phases, and rates as in convolutional.py; fixed before any run.
OPTIONS: dict[str, dict[str, Any]] = {"lenet5": {"epochs": 3, "rate": 2e-3, "decay": 0.1},
                                      "residual": {"epochs": 2, "rate": 4e-3, "decay": 0.1}}


def compare(name: str, data: Data, folder: Path, seed: int) -> dict[str, Any]:
    """Train with and without a sparse phase, both after the same first phase; return a row."""
    torch.manual_seed(seed)
    module = TorchModule(NETWORKS[name](), SHAPE)
    n_layers = len(module.weights)

    def run(module: TorchModule, step: str, share: float, phases: slice) -> list[dict[str, Any]]:
        print(f"{name}, seed {seed}, {step}:", flush=True)
        stages = dsd_stages(**OPTIONS[name], share=share, n_layers=n_layers, dropout=0.0)
        return last_records(train(
            module, data, stages[phases], seed=seed, batch=BATCH, resume=True,
            checkpoint=folder / f"{step}-{seed}.npz", on_epoch=report))

    dense = run(module, "dense", 0.0, slice(1))
    control, dsd = (dense + run(copy.deepcopy(module), step, share, slice(1, None))
                    for step, share in (("control", 0.0), ("dsd", SHARE)))
    return make_row(seed, control, dsd)


def main() -> None:
    """Compare all networks, or those of `--network`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; examples/lenet/mnist.py makes it")
    parser.add_argument("--network", choices=OPTIONS, action="append",
                        help="network to train; may be given several times; default: all")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/dsd-convolutional"))
    arguments = parser.parse_args()
    for name in arguments.network or OPTIONS:
        folder = arguments.output / name
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for seed in SEEDS:
            data = read_data(arguments.mnist, validation=1 / 12, seed=seed)
            rows.append(compare(name, data, folder, seed))
        print(f"\n{name}\n\n{write_comparison(folder, OPTIONS[name], rows)}", flush=True)


if __name__ == "__main__":
    main()
