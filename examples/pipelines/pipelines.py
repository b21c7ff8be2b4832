"""Measure the accuracy of networks with scalers and normalisations, with 4-bit shared weights.

Each network is trained on data sets that come with scikit-learn, with inputs as they are in the
data set. It then runs in the arithmetic of the machine three times: with its scaler on the host,
with the scaler folded into weights that are shared by k-means alone, and as `eie compress` does it.
"""

import argparse
import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn

from eie_compiler.accuracy import score
from eie_compiler.compression.compress import compress
from eie_compiler.compression.weight_sharing import share_weights
from eie_compiler.files.json_file import write_json
from eie_compiler.frontends.pytorch import from_torch
from eie_compiler.frontends.sklearn import from_sklearn
from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.model import Model, ModelLayer
from eie_hdl.config import EIEConfig

Floats = NDArray[np.float64]

DATA_SETS: dict[str, Callable[..., Any]] = {
    "digits": load_digits, "wine": load_wine, "breast cancer": load_breast_cancer}

V_WIDTH = 4
N_HIDDEN = 32


class Split(NamedTuple):
    """Inputs and classes to train with, then to test."""

    train: Floats
    test: Floats
    train_classes: NDArray[np.int64]
    test_classes: NDArray[np.int64]

    @classmethod
    def of(cls, data_set: str, seed: int) -> "Split":
        """Hold out 40 % of a data set."""
        inputs, classes = DATA_SETS[data_set](return_X_y=True)
        return cls(*train_test_split(inputs, classes, test_size=0.4, random_state=seed,
                                     stratify=classes))


def main() -> None:
    """Measure all networks; write the results and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/pipelines"))
    parser.add_argument("--splits", type=int, default=5,
                        help="train on this many splits of each data set")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows = [measure(data_set, network, options.splits)
            for data_set in DATA_SETS for network in NETWORKS]
    write_json(options.output / "results.json", {"rows": rows})
    (options.output / "results.md").write_text(table(rows), encoding="utf-8")
    print(table(rows), end="")


def measure(data_set: str, network: str, n_splits: int) -> dict[str, Any]:
    """Measure a kind of network; shares of correct answers are means over splits."""
    scores = []
    for seed in range(n_splits):
        split = Split.of(data_set, seed)
        model = NETWORKS[network](split, seed)
        scaled = split
        if model.preprocessing is not None:
            scaled = split._replace(train=model.preprocessing(split.train),
                                    test=model.preprocessing(split.test))
        on_host = dataclasses.replace(model, preprocessing=None)
        scores.append([accuracy(model(split.test), split),
                       accuracy(run_compressed(on_host, scaled), split),
                       accuracy(share_folded(model)(split.test), split),
                       accuracy(run_compressed(model, split), split)])
    return {"data_set": data_set, "network": network, "splits": n_splits, **dict(zip(
        ("model", "scaler_on_host", "folded", "now"), np.mean(scores, axis=0).tolist()))}


def run_compressed(model: Model, split: Split) -> Floats:
    """Compute the scores of the test inputs in the arithmetic of the machine."""
    network = compress(model, v_width=V_WIDTH, calibration=split.train)
    *_, scores = IntegerNetwork(network, EIEConfig()).vectors(split.test)
    return scores


def share_folded(model: Model) -> Model:
    """Fold the preprocessing into the first layer, and share weights by k-means alone."""
    layers = list(model.layers)
    if (preprocessing := model.preprocessing) is not None:
        first = layers[0]
        weight = first.weight * preprocessing.scale
        layers[0] = dataclasses.replace(first, weight=weight,
                                        bias=first.bias - weight @ preprocessing.offset)
    return Model(tuple(dataclasses.replace(layer, weight=_share(layer)) for layer in layers))


def _share(layer: ModelLayer) -> Floats:
    codebook, codes = share_weights(layer.weight.ravel(), (1 << V_WIDTH) - 1)
    shared: Floats = codebook[codes].reshape(layer.weight.shape)
    return shared


def accuracy(scores: Floats, split: Split) -> float:
    """Share of correct answers; two classes may have one score."""
    return score(scores, split.test_classes, "classification")


def train_sklearn(scaler: Any, split: Split, seed: int) -> Model:
    """Train a pipeline of a scaler and a perceptron."""
    pipeline = make_pipeline(scaler, MLPClassifier((N_HIDDEN,), random_state=seed, max_iter=500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(split.train, split.train_classes)
    return from_sklearn(pipeline)


def train_torch(kind: str, split: Split, seed: int) -> Model:
    """Train layers with normalisations: before the first one, or after each ReLU.

    With ``units``, the rows of the first layers are then multiplied by factors from 1/30 to 30,
    which the normalisations after them undo.
    """
    torch.manual_seed(seed)
    n_inputs, n_classes = split.train.shape[1], int(split.train_classes.max()) + 1
    modules = [nn.BatchNorm1d(n_inputs), nn.Linear(n_inputs, N_HIDDEN), nn.ReLU(),
               nn.BatchNorm1d(N_HIDDEN), nn.Linear(N_HIDDEN, n_classes)]
    if kind == "before":
        del modules[3]
    network = nn.Sequential(*modules)
    inputs = torch.tensor(split.train, dtype=torch.float32)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(40):
        for chosen in torch.randperm(len(inputs)).split(32):
            if len(chosen) > 1:    # one input has no variance
                optimiser.zero_grad()
                nn.functional.cross_entropy(
                    network(inputs[chosen]),
                    torch.tensor(split.train_classes)[chosen]).backward()
                optimiser.step()
    if kind == "units":
        _scale_units(network, seed)
    return from_torch(network)


def _scale_units(network: nn.Sequential, seed: int) -> None:
    factors = torch.tensor(30 ** np.random.default_rng(seed).uniform(-1, 1, N_HIDDEN),
                           dtype=torch.float32)
    with torch.no_grad():
        network[1].weight *= factors[:, None]
        network[1].bias *= factors
        epsilon = network[3].eps
        network[3].running_mean *= factors
        network[3].running_var = (network[3].running_var + epsilon) * factors ** 2
        network[3].eps = 0.0


#: Name of each kind of network -> function of a split and a seed to a trained model.
NETWORKS: dict[str, Callable[[Split, int], Model]] = {
    "StandardScaler": lambda split, seed: train_sklearn(StandardScaler(), split, seed),
    "MinMaxScaler": lambda split, seed: train_sklearn(MinMaxScaler(), split, seed),
    "BatchNorm before": lambda split, seed: train_torch("before", split, seed),
    "BatchNorm before and between": lambda split, seed: train_torch("between", split, seed),
    "the same, units of several magnitudes": lambda split, seed: train_torch("units", split, seed)}


def table(rows: list[dict[str, Any]]) -> str:
    """Format the results in Markdown."""
    lines = ["| data set | network | model | scaler on the host | folded | now |", "|---" * 6 + "|"]
    lines += [f"| {row['data_set']} | {row['network']} | " + " | ".join(
        f"{row[name]:.1%}" for name in ("model", "scaler_on_host", "folded", "now")) + " |"
        for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
