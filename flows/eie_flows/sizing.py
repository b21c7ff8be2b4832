"""Machines whose memories are sized for a network, and the cells that they take on a device."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eie_compiler.graph.graph import Graph
from eie_compiler.graph.layers import find_layers
from eie_compiler.lowering.capacity import Needs
from eie_compiler.lowering.lower import lower_network
from eie_compiler.lowering.lowered_network import LoweredNetwork
from eie_compiler.lowering.memory_map import place_activations
from eie_compiler.lowering.strip_choice import choose_strips
from eie_compiler.lowering.strips import set_strips
from eie_compiler.network import CompressedNetwork
from eie_hdl.config import ConfigError, EIEConfig, clog2

from .devices import Device, count_multipliers, count_rams, memory_shapes, ram_rows
from .logic import estimate_luts

__all__ = ["Proposal", "propose", "size_machines"]

#: Share of the LUTs of a device that a design can use, before routing fails.
_USABLE_LUTS = 0.9

#: Bits of an accumulator beyond those of a product, as in the default configuration.
_GUARD_BITS = 8

#: Accumulators of a PE: the default, and more for layers with many rows.
_ACC_DEPTHS = (64, 256)

#: Entries of a spmat word: the default, and half as many for block RAMs that would stay empty.
_ENTRIES_PER_WORD = (8, 4)

#: Most pixels of the strips for which memories are sized; the first that fit a device are taken.
_STRIPS = (16, 8, 4, 2)


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

    @property
    def size(self) -> tuple[int, int, int]:
        """LUTs, or PEs if LUTs are not counted; block RAMs; bits of memory."""
        return (self.config.n_pe if self.luts is None else self.luts, self.rams, self.memory_bits)


def size_machines(network: CompressedNetwork | Graph, device: Device, n_pe: int
                  ) -> list[Proposal]:
    """Propose machines of some PEs, which hold all programs of a network together.

    If the device has room for them, the memories also hold the strips of the convolutions of a
    graph, as long ones as possible.

    Raises
    ------
    CompileError
        If no machine can run the network.
    """
    found = _size(network, device, n_pe)
    if not isinstance(network, Graph) or all(one.lacking for one in found):
        return found
    for most in _STRIPS:
        longer = [one for one in _size(network, device, n_pe, most) if not one.lacking]
        if longer:
            return longer
    return found


def _size(network: CompressedNetwork | Graph, device: Device, n_pe: int, pixels: int = 1
          ) -> list[Proposal]:
    """Propose machines for strips of at most so many pixels."""
    configs: dict[EIEConfig, None] = {}
    for acc_depth in _ACC_DEPTHS:
        networks = _list_networks(network)
        base = _make_base(networks, n_pe, acc_depth)
        if pixels > 1:
            assert isinstance(network, Graph)
            networks = _list_networks(set_strips(network, choose_strips(network, base,
                                                                        most=pixels)))
        n_rows = max(layer.n_rows for each in networks for layer in each.layers)
        if acc_depth == _ACC_DEPTHS[0] or n_rows > n_pe * acc_depth // 2:    # half do not do
            lowered = [lower_network(each, base) for each in networks]
            configs |= dict.fromkeys(_size_memories(base, lowered, device))
    return [propose(config, device) for config in configs]


def _list_networks(network: CompressedNetwork | Graph) -> list[CompressedNetwork]:
    if isinstance(network, CompressedNetwork):
        return [network]
    return list(find_layers(network, CompressedNetwork).values())


def _make_base(networks: Sequence[CompressedNetwork], n_pe: int, acc_depth: int) -> EIEConfig:
    """Make a machine of the networks' widths, without padding and with all memory possible."""
    widths = {name: max([width for network in networks if (width := getattr(network, name))],
                        default=getattr(EIEConfig(), name))
              for name in ("v_width", "act_width", "codebook_width")}
    return EIEConfig(
        n_pe=n_pe, acc_depth=acc_depth, z_width=max(2, clog2(acc_depth)), **widths,
        acc_width=widths["act_width"] + widths["codebook_width"] + _GUARD_BITS,
        spmat_depth=1 << 20, ptr_depth=1 << 20, act_depth=1 << 16, n_codebooks=256,
        program_depth=1 << 12)


def _size_memories(base: EIEConfig, lowered: Sequence[LoweredNetwork], device: Device
                   ) -> Iterator[EIEConfig]:
    """Size the memories for the least rows of vectors, and for two programs in flight."""
    needs: Needs = lowered[0].needs
    for other in lowered[1:]:
        needs = needs | other.needs
    roomy = max(place_activations(base, one.layers, one.sent, one.vectors, one.sources,
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
