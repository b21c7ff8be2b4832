"""A compressed network as the real weights that it stands for."""

from scipy.sparse import csc_array

from ..model import Model, ModelLayer
from ..network import CompressedNetwork

__all__ = ["decompress"]


def decompress(network: CompressedNetwork) -> Model:
    """Model with the weights that the codes of a network stand for, in sparse form."""
    return Model(
        tuple(ModelLayer(
            layer.name,
            csc_array((layer.codebook[layer.codes.data], layer.codes.indices, layer.codes.indptr),
                      shape=layer.codes.shape), layer.bias, layer.relu)
            for layer in network.layers),
        network.patches)
