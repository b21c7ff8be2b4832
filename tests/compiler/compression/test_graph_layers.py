import numpy as np

from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.graph.evaluation import evaluate_real
from support.graphs import layers_and_scan


def test_a_decompressed_graph_computes_with_the_shared_weights():
    graph = layers_and_scan()
    model, x = decompress_graph(graph), np.ones((2, 4, 3))
    fc, = graph.nodes[0].computation.layers
    expected = fc.codebook[fc.codes.toarray()].sum(axis=1) + fc.bias
    np.testing.assert_allclose(evaluate_real(model, {"x": x})["fc"][0, 0],
                               np.maximum(expected, 0) if fc.relu else expected)
