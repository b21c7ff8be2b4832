"""Clock gates: flip-flops with a common enable get their clock through a gate."""

import re

from ..libraries import Library

__all__ = ["DESCRIPTION", "LEAST", "describe_gate", "gate_steps", "is_gate", "unfold_steps"]

#: File with the cells of a gate.
DESCRIPTION = "clock_gate.v"

#: Flip-flops with a common enable that get a gate; fewer keep multiplexers. Of 2, 3, 4, 6, 8 and 12
#: this gives the smallest area, in osu018.
LEAST = 3

_GATE = "eie_clock_gate"


def describe_gate(library: Library) -> str:
    """Write a gate as cells of a library, in Verilog.

    The latch is open while the clock is low, and holds the enable while it is high: no change of
    the enable is a change of the gated clock.
    """
    return f"""module {_GATE} (input clk, input en, output gclk);
    wire low, open;
    {library.clock_gate}
endmodule
"""


def gate_steps() -> list[str]:
    """Commands of Yosys that replace enables of flip-flops by gates, before these are mapped."""
    return [
        # A reset that needs no enable becomes part of the enable, one gate of logic for a word.
        "dfflegalize -cell $_DFF_?_ 01 -cell $_DFFE_??_ 01 -cell $_SDFF_???_ 01 "
        "-cell $_SDFFCE_????_ 01", "opt_merge", "opt_clean",
        f"clockgate -pos {_GATE} en:clk:gclk -min_net_size {LEAST}"]


def unfold_steps() -> list[str]:
    """Commands of Yosys that count the flip-flops at gates, and replace gates by their cells.

    ``gated.json`` gets the flip-flops. The cells of a gate are ``clock_gate_NUMBER_latch`` and so
    on; its output is that of ``clock_gate_NUMBER_gate``.
    """
    return [f"select -set gated t:{_GATE} %x1:+[gclk] w:* %i %x1:+[CLK] w:* %d",
            "tee -o gated.json stat -json @gated",
            f"rename -enumerate -pattern clock_gate_% t:{_GATE}", f"read_verilog {DESCRIPTION}",
            f"flatten -separator _ t:{_GATE}", f"delete {_GATE}"]


def is_gate(cell: str) -> bool:
    """Return whether the output of a cell is a gated clock, by the cell's path."""
    return re.search(r"(^|/)clock_gate_\d+_gate$", cell) is not None
