"""Published pruned LeNet-300-100 on MNIST, if the data is present; it is not part of the project.
"""

from pathlib import Path

import numpy as np
import pytest

from eie_compiler.compression.compress import compress
from eie_compiler.frontends import read_model
from eie_compiler.lowering.compile import compile_network
from eie_hdl.config import EIEConfig
from eie_sim.inference import infer, prepare

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not (DATA / "mnist.npz").exists() or not (DATA / "lenet300100_pruned.npz").exists(),
    reason="needs mnist.npz and lenet300100_pruned.npz in ../shared/data")


@pytest.fixture(scope="module")
def lenet():
    """Build, inputs and labels."""
    with np.load(DATA / "mnist.npz", allow_pickle=False) as mnist:
        train, test = (mnist[f"{part}_images"].reshape(-1, 784) / 256 for part in ("train", "test"))
        labels = mnist["test_labels"]
    network = compress(read_model(DATA / "lenet300100_pruned.npz"), calibration=train[::20])
    build = compile_network(network, EIEConfig(n_pe=4), outputs="all")
    return build, prepare(build, test), labels


def test_ten_thousand_digits_are_recognised_by_the_golden_model(lenet):
    build, words, labels = lenet
    assert len(words) == 10_000
    scores = infer(build, words, words=True, engine="golden").outputs[-1]
    assert (scores.argmax(axis=1) == labels).mean() >= 0.975


def test_a_hundred_digits_are_right_in_the_hardware_bit_by_bit(lenet, verilator, simulators):
    build, words, labels = lenet
    chosen = np.random.default_rng(300).choice(len(words), 100, replace=False)
    inference = infer(build, words[chosen], words=True, engine="verilator", cache=simulators)
    assert inference.mismatches == []
    assert inference.overflows == 0
    assert (inference.outputs[-1].argmax(axis=1) == labels[chosen]).mean() >= 0.9
