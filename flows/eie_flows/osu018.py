"""Oklahoma State University's standard cells for 0.18 µm, as Debian installs them."""

from pathlib import Path

__all__ = ["FOLDER", "INSTALL", "LEF", "LIBERTY"]

FOLDER = Path("/usr/share/qflow/tech/osu018")
LIBERTY = FOLDER / "osu018_stdcells.lib"
LEF = FOLDER / "osu018_stdcells.lef"

#: Command that installs them.
INSTALL = "apt install qflow-tech-osu018"
