"""Squared error and accuracy of shared weights, by where k-means starts and the bits of a code.

    python benchmarks/sharing.py MODEL.npz DATA.npz

MODEL is anything that `eie compress` reads; DATA holds `test_images` and `test_labels`, as MNIST.
What is zero stays zero, and nothing is retrained.
"""

import argparse

import numpy as np

from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.kmeans_inits import KMEANS_INITS
from eie_compiler.frontends import read_model
from eie_compiler.model import Model


def squared_error(model: Model, shared: Model) -> float:
    """Mean over the weights that are not zero."""
    errors = [np.asarray(after.weight[before.weight != 0]) - before.weight[before.weight != 0]
              for before, after in zip(model.layers, shared.layers)]
    return float((np.concatenate(errors) ** 2).mean())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data")
    options = parser.parse_args()
    model = read_model(options.model)
    with np.load(options.data, allow_pickle=False) as data:
        inputs = data["test_images"].reshape(len(data["test_images"]), -1) / 256
        labels = data["test_labels"]

    def accuracy(candidate: Model) -> float:
        return float((candidate(inputs).argmax(axis=1) == labels).mean())

    print(f"as it is: {accuracy(model):.2%}\n\n"
          f"| bits of a code | start | mean squared error | accuracy |\n|---|---|---|---|")
    for v_width in (2, 3, 4, 5, 8):
        for start in KMEANS_INITS:
            shared = decompress(compress(model, v_width=v_width, kmeans_init=start))
            print(f"| {v_width} | {start} | {squared_error(model, shared):.3g} | "
                  f"{accuracy(shared):.2%} |")


if __name__ == "__main__":
    main()
