"""Train, prune and compress the network of the demo: 64-128-64-10 on scikit-learn's digits.

Writes `dense.npz`, the weights before compression in the form that `eie compress` reads, and
`digits.npz`, the compressed network. Takes ten seconds. The method is that of Deep Compression:
train; prune the smallest weights in steps and retrain what is left; share 15 values a layer, by
k-means, and train these.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compress import compress_dense
from eie_compiler.network import CompressedNetwork
from eie_sim.digits import Digits, load_digits

Floats = NDArray[np.float64]

FOLDER = Path(__file__).parent
SEED = 1602
SIZES = [64, 128, 64, 10]
NAMES = ["fc1", "fc2", "fc3"]

#: Share of the weights that is left in each layer after each step; 19 % of all at the end.
DENSITIES = [(0.5, 0.5, 0.8), (0.3, 0.3, 0.6), (0.19, 0.17, 0.5)]
V_WIDTH = 4

EPOCHS_DENSE, EPOCHS_PRUNED, EPOCHS_SHARED = 80, 60, 30
BATCH = 32
DECAY = 1e-4


def forward(weights: list[Floats], biases: list[Floats], x: Floats) -> list[Floats]:
    """Values of all layers, the input first; ReLU after all but the last."""
    values = [x]
    for layer, (weight, bias) in enumerate(zip(weights, biases)):
        x = x @ weight.T + bias
        values.append(np.maximum(x, 0) if layer < len(weights) - 1 else x)
        x = values[-1]
    return values


def gradients(weights: list[Floats], biases: list[Floats], x: Floats, labels: NDArray[np.int64]
              ) -> tuple[list[Floats], list[Floats]]:
    """Gradients of the cross entropy by weights and biases."""
    values = forward(weights, biases, x)
    scores = np.exp(values[-1] - values[-1].max(axis=1, keepdims=True))
    error = scores / scores.sum(axis=1, keepdims=True)
    error[np.arange(len(x)), labels] -= 1
    error /= len(x)
    by_weight, by_bias = [], []
    for weight, below in zip(reversed(weights), reversed(values[:-1])):
        by_weight.append(error.T @ below)
        by_bias.append(error.sum(axis=0))
        error = (error @ weight) * (below > 0)
    return by_weight[::-1], by_bias[::-1]


def fit(parameters: list[Floats], biases: list[Floats], digits: Digits, epochs: int, rate: float,
        rng: np.random.Generator, expand: Callable[[int, Floats], Floats],
        reduce: Callable[[int, Floats], Floats]) -> None:
    """Train `parameters` and `biases` in place, with Adam.

    `expand` makes the weights of a layer of its parameters; `reduce` makes the gradient by the
    parameters of that by the weights.
    """
    trained = [*parameters, *biases]
    first, second = [[np.zeros_like(value) for value in trained] for _ in range(2)]
    step = 0
    for epoch in range(epochs):
        order = rng.permutation(len(digits.train))
        for start in range(0, len(order), BATCH):
            chosen = order[start:start + BATCH]
            step += 1
            weights = [expand(layer, value) for layer, value in enumerate(parameters)]
            by_weight, by_bias = gradients(weights, biases, digits.train[chosen],
                                           digits.train_labels[chosen])
            by_parameter = [reduce(layer, gradient + DECAY * weight) for layer, (gradient, weight)
                            in enumerate(zip(by_weight, weights))]
            pace = rate * (1 - epoch / epochs)
            for value, mean, square, gradient in zip(trained, first, second,
                                                     [*by_parameter, *by_bias]):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient ** 2 - square)
                value -= pace * (mean / (1 - 0.9 ** step)) / (
                    np.sqrt(square / (1 - 0.999 ** step)) + 1e-8)


def accuracy(weights: list[Floats], biases: list[Floats], digits: Digits) -> float:
    """Share of the held-out images that are recognised."""
    scores = forward(weights, biases, digits.test)[-1]
    return float((scores.argmax(axis=1) == digits.test_labels).mean())


def train(digits: Digits) -> tuple[dict[str, NDArray[np.float32]], CompressedNetwork]:
    """Dense weights and the compressed network; prints the accuracy after every step."""
    rng = np.random.default_rng(SEED)
    weights = [rng.normal(0, np.sqrt(2 / n_in), (n_out, n_in))
               for n_in, n_out in zip(SIZES, SIZES[1:])]
    biases = [np.zeros(n_out) for n_out in SIZES[1:]]

    fit(weights, biases, digits, EPOCHS_DENSE, 2e-3, rng,
        expand=lambda _, value: value, reduce=lambda _, gradient: gradient)
    print(f"dense       {accuracy(weights, biases, digits):.2%}")
    dense = {f"{name}.{kind}": value.astype(np.float32)
             for name, *pair in zip(NAMES, weights, biases)
             for kind, value in zip(("weight", "bias"), pair)}

    for densities in DENSITIES:
        masks = [np.abs(weight) >= np.quantile(np.abs(weight), 1 - density)
                 for weight, density in zip(weights, densities)]
        for weight, mask in zip(weights, masks):
            weight *= mask
        fit(weights, biases, digits, EPOCHS_PRUNED, 1e-3, rng, expand=lambda _, value: value,
            reduce=lambda layer, gradient, masks=masks: gradient * masks[layer])    # type: ignore[misc]
        kept = sum(mask.sum() for mask in masks) / sum(mask.size for mask in masks)
        print(f"{kept:6.1%} left {accuracy(weights, biases, digits):.2%}")

    shared = compress(weights, biases, digits)
    codes = [layer.codes.toarray() for layer in shared.layers]
    books = [layer.codebook.copy() for layer in shared.layers]

    def members(layer: int, gradient: Floats) -> Floats:
        """Gradient by a shared value: the sum of those by its weights. Code 0 stays zero."""
        total = np.zeros(1 << V_WIDTH)
        np.add.at(total, codes[layer], gradient)
        total[0] = 0
        return total

    fit(books, biases, digits, EPOCHS_SHARED, 2e-4, rng,
        expand=lambda layer, book: book[codes[layer]], reduce=members)
    weights = [book[code] for book, code in zip(books, codes)]
    print(f"shared      {accuracy(weights, biases, digits):.2%}")
    return dense, compress(weights, biases, digits)


def compress(weights: list[Floats], biases: list[Floats], digits: Digits) -> CompressedNetwork:
    """Share values by k-means; what is pruned already is all that is pruned."""
    return compress_dense(list(zip(NAMES, weights, biases)), density=1.0, v_width=V_WIDTH,
                          calibration=digits.train)


if __name__ == "__main__":
    dense, network = train(load_digits())
    np.savez_compressed(FOLDER / "dense.npz", allow_pickle=False, **dense)
    network.save(FOLDER / "digits.npz")
    print(f"{(FOLDER / 'digits.npz').stat().st_size:,} bytes")
