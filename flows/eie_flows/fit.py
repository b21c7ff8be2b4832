"""Machines that hold a network on a device: their memories, cells and predicted cycles."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.graph.graph import Graph
from eie_compiler.graph_build import count_vectors, walk_uses
from eie_compiler.lowering.capacity import Needs
from eie_compiler.lowering.load import make_load
from eie_compiler.lowering.lowered_network import LoweredNetwork, lower_network
from eie_compiler.lowering.memory_map import place_activations
from eie_compiler.network import CompressedNetwork
from eie_hdl.config import ConfigError, EIEConfig, clog2
from eie_hdl.numeric import limits
from eie_sim.cycles.model import predict_back_to_back
from eie_sim.inference import prepare

from .devices import DEVICES, Device, count_multipliers, count_rams, memory_shapes, ram_rows
from .logic import estimate_luts

__all__ = ["FitError", "Proposal", "choose", "fit", "propose"]

#: Share of the LUTs of a device that a design can use, before routing fails.
_USABLE_LUTS = 0.9

#: Cycles beside those of the fastest machine of as many PEs, of which the smallest is proposed.
_HARDLY_SLOWER = 1.02

#: Vectors of each program that are predicted back to back.
_SAMPLE = 8

#: Bits of an accumulator beyond those of a product, as in the default configuration.
_GUARD_BITS = 8

#: Accumulators of a PE: the default, and more for layers with many rows.
_ACC_DEPTHS = (64, 256)

#: Entries of a spmat word: the default, and half as many for block RAMs that would stay empty.
_ENTRIES_PER_WORD = (8, 4)


class FitError(ValueError):
    """Device that holds no machine for a network, or none that is fast enough."""


@dataclasses.dataclass(frozen=True)
class Proposal:
    """Machine for a network.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine. Its memories have the rows that the block RAMs they need have.
    luts : :class:`int`, optional
        Estimated LUTs, and so on: see :mod:`.logic`; None if there are none to run out of.
    rams, multipliers, memory_bits : :class:`int`
        Block RAMs, multipliers, and bits of all memories in block RAMs or macros.
    lacking : :class:`dict` of :class:`str` to :class:`float`
        What the device has too little of, and how many times as much is needed.
    cycles : :class:`float`, optional
        Predicted cycles of an inference, back to back with others; None if it was not predicted.
    """

    config: EIEConfig
    luts: int | None
    rams: int
    multipliers: int
    memory_bits: int
    lacking: Mapping[str, float]
    cycles: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**dataclasses.asdict(self), "lacking": dict(self.lacking)}


def fit(network: CompressedNetwork | Graph, device: str, *, inputs: Any = None,
        progress: Callable[[str], None] = lambda step: None) -> list[Proposal]:
    """Propose machines that hold a network on a device, and predict their cycles.

    Parameters
    ----------
    network : :class:`~eie_compiler.network.CompressedNetwork` or \
