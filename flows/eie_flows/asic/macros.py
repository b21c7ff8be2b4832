"""Memories as named macros: wrapper, black boxes, Liberty and LEF, with estimated figures."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eie_hdl.config import clog2
from eie_hdl.export.memories import MemoryKind
from eie_hdl.export.names import DEFAULT_NAME

from ..libraries import Process

__all__ = ["MACRO_BITS", "Macro", "describe_blackboxes", "describe_lef",
           "describe_liberty", "describe_models", "describe_wrappers", "list_macros"]

#: Register files of fewer bits are built from flip-flops.
MACRO_BITS = 1024


@dataclass(frozen=True)
class Macro:
    """A memory with one read and one write port. All figures are estimates.

    Attributes
    ----------
    words, bits : :class:`int`
        Rows, and bits of a row.
    block : :class:`bool`
        Synchronous read as by ``eie_sram`` if true; asynchronous read, as ``eie_regfile`` needs
        after its address register, if false.
    count : :class:`int`
        Instances in the machine.
    process : :class:`~eie_flows.libraries.Process`
        Process.
    prefix : :class:`str`
        Name of the machine.
    """

    words: int
    bits: int
    block: bool
    count: int
    process: Process
    prefix: str = DEFAULT_NAME

    @property
    def name(self) -> str:
        """Name of the module."""
        return f"{self.prefix}_{'ram' if self.block else 'rf'}_{self.words}x{self.bits}"

    @property
    def address(self) -> int:
        """Bits of an address."""
        return clog2(self.words)

    @property
    def area(self) -> float:
        """Area in µm².

        OpenRAM's published macros for sky130 with a second read port, of 1, 2, 4 and 8 KiB, are
        within 4 % of 105,000 µm² + 10.4 µm² a bit. Small memories are taken as latches with a
        tri-state buffer each, 25 µm² a bit. Other processes: times the square of the gate length.
        """
        total = self.words * self.bits
        return min(105_000 + 10.4 * total, 25.0 * total) * (self.process.node / 130) ** 2

    @property
    def access(self) -> float:
        """Time from the clock, or from an address, to the data in ns: 10 + log2(words) FO4."""
        return (10 + math.log2(self.words)) * self.process.fo4

    @property
    def setup(self) -> float:
        """Setup of all inputs in ns: 4 FO4."""
        return 4 * self.process.fo4

    @property
    def energy(self) -> float:
        """Energy of a read or write in pJ.

        5 pJ for 32 bits of 32 KiB at 45 nm and 1 V (Han et al., ISCA 2016, Table I); in proportion
        to the width, the gate length, the square of the supply, and the root of the size.
        """
        return (5.0 * self.bits / 32 * math.sqrt(self.words * self.bits / (32 * 1024 * 8))
                * self.process.node / 45 * self.process.volts ** 2)

    def ports(self) -> list[tuple[str, str, int]]:
        """List direction, name and width of each port, the width 0 for a single wire."""
        enable = [("input", "r_en", 0)] if self.block else []
        return [("input", "clk", 0), *enable, ("input", "r_addr", self.address),
                ("output", "r_data", self.bits), ("input", "w_en", 0),
                ("input", "w_addr", self.address), ("input", "w_data", self.bits)]


def list_macros(memories: Iterable[MemoryKind], process: Process, prefix: str = DEFAULT_NAME, *,
                least: int = MACRO_BITS) -> list[Macro]:
    """List the macros of a machine: all block RAMs, and register files of at least so many bits."""
    return [Macro(kind.words, kind.bits, is_block, len(kind.instances), process, prefix)
            for kind in memories if (is_block := kind.module == f"{prefix}_sram")
            or kind.words * kind.bits >= least]


def describe_wrappers(macros: Sequence[Macro], prefix: str = DEFAULT_NAME) -> str:
    """Write Verilog that replaces ``eie_sram.v`` and ``eie_regfile.v`` by macros.

    Sizes that are not among the macros become flip-flops.
    """
    return "\n".join([
        "// Memories as macros, for the modules of the same names; other sizes are flip-flops.",
        *_wrapper(f"{prefix}_sram", [macro for macro in macros if macro.block], _SYNCHRONOUS),
        *_wrapper(f"{prefix}_regfile", [macro for macro in macros if not macro.block],
                  _ASYNCHRONOUS), ""])


_SYNCHRONOUS = ("            reg [WIDTH-1:0] data;\n            assign r_data = data;\n"
                "            always @(posedge clk) if (r_en) data <= rows[r_addr];")
_ASYNCHRONOUS = "            assign r_data = rows[addr];"


def _wrapper(module: str, macros: Sequence[Macro], read: str) -> list[str]:
    lines = [f"""module {module} #(
    parameter WIDTH = 1,
    parameter DEPTH = 2,
    parameter ADDR_WIDTH = 1,
    parameter IMAGE = "",           // not used: macros are loaded by the host
    parameter IMAGE_FOLDER = ""
) (
    input  wire                  clk,
    input  wire                  r_en,
    input  wire [ADDR_WIDTH-1:0] r_addr,
    output wire [WIDTH-1:0]      r_data,
    input  wire                  w_en,
    input  wire [ADDR_WIDTH-1:0] w_addr,
    input  wire [WIDTH-1:0]      w_data
);"""]
    if read is _ASYNCHRONOUS:
        lines += ["    reg [ADDR_WIDTH-1:0] addr;",
                  "    always @(posedge clk) if (r_en) addr <= r_addr;"]
    lines.append("    generate")
    for number, macro in enumerate(macros):
        ports = ", ".join(f".{name}({'addr' if name == 'r_addr' and not macro.block else name})"
                          for _, name, _ in macro.ports())
        lines += [f"        {'end else ' if number else ''}if (DEPTH == {macro.words} && "
                  f"WIDTH == {macro.bits}) begin : macro",
                  f"            {macro.name} ram ({ports});"]
    lines += [f"        {'end else ' if macros else 'if (1) '}begin : flipflops",
              "            reg [WIDTH-1:0] rows [0:DEPTH-1];", read,
              "            always @(posedge clk) if (w_en) rows[w_addr] <= w_data;",
              "        end", "    endgenerate", "endmodule"]
    return lines


def _header(macro: Macro, *, registered: bool = False) -> str:
    ports = ",\n".join(
        f"    {direction} {'reg' if registered and direction == 'output' else 'wire'} "
        f"{f'[{width - 1}:0] ' if width else ''}{name}" for direction, name, width in macro.ports())
    return f"module {macro.name} (\n{ports}\n);\n"


def describe_blackboxes(macros: Iterable[Macro]) -> str:
    """Write the macros as modules without contents, for synthesis."""
    return "".join(f"(* blackbox *)\n{_header(macro)}endmodule\n" for macro in macros)


def describe_models(macros: Iterable[Macro]) -> str:
    """Write the macros for simulation; ``rows`` is the array."""
    return "".join(
        _header(macro, registered=macro.block)
        + f"    reg [{macro.bits - 1}:0] rows [0:{macro.words - 1}];\n"
        + ("    always @(posedge clk) if (r_en) r_data <= rows[r_addr];\n" if macro.block else
           "    assign r_data = rows[r_addr];\n")
        + "    always @(posedge clk) if (w_en) rows[w_addr] <= w_data;\nendmodule\n"
        for macro in macros)


def describe_liberty(macros: Sequence[Macro]) -> str:
    """Write area and timing of the macros as a Liberty library."""
    buses = sorted({width for macro in macros for _, _, width in macro.ports() if width})
    return "".join([
        "/* Estimates: see docs/asic.md. */\nlibrary (macros) {\n"
        "  delay_model : table_lookup;\n  time_unit : \"1ns\";\n  voltage_unit : \"1V\";\n"
        "  current_unit : \"1mA\";\n  leakage_power_unit : \"1nW\";\n"
        "  pulling_resistance_unit : \"1kohm\";\n  capacitive_load_unit (1, pf);\n"
        f"  nom_process : 1;\n  nom_voltage : {macros[0].process.volts if macros else 1};\n"
        "  nom_temperature : 25;\n",
        *(f"  {quantity}_threshold_pct_{edge} : {value};\n" for edge in ("rise", "fall")
          for quantity, value in (("slew_upper", 80), ("slew_lower", 20), ("input", 50),
                                  ("output", 50))),
        *(f"  type (bus{width}) {{ base_type : array; data_type : bit; bit_width : {width}; "
          f"bit_from : {width - 1}; bit_to : 0; }}\n" for width in buses),
        *(_cell(macro) for macro in macros), "}\n"])


def _cell(macro: Macro) -> str:
    pins = []
    for direction, name, width in macro.ports():
        head = (f"    bus ({name}) {{\n      bus_type : bus{width};\n" if width
                else f"    pin ({name}) {{\n")
        body = f"      direction : {direction};\n"
        if name == "clk":
            body += "      clock : true;\n      capacitance : 0.02;\n"
        elif direction == "output":
            body += "      max_capacitance : 0.5;\n" + _timing(
                "clk" if macro.block else "r_addr",
                "rising_edge" if macro.block else "combinational", macro.access)
        else:
            body += "      capacitance : 0.005;\n"
            if macro.block or name != "r_addr":
                body += _check("setup", macro.setup) + _check("hold", 0.0)
        pins.append(f"{head}{body}    }}\n")
    return (f"  cell ({macro.name}) {{\n    area : {macro.area:.1f};\n    dont_use : true;\n"
            f"    dont_touch : true;\n    interface_timing : true;\n{''.join(pins)}  }}\n")


def _timing(related: str, kind: str, delay: float) -> str:
    tables = "".join(f"        {name} (scalar) {{ values (\"{value:.4f}\"); }}\n"
                     for name, value in (("cell_rise", delay), ("cell_fall", delay),
                                         ("rise_transition", delay / 10),
                                         ("fall_transition", delay / 10)))
    pins = "related_pin" if related == "clk" else "related_bus_pins"
    return (f"      timing () {{\n        {pins} : \"{related}\";\n"
            f"        timing_type : {kind};\n        timing_sense : non_unate;\n{tables}      }}\n")


def _check(kind: str, time: float) -> str:
    return (f"      timing () {{\n        related_pin : \"clk\";\n"
            f"        timing_type : {kind}_rising;\n"
            f"        rise_constraint (scalar) {{ values (\"{time:.4f}\"); }}\n"
            f"        fall_constraint (scalar) {{ values (\"{time:.4f}\"); }}\n      }}\n")


#: Pitch and width of the pins in LEF, and width of the supply straps at the left and right, in µm.
_PITCH, _WIDTH, _STRAP = 1.4, 0.4, 2.0


def describe_lef(macros: Iterable[Macro]) -> str:
    """Write outlines as LEF: signal pins at the bottom edge, supply straps left and right.

    The straps are vertical, on the layer above those of the macro: straps of a chip cross them on
    the next one.
    """
    return ('VERSION 5.8 ;\nBUSBITCHARS "[]" ;\nDIVIDERCHAR "/" ;\n'
            + "".join(map(_outline, macros)) + "END LIBRARY\n")


def _outline(macro: Macro) -> str:
    pins = [(direction, f"{name}[{bit}]" if width else name)
            for direction, name, width in macro.ports() for bit in range(width or 1)]
    wide = max(math.sqrt(macro.area), (len(pins) + 4) * _PITCH + 2 * _STRAP)
    high = macro.area / wide
    supply = macro.process.supply_layer

    def pin(name: str, direction: str, use: str, box: tuple[float, ...],
            layer: str = macro.process.pin_layer) -> str:
        rectangle = " ".join(f"{edge:.3f}" for edge in box)
        return (f"  PIN {name}\n    DIRECTION {direction} ;\n    USE {use} ;\n    PORT\n"
                f"      LAYER {layer} ;\n        RECT {rectangle} ;\n    END\n  END {name}\n")

    text = (f"MACRO {macro.name}\n  CLASS BLOCK ;\n  ORIGIN 0 0 ;\n  FOREIGN {macro.name} 0 0 ;\n"
            f"  SIZE {wide:.3f} BY {high:.3f} ;\n  SYMMETRY X Y R90 ;\n")
    for number, (direction, name) in enumerate(pins):
        left = _STRAP + (number + 2) * _PITCH
        text += pin(name, direction.upper(), "CLOCK" if name == "clk" else "SIGNAL",
                    (left, 0, left + _WIDTH, 1.0))
    text += pin("VDD", "INOUT", "POWER", (0, 0, _STRAP, high), supply)
    text += pin("VSS", "INOUT", "GROUND", (wide - _STRAP, 0, wide, high), supply)
    obstruction = "".join(
        f"    LAYER {each} ;\n      RECT 0.000 1.500 {wide:.3f} {high:.3f} ;\n"
        for each in macro.process.blocked_layers)
    return f"{text}  OBS\n{obstruction}  END\nEND {macro.name}\n"
