"""Workloads of a sweep: single layers and their inputs."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.dead_rows import remove_dead_rows
from eie_compiler.lowering.fixed_point import choose_formats
from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import EIEConfig
from eie_sim.inference import Inference, infer, prepare

from ..paper.nine_layers import LAYERS, make_inputs, make_network
from . import ExploreError
from .sweep import fit

__all__ = ["GivenLayer", "PublishedLayer", "Workload", "network_workloads", "paper_workloads"]


class GivenLayer(NamedTuple):
    """A layer and its inputs.

    Attributes
    ----------
    name : :class:`str`
        Name of the layer.
    layer : :class:`~eie_compiler.network.Layer`
        Its weights.
    inputs : int64 (batch, n_cols)
        Activations in logical order.
    """

    name: str
    layer: Layer
    inputs: NDArray[np.int64]

    def load(self) -> "GivenLayer":
        """Return the workload itself."""
        return self


class PublishedLayer(NamedTuple):
    """One of the nine layers of the paper, generated from its name and a seed."""

    name: str
    seed: int

    def load(self) -> GivenLayer:
        """Generate weights and inputs."""
        return _make(self.name, self.seed)


class Workload(Protocol):
    """Workload as it is sent to a worker."""

    @property
    def name(self) -> str:
        """Name of the layer."""

    def load(self) -> GivenLayer:
        """Return weights and inputs."""


@functools.lru_cache(maxsize=1)    # points are grouped by layer, the largest of which takes 40 MB
def _make(name: str, seed: int) -> GivenLayer:
    published = LAYERS[name]
    return GivenLayer(name, make_network(published, seed).layers[0],
                      make_inputs(published, seed)[np.newaxis])


def paper_workloads(names: Sequence[str], seed: int) -> list[PublishedLayer]:
    """Return layers of the paper by name; all nine if `names` is empty."""
    return [PublishedLayer(name, seed) for name in _choose(names, list(LAYERS))]


def network_workloads(network: CompressedNetwork, inputs: ArrayLike, config: EIEConfig,
                      names: Sequence[str] = ()) -> tuple[list[GivenLayer], Inference]:
    """Return layers of a network, each with the activations computed by its predecessors.

    Dead rows and inputs are removed, as in a build of the whole network with balanced rows. The
    second result is the inference that computed the activations, with what saturated.

    Parameters
    ----------
    inputs
        As for :func:`eie_sim.inference.prepare`.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine whose arithmetic computes the activations.
    names : sequence of :class:`str`
        Names of layers; all if empty.

    Raises
    ------
    ExploreError, VectorError, CompileError
        If a name is unknown, `inputs` do not fit the network, or no machine of that arithmetic can
        run it.
    """
    chosen = _choose(names, [layer.name for layer in network.layers])
    # One PE, which saves memory: the golden model's outputs do not depend on the number of PEs.
    tall = fit(config, n_pe=1, acc_depth=1024, v_width=network.v_width)
    build = compile_network(network, tall, outputs="all")
    inference = infer(build, inputs, engine="golden")
    given = [prepare(build, inputs), *inference.outputs]
    live = remove_dead_rows(tall, network, choose_formats(tall, network))
    columns = [live.inputs, *live.rows]
    return [GivenLayer(layer.name, layer, words[:, kept])
            for layer, words, kept in zip(live.network.layers, given, columns)
            if layer.name in chosen], inference


def _choose(names: Sequence[str], there: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in there:
            raise ExploreError(f"layers must be some of {', '.join(there)}, not {name!r}")
    return [name for name in there if name in names or not names]
