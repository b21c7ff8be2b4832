"""Shared weights of LeNet-5, evenly spaced or by k-means, with and without training.

The network is trained and pruned as in convolutional.py, whose checkpoint of dense training is used
if it is in the same folder. Each column is then one way to share its weights: by either quantiser,
as it is; with training of the shared values (c); and with training of values and labels (c+l).
Writes `quantisers.json` and `quantisers.md`. An interrupted run continues from its checkpoints.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

from convolutional import BATCH, OPTIONS, SHAPE, report, train_dense

from eie_compiler.compression.quantisers import QUANTISERS
from eie_compiler.files.json_file import write_json
from eie_compiler.training.changes import Share
from eie_compiler.training.data import read_data
from eie_compiler.training.loop import Stage, train
from eie_compiler.training.recipes import pruning_stages
from eie_compiler.training.torch_module import TorchModule

NAME = "lenet5"

#: Bits of a code; one of 2 bits names three values besides zero.
V_WIDTHS = (2, 3, 4)

#: Epochs and rate of training of shared values; fixed before any run. The rate is that of pruning,
#: not a tenth of it, as evenly spaced values begin far from their best places.
EPOCHS, RATE = 1, 1e-3

#: Name of a way to train -> number of epochs, and whether labels are updated.
UPDATES = {"none": (0, False), "c": (EPOCHS, False), "c+l": (EPOCHS, True)}


def table(rows: list[dict[str, Any]]) -> str:
    """Format errors in Markdown, a row for each width."""
    errors = {(row["v_width"], row["quantiser"], row["update"]): row["error"] for row in rows}
    columns = [(quantiser, update) for quantiser in reversed(QUANTISERS) for update in UPDATES]
    names = [quantiser if update == "none" else f"{quantiser}, {update}"
             for quantiser, update in columns]
    lines = [f"| bits | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {v_width} | " + " | ".join(f"{errors[v_width, *column]:.2%}"
                                            for column in columns) + " |"
              for v_width in dict.fromkeys(row["v_width"] for row in rows)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train and prune the network, and share its weights in all ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; examples/lenet/mnist.py makes it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/convolutional"))
    arguments = parser.parse_args()
    folder = arguments.output / NAME
    checkpoints = folder / "quantisers"
    checkpoints.mkdir(parents=True, exist_ok=True)
    data = read_data(arguments.mnist, validation=1 / 12, seed=arguments.seed)
    common: dict[str, Any] = {"seed": arguments.seed, "batch": BATCH, "resume": True,
                              "on_epoch": report}
    network, _ = train_dense(NAME, data, folder, arguments.seed)
    pruned = TorchModule(network, SHAPE)
    sparse = OPTIONS[NAME][1]
    stages = pruning_stages(
        sparse["steps"], sparse["epochs"], [sparse["density"][name] for name in pruned.names],
        rate=sparse["rate"], decay=sparse["decay"], dropout=0.0)
    records = train(pruned, data, stages, checkpoint=checkpoints / "pruned.npz", **common)
    rows = []
    for v_width in V_WIDTHS:
        for quantiser in QUANTISERS:
            for update, (epochs, update_labels) in UPDATES.items():
                print(f"{v_width} bits, {quantiser}, {update}:", flush=True)
                stage = Stage("share", epochs, RATE, change=Share(
                    v_width, quantiser=quantiser, update_labels=update_labels))
                *_, last = train(
                    copy.deepcopy(pruned), data, [stage],
                    checkpoint=checkpoints / f"{quantiser}-{v_width}-{update}.npz", **common)
                rows.append({"v_width": v_width, "quantiser": quantiser, "update": update,
                             "error": last["test"], "seconds": last["seconds"]})
    write_json(arguments.output / "quantisers.json", {
        "network": NAME, "seed": arguments.seed, "options": OPTIONS[NAME], "epochs": EPOCHS,
        "rate": RATE, "pruned": records[-1]["test"], "density": pruned.density, "rows": rows})
    text = f"Pruned: {records[-1]['test']:.2%}\n\n{table(rows)}"
    (arguments.output / "quantisers.md").write_text(text, encoding="utf-8")
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
