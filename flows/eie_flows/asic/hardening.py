"""Configurations of LibreLane and OpenROAD-flow-scripts for one PE in sky130."""

import json
from collections.abc import Callable, Mapping, Sequence

from eie_hdl.config import EIEConfig
from eie_hdl.export.names import DEFAULT_NAME
from eie_hdl.export.verilog import emit

from ..images import remove_images
from ..libraries import LIBRARIES
from .macros import (
    describe_blackboxes,
    describe_lef,
    describe_liberty,
    describe_wrappers,
    list_macros,
)
from .timing import OUTSIDE, describe_constraints

__all__ = ["FLOWS", "write_flow"]

#: The cells themselves are part of the PDK that the flows bring.
_SKY130 = LIBRARIES["sky130_fd_sc_hd"]

_TOP, _CLOCK = f"{DEFAULT_NAME}_pe", "clk"

#: Files next to the configuration: sources, constraints and views of the macros.
_VERILOG = ("machine.v", "memories.v", "macros_blackbox.v")
_SDC, _LEF, _LIBERTY = f"{_TOP}.sdc", "macros.lef", "macros.lib"

#: Share of the core in percent that cells and macros fill, and the µm around a macro that stay
#: free: starting points, which no run has confirmed.
_UTILISATION, _HALO = 40, 20


def write_flow(flow: str, config: EIEConfig, *, period: float) -> dict[str, str]:
    """Write all that a flow needs for one PE, but for the GDS of the memories.

    Parameters
    ----------
    flow : :class:`str`
        One of :data:`FLOWS`.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine.
    period : :class:`float`
        Clock period in ns.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`str`
        Text by file name.
    """
    emitted = emit(config)
    # Those of a PE alone: a flow looks for views of every macro.
    memories = [kind for kind in emitted.memories
                if any(f"{DEFAULT_NAME}.core.pe_" in path for path in kind.instances)]
    macros = list_macros(memories, _SKY130.process)
    name, describe, needs_constraints = FLOWS[flow]
    machine = remove_images(emitted.files[f"{DEFAULT_NAME}.v"])
    return {
        "machine.v": machine,
        "memories.v": describe_wrappers(macros), "macros_blackbox.v": describe_blackboxes(macros),
        _LEF: describe_lef(macros), _LIBERTY: describe_liberty(macros),
        **({_SDC: describe_constraints(_SKY130, machine, _TOP, clock=_CLOCK, period=period)}
           if needs_constraints else {}),
        name: describe(period, [macro.name for macro in macros])}


def _describe_librelane(period: float, macros: Sequence[str]) -> str:
    """Write the configuration of the flow Classic; the files are those of its folder."""
    values = {
        "DESIGN_NAME": _TOP, "PDK": "sky130A", "STD_CELL_LIBRARY": _SKY130.name,
        "VERILOG_FILES": [f"dir::{name}" for name in _VERILOG],
        "CLOCK_PORT": _CLOCK, "CLOCK_PERIOD": period,
        # Its own constraints are the same, with margins for the tree of the clock.
        "IO_DELAY_CONSTRAINT": 100 * OUTSIDE,
        # Not MACROS, which demands a GDS of each.
        "EXTRA_LEFS": [f"dir::{_LEF}"], "EXTRA_LIBS": [f"dir::{_LIBERTY}"],
        # Instance, power and ground of the PE, power and ground of the macro.
        "PDN_MACRO_CONNECTIONS": [".* VPWR VGND VDD VSS"],
        "FP_CORE_UTIL": _UTILISATION}
    return json.dumps(values, indent=2) + "\n"


def _describe_orfs(period: float, macros: Sequence[str]) -> str:
    """Write a config.mk; the files are those of its folder, which DESIGN_CONFIG names."""
    def here(*names: str) -> str:
        return " ".join(f"$(dir $(DESIGN_CONFIG)){name}" for name in names)

    values = {
        "DESIGN_NAME": _TOP, "PLATFORM": "sky130hd", "VERILOG_FILES": here(*_VERILOG),
        "SDC_FILE": here(_SDC), "ADDITIONAL_LEFS": here(_LEF), "ADDITIONAL_LIBS": here(_LIBERTY),
        "GDS_ALLOW_EMPTY": f"({'|'.join(macros)})", "CORE_UTILIZATION": f"{_UTILISATION}",
        "MACRO_PLACE_HALO": f"{_HALO} {_HALO}"}
    return "".join(f"export {name} = {value}\n" for name, value in values.items())


#: Name of a flow -> name of its configuration, its writer, and whether it needs constraints.
FLOWS: Mapping[str, tuple[str, Callable[[float, Sequence[str]], str], bool]] = {
    "librelane": ("config.json", _describe_librelane, False),
    "orfs": ("config.mk", _describe_orfs, True)}
