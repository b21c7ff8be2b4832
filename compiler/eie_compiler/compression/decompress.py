"""Conversion of a compressed network to a floating-point model."""

from scipy.sparse import csc_array

from ..model import Model, ModelLayer
from ..network import CompressedNetwork, Layer

__all__ = ["decompress", "decompress_layer"]


def decompress(network: CompressedNetwork) -> Model:
    """Convert a network to a model with its shared weights, as sparse matrices."""
    return Model(tuple(map(decompress_layer, network.layers)), network.patches,
                 network.preprocessing)


def decompress_layer(layer: Layer) -> ModelLayer:
    """Convert a layer, as :func:`decompress` does."""
    codes = layer.codes
    weight = csc_array((layer.codebook[codes.data], codes.indices, codes.indptr),
                       shape=codes.shape)
    return ModelLayer(layer.name, weight, layer.bias, layer.relu)
