"""Networks that do not read some of their inputs."""

import dataclasses

from scipy.sparse import csc_array


def clear_inputs(network, inputs):
    """Remove all weights of some inputs of a network."""
    first, *others = network.layers
    codes = first.codes.toarray()
    codes[:, inputs] = 0
    return dataclasses.replace(network, layers=(
        dataclasses.replace(first, codes=csc_array(codes)), *others))
