"""Train, prune and compress the network of the demo: 64-128-64-10 on scikit-learn's digits.

Writes `dense.npz`, the weights before compression in a format that `eie compress` reads, and
`digits.npz`, the compressed network, to the given folder or the demo's own. Takes half a minute;
needs the extras [train] and [demo]. The method is that of Deep Compression: train; prune the
smallest weights in steps, each with retraining; share 15 values per layer, and train these.
"""

import sys
from pathlib import Path

import numpy as np

from eie_compiler.compression.compress import compress
from eie_compiler.files.network_file import write_network
from eie_compiler.training.data import Data, Part
from eie_compiler.training.loop import Stage, train
from eie_compiler.training.module import Module
from eie_compiler.training.recipes import dense_stages, pruning_stages, sharing_stage
from eie_compiler.training.weights import write_weights
from eie_sim.demo.digits import FOLDER, load_digits

SEED = 1602
HIDDEN = [128, 64]

#: Final share of the weights of each layer; 19 % of all.
DENSITIES = [0.19, 0.17, 0.5]

V_WIDTH = 4
OPTIONS = {"rate": 2e-3, "decay": 0.1, "dropout": 0.1}
EPOCHS_DENSE, EPOCHS_PRUNED, EPOCHS_SHARED = 80, 60, 30
STEPS = 3


def load() -> Data:
    """Load the digits, without validation data: no option is chosen by them."""
    digits = load_digits()
    parts = [Part(inputs.astype(np.float32), labels) for inputs, labels
             in ((digits.train, digits.train_labels), (digits.test, digits.test_labels))]
    empty = Part(parts[0].inputs[:0], parts[0].targets[:0])
    return Data(parts[0], empty, parts[1])


def main(folder: Path) -> None:
    """Train and compress the network; write both files to a folder."""
    data = load()
    module = Module.new([data.n_inputs, *HIDDEN, data.n_outputs], SEED)

    def learn(stages: list[Stage]) -> None:
        for record in train(module, data, stages, seed=SEED, batch=32):
            if "test" in record:
                print(f"{record['stage']:8}{record['density']:7.1%} density   "
                      f"{1 - record['test']:.2%} accuracy")

    learn(dense_stages(EPOCHS_DENSE, **OPTIONS))
    write_weights(folder / "dense.npz", module.to_model())
    learn([*pruning_stages(STEPS, EPOCHS_PRUNED, DENSITIES, **OPTIONS),
           sharing_stage(EPOCHS_SHARED, v_width=V_WIDTH, kmeans_init="exact",
                         rate=OPTIONS["rate"])])
    network = compress(module.to_model(), v_width=V_WIDTH, calibration=data.train.inputs)
    write_network(folder / "digits.npz", network)
    print(f"{(folder / 'digits.npz').stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
