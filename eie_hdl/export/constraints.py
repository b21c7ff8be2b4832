"""Timing constraints of a machine for FPGA and ASIC tools: one description, a writer per format."""

import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from amaranth.hdl import Shape
from amaranth.lib.wiring import In, Signature

from ..bridged_top import LINES, BridgedSignature
from ..top import EieSignature
from .names import BRIDGES, DEFAULT_NAME, Bridge, VerilogNameError, check_name, name_top

__all__ = ["CLOCK", "FORMATS", "ConstraintsError", "Port", "describe_delays", "list_ports",
           "read_ports", "write_constraints"]

CLOCK, RESET, INTERRUPT = "aclk", "aresetn", "irq"


class ConstraintsError(ValueError):
    """Clock rate or I/O budget that no machine can have."""


class Port(NamedTuple):
    """A port of the top module.

    Attributes
    ----------
    name : :class:`str`
        Name in the Verilog.
    is_input : :class:`bool`
        Direction.
    width : :class:`int`
        Bits.
    is_timed : :class:`bool`
        False if the other side has another clock, or none.
    """

    name: str
    is_input: bool
    width: int
    is_timed: bool = True

    @property
    def pattern(self) -> str:
        """Pattern of Tcl for all bits."""
        return f"{self.name}[*]" if self.width > 1 else self.name


class _Timing(NamedTuple):
    """Clock rate, the delays outside the machine and inside on each side in ns, and the ports."""

    name: str
    mhz: float
    period: float
    outside: float
    inside: float
    ports: Sequence[Port]

    @property
    def untimed(self) -> list[Port]:
        return [port for port in self.ports if not port.is_timed]


def list_ports(bridge: Bridge | None = None) -> list[Port]:
    """Ports of the top module, which are the same in every configuration.

    Parameters
    ----------
    bridge : :class:`str`, optional
        As for :func:`~.verilog.emit`.
    """
    if bridge is None:
        return _flatten(EieSignature())
    return _flatten(BridgedSignature(LINES[bridge]), untimed=LINES[bridge])


def _flatten(signature: Signature, untimed: Container[str] = ()) -> list[Port]:
    return [Port("_".join(map(str, path)), member.flow == In, Shape.cast(member.shape).width,
                 str(path[0]) not in untimed)
            for path, member in signature.members.flatten() if member.is_port]


