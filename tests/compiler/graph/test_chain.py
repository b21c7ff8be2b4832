"""Chains as graphs, of the same results."""

import numpy as np
import pytest

from eie_compiler.graph.chain import from_chain
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.operation import GraphError
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing

IMAGE = Patches((3, 4, 5), (2, 2))
PADDED = Patches((3, 4, 5), (2, 2), (1, 2), padding=(1, 1, 0, 0))


def chain(patches=None, offset=0.0, scale=1.0, name="fc1"):
    """Two layers after preprocessing, one offset and one scale for each of three parts."""
    rng = np.random.default_rng(8)
    offset, scale = (np.repeat(np.broadcast_to(part, 3).astype(float), 4)
                     for part in (offset, scale))
    return Model((ModelLayer(name, rng.normal(size=(6, 12)), rng.normal(size=6), relu=True),
                  ModelLayer("fc2", rng.normal(size=(4, 6)))), patches,
                 Preprocessing(offset, scale), ("a note",))


@pytest.mark.parametrize("split, nodes", [(False, ["output"]), (True, ["fc1", "fc2"])])
@pytest.mark.parametrize("patches, offset", [
    (None, [0.5, -1, 2]), (IMAGE, [0.5, -1, 2]), (PADDED, 0.0)])
def test_a_chain_becomes_a_graph_of_the_same_results(patches, offset, split, nodes):
    model = chain(patches, offset, [2, 40, -1])
    graph = from_chain(model, split=split)
    assert [node.name for node in graph.nodes] == nodes and graph.outputs == (nodes[-1],)
    assert graph.notes == ("a note",)
    assert all(node.computation.preprocessing is None for node in graph.nodes)
    assert graph.preprocessing["input"].scale.shape == ((12,) if patches is None else (3, 1, 1))
    inputs = np.random.default_rng(9).normal(size=(7, *graph.inputs["input"]))
    expected = model(inputs) if patches is None else patches.join(model(patches.cut(inputs)))
    np.testing.assert_allclose(evaluate_real(graph, {"input": inputs})[nodes[-1]], expected)


def test_no_layer_has_the_name_of_the_input():
    assert list(from_chain(chain(name="input"), split=True).inputs) == ["input1"]
    assert list(from_chain(chain(name="input")).inputs) == ["input"]


def test_a_chain_without_preprocessing_becomes_a_graph_without():
    assert from_chain(Model(chain().layers)).preprocessing == {}


def test_preprocessing_that_images_cannot_have_is_refused():
    with pytest.raises(GraphError, match="^offset of a convolution with padding must be 0, as it "
                                         "is not that of the zeros, not -2: subtract it from the "
                                         "images$"):
        from_chain(chain(PADDED, [0, -2, 1]))
    uneven = Preprocessing(np.zeros(12), np.arange(1.0, 13))
    with pytest.raises(GraphError, match="^scale of a convolution must be the same for all "
                                         "elements of a channel, not from 1 to 4: give one for "
                                         "each channel$"):
        from_chain(Model(chain().layers, IMAGE, uneven))
