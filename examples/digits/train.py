"""Train, prune and compress the network of the demo: 64-128-64-10 on scikit-learn's digits.

Writes `dense.npz`, the weights before compression in the form that `eie compress` reads, and
`digits.npz`, the compressed network, to the folder that is given, or else to the demo's own. Takes
half a minute; needs the extras [train] and [demo]. The method is that of Deep Compression: train;
prune the smallest weights in steps and retrain what is left; share 15 values a layer, and train
these.
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

#: Share of the weights that is left in each layer; 19 % of all.
DENSITIES = [0.19, 0.17, 0.5]

V_WIDTH = 4
HOW = {"rate": 2e-3, "decay": 0.1, "dropout": 0.1}
EPOCHS_DENSE, EPOCHS_PRUNED, EPOCHS_SHARED = 80, 60, 30
STEPS = 3


def load() -> Data:
    """The digits; no validation data are held out, since nothing is chosen."""
    digits = load_digits()
    parts = [Part(inputs.astype(np.float32), labels) for inputs, labels
             in ((digits.train, digits.train_labels), (digits.test, digits.test_labels))]
    nothing = Part(parts[0].inputs[:0], parts[0].targets[:0])
    return Data(parts[0], nothing, parts[1])


def main(folder: Path) -> None:
    """Write both files to a folder."""
    data = load()
    module = Module.new([data.n_inputs, *HIDDEN, data.n_outputs], SEED)

    def learn(stages: list[Stage]) -> None:
        for record in train(module, data, stages, seed=SEED, batch=32):
            if "test" in record:
                print(f"{record['stage']:8}{record['density']:7.1%} left   "
                      f"{1 - record['test']:.2%} right")

    learn(dense_stages(EPOCHS_DENSE, **HOW))
    write_weights(folder / "dense.npz", module.to_model())
    learn([*pruning_stages(STEPS, EPOCHS_PRUNED, DENSITIES, **HOW),
           sharing_stage(EPOCHS_SHARED, v_width=V_WIDTH, kmeans_init="exact", rate=HOW["rate"])])
    network = compress(module.to_model(), v_width=V_WIDTH, calibration=data.train.inputs)
    write_network(folder / "digits.npz", network)
    print(f"{(folder / 'digits.npz').stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
