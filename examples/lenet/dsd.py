"""Effect of dense-sparse-dense training: LeNet-300-100 on MNIST, several seeds, with a control.

Writes logs, `dsd.json` and `dsd.md` to a folder.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eie_bench.dsd import SHARE, make_row, write_comparison
from eie_bench.seeds import SEEDS, run_training

#: All options were fixed beforehand.
OPTIONS = {"layers": "300,100", "epochs": 10, "rate": 2e-3, "decay": 0.3, "dropout": 0.2}


def run(mnist: Path, folder: Path, seed: int, share: float) -> list[dict[str, Any]]:
    """Run `eie train`; return the last record of each stage."""
    name = folder / f"{'control' if share == 0 else 'dsd'}-{seed}"
    return run_training(mnist, name, {**OPTIONS, "seed": seed, "dsd": share})


def main() -> None:
    """Train all seeds with and without a sparse phase, one run per processor core at a time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; mnist.py makes it")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/dsd"))
    arguments = parser.parse_args()
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = {(seed, share): pool.submit(run, arguments.mnist, folder, seed, share)
                for seed in SEEDS for share in (0.0, SHARE)}
    rows = [make_row(seed, *(jobs[seed, share].result() for share in (0.0, SHARE)))
            for seed in SEEDS]
    print(write_comparison(folder, OPTIONS, rows))


if __name__ == "__main__":
    main()
