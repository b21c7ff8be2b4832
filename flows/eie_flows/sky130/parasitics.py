"""Estimates of the diffusions and wires of a cell, which its netlist does not have."""

import re
from collections import Counter

__all__ = ["NODES", "WIRE", "add_parasitics"]

#: Length in µm of a diffusion, which two gates share if they can. The netlists of the package have
#: no areas of diffusions; those that SkyWater extracted from the layouts are mostly of this length.
_DIFFUSION = 0.27

#: Capacitance in fF of a cell's inner wires for each terminal of a transistor on a net: a
#: compromise. Of 0 to 0.35 in steps of 0.05, delays of nand2_1, inv_2, a21oi_1, mux2_1 and dfxtp_1
#: are nearest to the published ones with 0.3 and 0.35, but input capacitances with 0.15 and 0.2.
WIRE = 0.25

#: Nodes of the supply pins of every cell.
NODES = {"VGND": "0", "VNB": "0", "VPB": "vdd", "VPWR": "vdd"}

_TRANSISTOR = re.compile(r"^X\d+ (\S+) (\S+) (\S+) (\S+) (sky130_fd_pr__\S+) w=([\d.e+]+)u "
                         r"l=([\d.e+]+)u\n", re.MULTILINE)


def add_parasitics(subcircuit: str) -> str:
    """Add estimates of what the layout adds to the transistors of a cell.

    Areas and perimeters of diffusions: two transistors of one type that meet in a node share a
    diffusion there; one that is left has its own. Wires: a capacitance for each terminal on a net,
    but none between two transistors in series, which share a diffusion alone. Transistors in
    parallel become one with a multiplier, which is faster to simulate.
    """
    found = [(*sorted((drain, source)), gate, *rest)
             for drain, gate, source, *rest in _TRANSISTOR.findall(subcircuit)]
    ends = Counter((node, kind) for one, other, _, _, kind, *_ in found for node in (one, other))
    gates = Counter(gate for _, _, gate, *_ in found)
    terminals = gates + Counter(node for one, other, *_ in found for node in (one, other))
    lines = []
    for number, ((drain, source, gate, bulk, kind, width, length), count) in enumerate(
            Counter(found).items()):
        wide = float(width) * 1e-6    # the models' unit is a µm
        text = f"X{number} {drain} {gate} {source} {bulk} {kind} w={width}u l={length}u"
        for node, letter in ((drain, "d"), (source, "s")):
            meet = ends[node, kind]
            share = (meet + 1) // 2 / meet
            text += (f" a{letter}={wide * _DIFFUSION * share:.5g} "
                     f"p{letter}={2 * (wide + _DIFFUSION) * share:.5g}")
        lines.append(f"{text} m={count}")
    lines += [f"Cwire{number} {node} VGND {count * WIRE:.4g}f"
              for number, (node, count) in enumerate(terminals.items())
              if node not in NODES and (node in gates or count > 2)]
    return _TRANSISTOR.sub("", subcircuit).replace(".ends", "\n".join([*lines, ".ends"]))
