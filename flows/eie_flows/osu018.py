"""Oklahoma State University's standard cells for 0.18 µm, as Debian installs them."""

from pathlib import Path

__all__ = ["AREAS", "CLOCK_GATE", "FOLDER", "INSTALL", "LEF", "LIBERTY"]

FOLDER = Path("/usr/share/qflow/tech/osu018")
LIBERTY = FOLDER / "osu018_stdcells.lib"
LEF = FOLDER / "osu018_stdcells.lef"

#: Command that installs them.
INSTALL = "apt install qflow-tech-osu018"

#: Areas in µm² of cells that the Liberty file gives as 0: their size in the LEF.
AREAS = {"LATCH": 56.0}

#: The standard gate: a latch that is open while the clock is low, and the AND.
CLOCK_GATE = ("INVX1 inverter (.A(clk), .Y(low)); LATCH latch (.CLK(low), .D(en), .Q(open)); "
              "AND2X2 gate (.A(open), .B(clk), .Y(gclk));")
