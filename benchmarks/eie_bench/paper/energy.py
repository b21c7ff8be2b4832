"""Energy of a layer: counted operations times published energies for 45 nm.

This is a proxy for comparing machines, not a measurement. Assumptions:

- Reading a 32 KB SRAM takes 5 pJ for 32 bits, a 32-bit multiplication 3.1 pJ, a 32-bit addition
  0.1 pJ (Han et al., ISCA 2016, table I).
- The energy of an access is proportional to the width of the word and to the square root of the
  capacity, as word and bit lines are as long as the sides of the array. A write takes as much as a
  read, and a register file as much as an SRAM of its size.
- The energy of a multiplication is proportional to the product of the widths, that of an addition
  to the width.
- Capacities are those of the machine, independent of use.
- A broadcast column is written to and read from the queue of every PE, even if it is empty there
  and dropped.
- Each node of the LNZD tree takes 0.023 mW at 800 MHz (the same, table II), in all cycles.
- Not included: wires between PEs, clocks, pipeline registers, leakage, loading of inputs and
  sending of results.
"""

import dataclasses

from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import Layouts

from .measure import Measurement
from .nine_layers import CLOCK_MHZ

__all__ = ["PAPER_POWER_MW", "PARTS", "PE_POWER_MW", "Term", "count_energy", "sum_parts"]

#: Published figures in pJ (table I).
SRAM_PJ, MULTIPLY_PJ, ADD_PJ = 5.0, 3.1, 0.1
_SRAM_BITS, _SRAM_CAPACITY, _ALU_BITS = 32, 32 * 1024 * 8, 32

#: Power of one LNZD node, and of the whole published machine, in mW (table II and section 6).
NODE_MW, PAPER_POWER_MW = 0.023, 590.0

#: Power of the parts of a published PE in mW (table II).
PE_POWER_MW = {"spmat": 4.955, "pointers": 1.807, "arithmetic": 1.162, "activations": 1.122,
               "queue": 0.112}

#: Parts of the energy: those of the table, and the broadcast.
PARTS = (*PE_POWER_MW, "broadcast")


@dataclasses.dataclass(frozen=True)
class Term:
    """Energy of one kind of operation.

    Attributes
    ----------
    part, what : :class:`str`
        One of :data:`PARTS`; description.
    count : :class:`int`
        Operations in all PEs.
    picojoules : :class:`float`
        Energy per operation.
    """

    part: str
    what: str
    count: int
    picojoules: float

    @property
    def nanojoules(self) -> float:
        """Total energy."""
        return self.count * self.picojoules / 1000


def access_pj(bits: int, depth: int) -> float:
    """Return the energy in pJ of an access to a memory of `depth` words of `bits`."""
    return SRAM_PJ * bits / _SRAM_BITS * (bits * depth / _SRAM_CAPACITY) ** 0.5


def count_energy(measured: Measurement) -> list[Term]:
    """Compute the energy of a layer from its counters."""
    config, counters, stored = measured.config, measured.counters, measured.stored
    layouts = Layouts.of(config)
    n_nodes = sum(-(-config.n_pe // 4 ** level) for level in range(1, config.n_levels + 1))
    act_bits = ACTS_PER_WORD * config.act_width
    message_bits = config.act_width + layouts.ptr.width + layouts.count.width
    accumulator = access_pj(config.acc_width, config.acc_depth)
    # The MAC also processes each drained row.
    operands = counters["macs"] + config.n_pe * stored.drained_words * ACTS_PER_WORD
    columns = config.n_pe * counters["broadcasts"]
    act_words = config.n_pe * (stored.source_words + 2 * stored.drained_words)
    return [
        Term("spmat", f"spmat word of {layouts.spmat_word.size} bits read",
             counters["spmat_reads"], access_pj(layouts.spmat_word.size, config.spmat_depth)),
        Term("pointers", f"two pointers of {layouts.ptr.width} bits read", counters["ptr_reads"],
             2 * access_pj(layouts.ptr.width, config.ptr_depth)),
        Term("arithmetic", f"{config.act_width} × {config.codebook_width} bits multiplied",
             operands, MULTIPLY_PJ * config.act_width * config.codebook_width / _ALU_BITS ** 2),
        Term("arithmetic", f"{config.acc_width} bits added", operands,
             ADD_PJ * config.acc_width / _ALU_BITS),
        Term("arithmetic", f"codebook entry of {config.codebook_width} bits read",
             operands,
             access_pj(config.codebook_width, config.n_codebooks << config.v_width)),
        Term("activations", f"accumulator of {config.acc_width} bits read and written", operands,
             2 * accumulator),
        Term("activations", f"word of {act_bits} bits scanned, read as bias, or written",
             act_words, access_pj(act_bits, config.act_depth)),
        Term("queue", f"column of {message_bits} bits written and read", columns,
             2 * access_pj(message_bits, config.queue_depth + config.n_in_flight)),
        Term("broadcast", f"cycle of {n_nodes} LNZD nodes", measured.cycles,
             n_nodes * NODE_MW / CLOCK_MHZ * 1000),
    ]


def sum_parts(terms: list[Term]) -> dict[str, float]:
    """Sum the energy in nJ by part."""
    return {part: sum(term.nanojoules for term in terms if term.part == part) for part in PARTS}
