"""The losses from a model to a machine, one after the other."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import MAX_ACC_WIDTH
from eie_hdl.numeric import limits

from ..lowering.arithmetic import IntegerNetwork
from ..lowering.fixed_point import layers_with_inputs, measure_precision
from ..model import Model
from ..network import CompressedNetwork
from .decompress import decompress

__all__ = ["Run", "count_nonzeros", "keep_weights", "successive_runs"]

Floats = NDArray[np.float64]

#: Function of inputs (batch, n_inputs) to the input that is used, then the results of each layer.
Run = Callable[[Floats], Iterable[Floats]]


def successive_runs(model: Model, machine: IntegerNetwork, *, retrained: bool) -> dict[str, Run]:
    """Make runs of which each has one loss more than its predecessor; the last is the machine.

    Parameters
    ----------
    model : :class:`~..model.Model`
        Model before compression.
    machine : :class:`~..lowering.arithmetic.IntegerNetwork`
        Network on the machine.
    retrained : :class:`bool`
        True if the weights were trained after the model was read.

    Returns
    -------
    :class:`dict` of :data:`Run`
        By the loss: ``pruning``, of a model of which weights are missing; ``sharing``, or
        ``retraining`` if the weights were trained as well; ``activation_rounding``;
        ``activation_clipping``; ``weight_rounding``; ``accumulator``, if it costs bits of weights.

    """
    network, config = machine.network, machine.config
    runs: dict[str, Run] = {}
    if not retrained and any(count_nonzeros(before.weight) > after.n_nonzeros
                             for before, after in zip(model.layers, network.layers)):
        runs["pruning"] = keep_weights(model, network).vectors
    runs["retraining" if retrained else "sharing"] = decompress(network).vectors
    runs["activation_rounding"] = _run_rounded(network, None)
    runs["activation_clipping"] = _run_rounded(network, config.act_width)
    if any(measure_precision(config, bound, *inputs).lost_bits for bound, inputs in zip(
            machine.formats, layers_with_inputs(config, network))):
        widest = dataclasses.replace(config, acc_width=MAX_ACC_WIDTH)
        runs["weight_rounding"] = IntegerNetwork(network, widest).vectors
        runs["accumulator"] = machine.vectors
    else:
        runs["weight_rounding"] = machine.vectors
    return runs


def count_nonzeros(weight: NDArray[np.generic] | csc_array) -> int:
    """Count the nonzero weights of a matrix, dense or sparse."""
    return int(np.count_nonzero(weight if isinstance(weight, np.ndarray) else weight.data))


def keep_weights(model: Model, network: CompressedNetwork) -> Model:
    """Keep those weights of a model that a network has."""
    layers = []
    for layer, kept in zip(model.layers, network.layers):
        mask = csc_array((np.ones(kept.n_nonzeros), kept.codes.indices, kept.codes.indptr),
                         shape=kept.codes.shape)
        layers.append(dataclasses.replace(layer, weight=csc_array(mask.multiply(layer.weight))))
    return dataclasses.replace(model, layers=tuple(layers))


def _run_rounded(network: CompressedNetwork, width: int | None) -> Run:
    """Make a run whose activations are rounded and, given a width, saturate."""
    model = decompress(network)
    fracs = [network.input_frac, *(layer.output_frac for layer in network.layers)]

    def round_to(values: Floats, frac: int, nonnegative: bool = False) -> Floats:
        words = np.floor(np.ldexp(values, frac) + 0.5)
        if width is not None:
            low, high = limits(width)
            words = np.clip(words, 0 if nonnegative else low, high)
        return np.ldexp(words, -frac)

    def run(values: Floats) -> Iterator[Floats]:
        values = round_to(model.preprocess(values), fracs[0], network.nonnegative_inputs)
        yield values
        for layer, frac in zip(model.layers, fracs[1:], strict=True):
            values = round_to(layer(values), frac)
            yield values

    return run
