"""Timing constraints of a machine for FPGA and ASIC tools: one description, a writer per format."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from amaranth.hdl import Shape
from amaranth.lib.wiring import In

from ..top import EieSignature
from .names import DEFAULT_NAME, check_name

__all__ = ["CLOCK", "FORMATS", "ConstraintsError", "Port", "list_ports", "write_constraints"]

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
    """

    name: str
    is_input: bool
    width: int


class _Timing(NamedTuple):
    """Clock rate, and the delays outside the machine on each side, in ns."""

    name: str
    mhz: float
    period: float
    outside: float
    inside: float


def list_ports() -> list[Port]:
    """Ports of the top module, which are the same in every configuration."""
    return [Port("_".join(map(str, path)), member.flow == In, Shape.cast(member.shape).width)
            for path, member in EieSignature().members.flatten() if member.is_port]


def write_constraints(mhz: float, *, name: str = DEFAULT_NAME, io_percent: float = 40
                      ) -> dict[str, str]:
    """Write the constraints of a machine in all formats.

    Parameters
    ----------
    mhz : :class:`float`
        Clock rate in MHz.
    name : :class:`str`
        Top module, and name of the files.
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
    """
    check_name(name)
    if not (math.isfinite(mhz) and mhz > 0):
        raise ConstraintsError(f"clock rate must be a positive number of MHz, not {mhz:g}")
    if not 0 <= io_percent < 100:
        raise ConstraintsError(f"part of a cycle outside the machine must be from 0 to below 100 "
                               f"percent, not {io_percent:g}")
    period = 1e3 / mhz
    outside = period * io_percent / 100
    timing = _Timing(name, mhz, period, outside, period - outside)
    return {f"{name}.{suffix}": write(timing) for suffix, (_, write) in FORMATS.items()}


def _explain(timing: _Timing, comment: str, *more: str) -> str:
    """Comments at the beginning of every file."""
    lines = [
        f"Constraints of {timing.name}: one clock, {CLOCK}, of {timing.mhz:g} MHz "
        f"({timing.period:.3f} ns).",
        "",
        f"{CLOCK} clocks every flip-flop and memory at its rising edge: no path crosses clocks.",
        f"{RESET} is synchronous and registered first: it is timed like any other input, without a",
        "false path. An asynchronous reset needs a synchroniser outside, and a false path to it.",
        f"{INTERRUPT} is a level from a flip-flop. It is timed like any other output; a false path",
        f"is right only for an interrupt controller that synchronises it to a clock other than "
        f"{CLOCK}.",
        "No output depends combinationally on an input: there is no path from pin to pin.",
        *more]
    return "".join(f"{comment} {line}".rstrip() + "\n" for line in lines) + "\n"


def _delays(timing: _Timing) -> str:
    """Commands of SDC for the clock and all ports."""
    text = f"create_clock -name {CLOCK} -period {timing.period:.3f} [get_ports {CLOCK}]\n"
    for is_input, option in ((True, "set_input_delay"), (False, "set_output_delay")):
        names = [port.name if port.width == 1 else f"{port.name}[*]" for port in list_ports()
                 if port.is_input == is_input and port.name != CLOCK]
        ports = " ".join(names)
        text += (f"\n{option} -clock {CLOCK} -max {timing.outside:.3f} [get_ports {{{ports}}}]\n"
                 f"{option} -clock {CLOCK} -min 0.000 [get_ports {{{ports}}}]\n")
    return f"{text}\n# set_false_path -to [get_ports {INTERRUPT}]\n"


_BUDGET = "Inputs arrive {0:.3f} ns after the edge at the latest, outputs are needed {0:.3f} ns " \
          "before the next."


def _write_sdc(timing: _Timing) -> str:
    return _explain(
        timing, "#", _BUDGET.format(timing.outside),
        "For Quartus, Gowin, OpenSTA and ASIC flows, with the machine as top module.",
        "Inside a larger design its clock and ports are constrained there: leave this file out."
        ) + _delays(timing)


def _write_xdc(timing: _Timing) -> str:
    return _explain(
        timing, "#", _BUDGET.format(timing.outside),
        "For Vivado, with the machine synthesised out of context, or as top module:",
        "read_xdc -mode out_of_context. In the design around it the clock comes from there.",
        ) + _delays(timing)


def _write_lpf(timing: _Timing) -> str:
    return _explain(
        timing, "#", _BUDGET.format(timing.outside),
        "nextpnr-ecp5 takes the clock rate only; Diamond also takes the setup and",
        "the delay of the pins. Pins are those of the board:",
        f'LOCATE COMP "{CLOCK}" SITE "PIN"; IOBUF PORT "{CLOCK}" IO_TYPE=LVCMOS33;') + (
        f'FREQUENCY PORT "{CLOCK}" {timing.mhz:g} MHZ;\n'
        f'INPUT_SETUP ALLPORTS {timing.inside:.3f} NS CLKPORT "{CLOCK}";\n'
        f'CLOCK_TO_OUT ALLPORTS {timing.inside:.3f} NS CLKPORT "{CLOCK}";\n')


def _write_pcf(timing: _Timing) -> str:
    return _explain(
        timing, "#", "The format has no delays of pins. Pins are those of the board:",
        f"set_io {CLOCK} PIN") + f"set_frequency {CLOCK} {timing.mhz:g}\n"


def _write_cst(timing: _Timing) -> str:
    return _explain(
        timing, "//", f"The format has places only: times are in {timing.name}.sdc, or for",
        f"nextpnr-himbaechel in its option --freq {timing.mhz:g}. Pins are those of the board:",
        f'IO_LOC "{CLOCK}" PIN;') + "".join(
        f'IO_PORT "{name}" IO_TYPE=LVCMOS33;\n' for name in (CLOCK, RESET, INTERRUPT))


#: Suffix of a file -> the tools that read it, and its writer.
FORMATS: Mapping[str, tuple[str, Callable[[_Timing], str]]] = {
    "sdc": ("Quartus, Gowin, OpenSTA, ASIC flows", _write_sdc),
    "xdc": ("Vivado", _write_xdc),
    "lpf": ("Diamond, nextpnr-ecp5", _write_lpf),
    "pcf": ("nextpnr-ice40", _write_pcf),
    "cst": ("Gowin, nextpnr-himbaechel", _write_cst),
}
