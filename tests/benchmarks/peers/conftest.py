"""A small network with its images, and rows of a table."""

import numpy as np
import pytest

from eie_bench.peers.row import Row
from eie_bench.peers.tasks import Task
from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.model import Model, ModelLayer


@pytest.fixture
def task():
    """A network of 6, 8 and 3 neurons, with labels that it gives itself."""
    rng = np.random.default_rng(41)
    dense = Model((ModelLayer("a", rng.normal(size=(8, 6)), rng.normal(size=8), True),
                   ModelLayer("b", rng.normal(size=(3, 8)), rng.normal(size=3))))
    images = rng.random((40, 6))
    network = compress(dense, density=0.5, calibration=images)
    model = decompress(network)
    return Task("small", network, model, dense, images, images, model(images).argmax(axis=1))


@pytest.fixture
def row():
    """Factory of rows of a design with 16 multipliers."""
    def make(network="small", design="NNgen", **fields):
        return Row(**{"network": network, "design": design, "accuracy": 0.98765,
                      "dense_accuracy": None, "products": 1024.0, "cycles": 200.5, "latency": 300,
                      "multipliers": 16, "external_bits": 8192, "compared": 80,
                      "cells": {"lut4": 4321, "carry": 7, "flipflops": 999, "dsp": 16,
                                "memory_bits": 65536}, **fields})
    return make
