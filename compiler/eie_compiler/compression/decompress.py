"""Conversion of a compressed network to a floating-point model."""

from scipy.sparse import csc_array

from ..model import Model, ModelLayer
from ..network import CompressedNetwork

__all__ = ["decompress"]


def decompress(network: CompressedNetwork) -> Model:
    """Convert a network to a model with its shared weights, as sparse matrices."""
    return Model(
        tuple(ModelLayer(
            layer.name,
            csc_array((layer.codebook[layer.codes.data], layer.codes.indices, layer.codes.indptr),
                      shape=layer.codes.shape), layer.bias, layer.relu)
            for layer in network.layers),
        network.patches, network.preprocessing)