:class:`~eie_compiler.graph.graph.Graph`
        Compressed network. All programs of a graph are in the memories together.
    device : :class:`str`
        Name of the device, in :data:`~.devices.DEVICES`.
    inputs : array (batch, ...) or mapping of :class:`str` to arrays, optional
        Inputs for which cycles are predicted. By default, each program gets random inputs without
        zeros, for which it takes longest.
    progress : function of :class:`str`
        Called with each step.

    Returns
    -------
    :class:`list` of :class:`Proposal`
        A machine of each number of PEs. Those that the device is too small for have no cycles.

    Raises
    ------
    CompileError, CycleModelError, VectorError
        If no machine can run the network, Numba is missing, or the inputs are not of the network.
    """
    proposals = []
    for proposal, lowered in _propose_all(_list_networks(network), DEVICES[device]):
        if not proposal.lacking:
            config = proposal.config
            progress(f"predicting cycles of {config.n_pe} PEs")
            cycles = _predict(network, config, lowered, inputs)
            proposal = dataclasses.replace(proposal, cycles=cycles)
        proposals.append(proposal)
    return list(_find_best(proposals))


def _find_best(proposals: Sequence[Proposal]) -> Iterator[Proposal]:
    """Find the best machine of each number of PEs.

    It is the smallest of those that fit and are hardly slower than the fastest; or the nearest.
    """
    for n_pe in sorted({one.config.n_pe for one in proposals}):
        alike = [one for one in proposals if one.config.n_pe == n_pe]
        fitting = [one for one in alike if one.cycles is not None]
        if fitting:
            limit = min(one.cycles or 0 for one in fitting) * _HARDLY_SLOWER
            yield min((one for one in fitting if (one.cycles or 0) <= limit), key=_size)
        else:
            yield min(alike, key=lambda one: (max(one.lacking.values()), _size(one)))


def choose(proposals: Sequence[Proposal], device: str, *, max_cycles: float | None = None
           ) -> tuple[Proposal, Proposal]:
    """Return the smallest and the fastest machine that fit, of those that are fast enough.

    Raises
    ------
    FitError
        If there is none.
    """
    fitting = [one for one in proposals if one.cycles is not None]
    if not fitting:
        nearest = min(proposals, key=lambda one: max(one.lacking.values()))
        needs = " and ".join(f"{factor:.1f} times the {what}"
                             for what, factor in nearest.lacking.items())
        raise FitError(f"device must hold the network, but {device} does not: the machine that is "
                       f"nearest, of {nearest.config.n_pe} PEs, needs {needs}: choose a larger "
                       f"device, or compress the network further")
    fastest = min(fitting, key=lambda one: (one.cycles, _size(one)))
    enough = [one for one in fitting if max_cycles is None or (one.cycles or 0) <= max_cycles]
    if not enough:
        raise FitError(f"max_cycles must be {fastest.cycles:,.0f} or more on {device}, not "
                       f"{max_cycles:,.0f}")
    return min(enough, key=lambda one: (_size(one), one.cycles)), fastest


def _size(proposal: Proposal) -> tuple[int, int, int]:
    """LUTs, or PEs if LUTs are not counted; block RAMs; bits of memory."""
    return (proposal.config.n_pe if proposal.luts is None else proposal.luts, proposal.rams,
            proposal.memory_bits)


def _list_networks(network: CompressedNetwork | Graph) -> dict[str, CompressedNetwork]:
    if isinstance(network, CompressedNetwork):
        return {"network": network}
    return {use.path: use.node.computation for use in walk_uses(network)
            if isinstance(use.node.computation, CompressedNetwork)}


def _propose_all(networks: Mapping[str, CompressedNetwork], device: Device
                 ) -> Iterator[tuple[Proposal, list[LoweredNetwork]]]:
    """Propose machines of all numbers of PEs, each with the networks lowered for it."""
    n_rows = max(layer.n_rows for network in networks.values() for layer in network.layers)
    for acc_depth in _ACC_DEPTHS:
        for n_pe in (1 << number for number in range(9)):
            if acc_depth > _ACC_DEPTHS[0] and n_rows <= n_pe * acc_depth // 2:
                continue    # half the accumulators do
            base = _make_base(networks.values(), n_pe, acc_depth)
            lowered = [lower_network(network, base) for network in networks.values()]
            seen = set()
            for config in _size_memories(base, lowered, device):
                if config not in seen:
                    seen.add(config)
                    yield propose(config, device), lowered


def _make_base(networks: Any, n_pe: int, acc_depth: int) -> EIEConfig:
    """Make a machine of the networks' widths, without padding and with all memory possible."""
    widths = {name: max([width for network in networks if (width := getattr(network, name))],
                        default=getattr(EIEConfig(), name))
              for name in ("v_width", "act_width", "codebook_width")}
    return EIEConfig(
        n_pe=n_pe, acc_depth=acc_depth, z_width=max(2, clog2(acc_depth)), **widths,
        acc_width=widths["act_width"] + widths["codebook_width"] + _GUARD_BITS,
        spmat_depth=1 << 20, ptr_depth=1 << 20, act_depth=1 << 16)


