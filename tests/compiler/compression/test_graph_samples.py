import re

import numpy as np
import pytest

from eie_compiler.compression import graph_samples
from eie_compiler.compression.graph_samples import VectorSample, check_samples, sample_batches
from eie_compiler.errors import CompressError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from support.graphs import SAME_SIZE, Sum, graph_of, random_convolution

SUM = Graph({"a": (2,), "b": (2,)}, (Node("y", Sum(), ("a", "b")),), ("y",))


@pytest.mark.parametrize(("samples", "message"), [
    (None, "calibration must be given for a graph, as an array of samples for each input: 'a' of "
           "shape (samples, 2), 'b' of shape (samples, 2)"),
    ({"a": np.ones((1, 2))}, "calibration must have arrays for 'a' of shape (samples, 2), 'b' of "
                             "shape (samples, 2), not for 'a'"),
    ({"a": np.ones((3, 2)), "b": np.ones((4, 2))},
     "calibration must be numbers of shape (samples, 2) for 'b', one or more samples, and as many "
     "for each input, not float64 of shape (4, 2)"),
    ({"a": np.ones((0, 2)), "b": np.ones((0, 2))},
     "calibration must be numbers of shape (samples, 2) for 'a', one or more samples, and as many "
     "for each input, not float64 of shape (0, 2)"),
    ({"a": np.ones((1, 2)), "b": np.array([["x", "y"]])},
     "calibration must be numbers of shape (samples, 2) for 'b', one or more samples, and as many "
     "for each input, not <U1 of shape (1, 2)"),
    ({"a": np.ones((1, 2)), "b": np.array([[1, np.inf]])},
     "calibration must be finite, but element [0, 1] for 'b' is inf"),
    ({"a": np.float64(1), "b": np.ones((1, 2))},
     "calibration must be numbers of shape (samples, 2) for 'a', one or more samples, and as many "
     "for each input, not float64 of shape ()"),
    ({"a": np.ones(2), "b": np.ones(2)},
     "calibration must be numbers of shape (samples, 2) for 'a', one or more samples, and as many "
     "for each input, not float64 of shape (2,): a single sample x needs that axis too, as "
     "x[np.newaxis]"),
])
def test_samples_must_match_the_inputs(samples, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        check_samples(SUM, samples)


def test_images_with_the_channels_last_are_to_be_transposed():
    network = random_convolution((3, 5, 6), [2], **SAME_SIZE)
    graph = graph_of(network)
    with pytest.raises(CompressError, match=r"not float64 of shape \(4, 5, 6, 3\): images x with "
                                            r"the channels last need x\.transpose\(0, 3, 1, 2\)$"):
        check_samples(graph, {"image": np.ones((4, 5, 6, 3))})
    with pytest.raises(CompressError, match=r"of shape \(4, 6, 5, 3\)$"):
        check_samples(graph, {"image": np.ones((4, 6, 5, 3))})


def test_batches_hold_as_many_samples_as_fit(monkeypatch):
    monkeypatch.setattr(graph_samples, "_BATCH", 200)
    convolution = Model((ModelLayer("a", np.ones((4, 9))),), Patches((1, 5, 5), (3, 3)))
    graph = Graph({"x": (1, 5, 5)}, (Node("y", convolution, ("x",)),), ("y",))
    x = np.arange(5 * 25).reshape(5, 1, 5, 5)
    batches = list(sample_batches(graph, {"x": x}))    # 81 numbers of patches
    assert [some for some, _ in batches] == [slice(0, 2), slice(2, 4), slice(4, 5)]
    for some, batch in batches:
        assert batch["x"].dtype == np.float64
        np.testing.assert_array_equal(batch["x"], x[some])


def test_all_vectors_are_kept_until_there_are_too_many(monkeypatch):
    monkeypatch.setattr(graph_samples, "_MAX_NUMBERS", 3000)
    sample, vectors = VectorSample(3), np.arange(12000).reshape(-1, 3).astype(float)
    sample.add(vectors[:900])
    np.testing.assert_array_equal(sample.vectors, vectors[:900])
    for first in range(900, 4000, 100):
        sample.add(vectors[first:first + 100])
    assert sample.vectors.shape == (1000, 3)
    assert len(np.unique(sample.vectors[:, 0])) == 1000
    # Early and late vectors have the same chance.
    np.testing.assert_allclose(np.quantile(sample.vectors, [0.25, 0.5, 0.75]),
                               [3000, 6000, 9000], rtol=0.15)