def read_ports(verilog: str, module: str) -> list[Port]:
    """Ports of one module of a text that Amaranth or Yosys has written.

    Raises
    ------
    ValueError
        If the text does not have the module.
    """
    found = re.search(rf"^module {module}\b.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"text must have the module {module}, but has not")
    return [Port(name, direction == "in", int(high or 0) + 1) for direction, high, name in
            re.findall(r"^  (in|out)put (?:\[(\d+):0\] )?(\w+);", found[0], re.MULTILINE)]


def write_constraints(mhz: float, *, name: str = DEFAULT_NAME,
                      bridge: Bridge | None = None, io_percent: float = 40
                      ) -> dict[str, str]:
    """Write the constraints of a machine in all formats.

    Parameters
    ----------
    mhz : :class:`float`
        Clock rate in MHz.
    name, bridge
        As for :func:`~.verilog.emit`: the top module, which also is the name of the files.
    io_percent : :class:`float`
        Part of a cycle, in percent, that passes outside the machine before its inputs arrive, and
        after its outputs leave.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`str`
        Text by file name.

    Raises
    ------
    ConstraintsError
        If the clock rate is not positive, or the percentage not from 0 to below 100.
    VerilogNameError
        If `name` is not a name of :func:`~.names.check_name`, or that of a machine with a bridge.
    """
    check_name(name)
    for each in BRIDGES:
        if name.endswith(f"_{each}"):
            machine = name.removesuffix(f"_{each}")
            raise VerilogNameError(f"name must not be {name}, which is the top module of a machine "
                                   f"named {machine} with the bridge {each}: give that name, and "
                                   "the bridge")
    if not (math.isfinite(mhz) and mhz > 0):
        raise ConstraintsError(f"clock rate must be a positive number of MHz, not {mhz:g}")
    if not 0 <= io_percent < 100:
        raise ConstraintsError(f"part of a cycle outside the machine must be from 0 to below 100 "
                               f"percent, not {io_percent:g}")
    period = 1e3 / mhz
    outside = period * io_percent / 100
    top = name_top(name, bridge)
    timing = _Timing(top, mhz, period, outside, period - outside, list_ports(bridge))
    return {f"{top}.{suffix}": write(timing) for suffix, (_, write) in FORMATS.items()}


#: First port of a bridge without timing -> why it has none.
_UNTIMED = {
    "rx": f"rx has no clock: two flip-flops of {CLOCK} synchronise it. tx is sampled in the middle "
          "of a bit.\nTheir paths are false.",
    "sck": f"sck, cs_n and mosi have no clock: two flip-flops of {CLOCK} synchronise each. miso "
           "changes\nthree cycles or less after a falling edge of sck, and the next edge follows "
           "after eight or more.\nTheir paths are false."}


def _explain(timing: _Timing, comment: str, *more: str) -> str:
    """Comments at the beginning of every file."""
    lines = [
        f"Constraints of {timing.name}: one clock, {CLOCK}, of {timing.mhz:g} MHz "
        f"({timing.period:.3f} ns).",
        "",
        f"{CLOCK} clocks every flip-flop and memory at its rising edge: no path crosses clocks.",
        f"{RESET} is synchronous and registered first: it is timed like any other input, without a",
        "false path. An asynchronous reset needs a synchroniser outside, and a false path to it.",
        "Levels from flip-flops are timed like any other output. A false path is right only where",
        f"one is synchronised to a clock other than {CLOCK}, or lights an LED: "
        f"{', '.join(_levels(timing))}.",
        "No output depends combinationally on an input: there is no path from pin to pin.",
        *(line for port in timing.untimed for line in _UNTIMED.get(port.name, "").splitlines()),
        *more]
    return "".join(f"{comment} {line}".rstrip() + "\n" for line in lines) + "\n"


def describe_delays(ports: Sequence[Port], *, clock: str, period: float, outside: float) -> str:
    """Write the clock, the delays of all ports, and the false paths, as SDC.

    Parameters
    ----------
    ports : sequence of :class:`Port`
        Ports of a module.
    clock : :class:`str`
        The one that is its clock.
    period, outside : :class:`float`
        Clock period, and the part of it that passes outside before an input arrives, or after an
        output leaves, in ns.
    """
    text = f"create_clock -name {clock} -period {period:.3f} [get_ports {clock}]\n"
    for is_input, option, end in ((True, "set_input_delay", "-from"),
                                  (False, "set_output_delay", "-to")):
        timed, untimed = (" ".join(
            port.pattern for port in ports
            if port.is_input == is_input and port.is_timed == is_timed and port.name != clock)
            for is_timed in (True, False))
        text += (f"\n{option} -clock {clock} -max {outside:.3f} [get_ports {{{timed}}}]\n"
                 f"{option} -clock {clock} -min 0.000 [get_ports {{{timed}}}]\n")
        if untimed:
            text += f"set_false_path {end} [get_ports {{{untimed}}}]\n"
    return text


def _write_tcl(timing: _Timing) -> str:
    return describe_delays(timing.ports, clock=CLOCK, period=timing.period,
                           outside=timing.outside) + (
        f"\n# set_clock_uncertainty NS [get_clocks {CLOCK}]\n"
        f"# set_false_path -to [get_ports {{{' '.join(_levels(timing))}}}]\n")


def _levels(timing: _Timing) -> list[str]:
    """Outputs that change rarely, and may be for a person."""
    return [port.name for port in timing.ports if port.name in (INTERRUPT, "connected",
                                                                "bad_frame")]


_BUDGET = "Inputs arrive {0:.3f} ns after the edge at the latest, outputs are needed {0:.3f} ns " \
          "before the next."


#: Flip-flops that synchronise the wires of a bridge.
_SYNCHRONISERS = "[get_cells -hierarchical -filter {NAME =~ line/*synchroniser/stage?_reg}]"


def _write_sdc(timing: _Timing) -> str:
    return _explain(
        timing, "#", _BUDGET.format(timing.outside),
        "For Quartus, Gowin, OpenSTA and ASIC flows, with the machine as top module.",
        "Inside a larger design its clock and ports are constrained there: leave this file out."
        ) + _write_tcl(timing)


def _write_xdc(timing: _Timing) -> str:
    return _explain(
        timing, "#", _BUDGET.format(timing.outside),
        "For Vivado, with the machine synthesised out of context, or as top module:",
        "read_xdc -mode out_of_context. In the design around it the clock comes from there.",
        ) + _write_tcl(timing) + (f"\nset_property ASYNC_REG TRUE {_SYNCHRONISERS}\n"
                                  if timing.untimed else "")


def _write_lpf(timing: _Timing) -> str:
    return _explain(
        timing, "#", _BUDGET.format(timing.outside),
        "nextpnr-ecp5 takes the clock rate only; Diamond also takes the setup and",
        "the delay of the pins. Pins are those of the board:",
        f'LOCATE COMP "{CLOCK}" SITE "PIN"; IOBUF PORT "{CLOCK}" IO_TYPE=LVCMOS33;') + (
        f'FREQUENCY PORT "{CLOCK}" {timing.mhz:g} MHZ;\n'
        f'INPUT_SETUP ALLPORTS {timing.inside:.3f} NS CLKPORT "{CLOCK}";\n'
        f'CLOCK_TO_OUT ALLPORTS {timing.inside:.3f} NS CLKPORT "{CLOCK}";\n') + "".join(
        f'BLOCK PATH {"FROM" if port.is_input else "TO"} PORT "{port.name}";\n'
        for port in timing.untimed)


def _write_pcf(timing: _Timing) -> str:
    return _explain(
        timing, "#", "The format has no delays of pins. Pins are those of the board:",
        f"set_io {CLOCK} PIN") + f"set_frequency {CLOCK} {timing.mhz:g}\n"


def _write_cst(timing: _Timing) -> str:
    return _explain(
        timing, "//", f"The format has places only: times are in {timing.name}.sdc, or for",
        f"nextpnr-himbaechel in its option --freq {timing.mhz:g}. Pins are those of the board:",
        f'IO_LOC "{CLOCK}" PIN;') + "".join(
        f'IO_PORT "{port.name}" IO_TYPE=LVCMOS33;\n' for port in timing.ports
        if timing.untimed or port.name in (CLOCK, RESET, INTERRUPT))    # buses are no pins


#: Suffix of a file -> the tools that read it, and its writer.
FORMATS: Mapping[str, tuple[str, Callable[[_Timing], str]]] = {
    "sdc": ("Quartus, Gowin, OpenSTA, ASIC flows", _write_sdc),
    "xdc": ("Vivado", _write_xdc),
    "lpf": ("Diamond, nextpnr-ecp5", _write_lpf),
    "pcf": ("nextpnr-ice40", _write_pcf),
    "cst": ("Gowin, nextpnr-himbaechel", _write_cst),
}