def _size_memories(base: EIEConfig, lowered: Sequence[LoweredNetwork], device: Device
                   ) -> Iterator[EIEConfig]:
    """Size the memories for the least rows of vectors, and for two programs in flight."""
    needs: Needs = lowered[0].needs
    for other in lowered[1:]:
        needs = needs | other.needs
    roomy = max(place_activations(base, one.live.network, one.sent,
                                  first_vector=needs.biases).n_words for one in lowered)
    for act_depth, entries_per_word in itertools.product(
            (needs.biases + needs.vectors, roomy), _ENTRIES_PER_WORD):
        try:
            yield _fill_rams(dataclasses.replace(
                base, act_depth=max(2, act_depth), ptr_depth=max(2, needs.pointer_words),
                entries_per_word=entries_per_word,
                spmat_depth=max(-(-int(needs.entries.max()) // entries_per_word),
                                base.acc_depth // entries_per_word + 1),
                n_codebooks=len(needs.codebooks), program_depth=max(2, needs.descriptors)), device)
        except ConfigError:
            continue    # more rows than a memory can have


def _fill_rams(config: EIEConfig, device: Device) -> EIEConfig:
    """Give memories all rows of the block RAMs that they need."""
    # The width of a pointer depends on the rows of the spmat SRAM.
    for parameter, name, limit in (("spmat_depth", "spmat", 1 << 20),
                                   ("ptr_depth", "ptr_even", 1 << 20),
                                   ("act_depth", "act", 1 << 16)):
        rows, bits, _ = memory_shapes(config)[name]
        config = EIEConfig.from_mapping(
            {**config.as_dict(), parameter: min(ram_rows(device, rows, bits), limit)})
    return config


def propose(config: EIEConfig, device: Device) -> Proposal:
    """Estimate the cells of a machine on a device."""
    rams, multipliers = count_rams(device, config), count_multipliers(device, config)
    luts = None if device.luts is None else estimate_luts(device, config)
    lacking = {}
    for what, needed, available in (("LUTs", luts, device.luts and device.luts * _USABLE_LUTS),
                                    ("block RAMs", rams, device.rams),
                                    ("multipliers", multipliers, device.multipliers)):
        if needed is not None and available is not None and needed > available:
            lacking[what] = needed / available
    bits = sum(rows * width * instances for rows, width, instances
               in memory_shapes(config).values())
    return Proposal(config, luts, rams, multipliers, bits, lacking)


def _predict(network: CompressedNetwork | Graph, config: EIEConfig,
             lowered: Sequence[LoweredNetwork], inputs: Any) -> float:
    """Predict cycles of an inference."""
    if isinstance(network, Graph) and inputs is not None:
        from eie_compiler.lowering.graph import compile_graph
        from eie_sim.graph_inference import infer_graph

        result = infer_graph(compile_graph(network, config), inputs, engine="cycle-model")
        return result.total["cycles"] / result.batch
    builds = make_load(config, lowered)
    vectors = [count_vectors(use) for use in walk_uses(network)
               if isinstance(use.node.computation, CompressedNetwork)] \
        if isinstance(network, Graph) else \
        [math.prod(network.patches.output_shape) if network.patches else 1]
    cycles = 0.0
    for build, count in zip(builds, vectors, strict=True):
        words = _draw(build) if inputs is None else prepare(build, inputs)
        words = words[np.linspace(0, len(words) - 1, min(len(words), _SAMPLE)).astype(int)]
        cycles += count * predict_back_to_back(build, words).interval / len(words)
    return cycles


def _draw(build: Build) -> NDArray[np.int64]:
    """Draw inputs without zeros."""
    _, high = limits(build.config.act_width)
    return np.random.default_rng(1).integers(1, high, (_SAMPLE, len(build.input.columns)),
                                             endpoint=True)
