"""Effect of dense-sparse-dense training: LeNet-300-100 on MNIST, several seeds, with a control.

The control has the same seeds, stages, epochs and rates, but no weights held at zero. Writes logs,
`dsd.json` and `dsd.md` to a folder.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eie_compiler.files.json_file import write_json

#: Share of weights held at zero, 0.25 to 0.5 in the paper. All options were fixed beforehand.
SHARE = 0.3
OPTIONS = {"layers": "300,100", "epochs": 10, "rate": 2e-3, "decay": 0.3, "dropout": 0.2}
SEEDS = (1, 2, 3)


def run(mnist: Path, folder: Path, seed: int, share: float) -> list[dict[str, Any]]:
    """Run `eie train`; return the last record of each stage."""
    name = folder / f"{'control' if share == 0 else 'dsd'}-{seed}"
    log = name.with_suffix(".jsonl")
    options = {**OPTIONS, "seed": seed, "dsd": share, "log": log}
    subprocess.run(
        [Path(sys.executable).with_name("eie"), "train", mnist, "-o", name.with_suffix(".npz"),
         "--resume", *(f"--{option}={value}" for option, value in options.items())],
        check=True, stdout=subprocess.DEVNULL)
    records = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    return [record for record in records if "test" in record]


def table(rows: list[dict[str, Any]]) -> str:
    """Format rows and their mean in Markdown: errors in percent, changes in points."""
    changes = [row["change"] for row in rows]
    lines = ["| seed | after the first phase | control | DSD | change |", "|---|---|---|---|---|"]
    lines += [f"| {row['seed']} | {row['dense']:.2%} | {row['control']:.2%} | {row['dsd']:.2%} | "
              f"{100 * row['change']:+.2f} |" for row in rows]
    means = [statistics.mean(row[key] for row in rows) for key in ("dense", "control", "dsd")]
    lines.append(f"| mean | {' | '.join(f'{mean:.2%}' for mean in means)} | "
                 f"{100 * statistics.mean(changes):+.2f} ± {100 * statistics.stdev(changes):.2f} |")
    return "\n".join(lines) + "\n"


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
    rows = []
    for seed in SEEDS:
        control, dsd = (jobs[seed, share].result() for share in (0.0, SHARE))
        rows.append({"seed": seed, "dense": dsd[0]["test"], "control": control[-1]["test"],
                     "dsd": dsd[-1]["test"], "change": dsd[-1]["test"] - control[-1]["test"],
                     "stages": {"control": control, "dsd": dsd}})
    write_json(folder / "dsd.json", {"share": SHARE, "options": OPTIONS, "rows": rows})
    (folder / "dsd.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
