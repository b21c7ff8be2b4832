"""Standard-cell libraries that the flow knows, and where they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eie_sim.rtl.toolchain import Tool, ToolError

from . import osu018
from .sky130.liberty import LIBERTY as SKY130_LIBERTY

__all__ = ["LIBRARIES", "Library", "Process"]


@dataclass(frozen=True)
class Process:
    """Figures of a process for the estimates of memories.

    Attributes
    ----------
    node : :class:`float`
        Gate length in nm.
    volts : :class:`float`
        Supply.
    fo4 : :class:`float`
        Delay in ns of an inverter that drives four like it.
    pin_layer, supply_layer : :class:`str`
        Metal layers of the signal pins in LEF, and of the straps of the supply, which must be the
        next to that of the straps of a chip.
    blocked_layers : :class:`tuple`
        Those that a macro covers.
    """

    node: float
    volts: float
    fo4: float
    pin_layer: str
    supply_layer: str
    blocked_layers: tuple[str, ...]


@dataclass(frozen=True)
class Library:
    """A standard-cell library.

    Attributes
    ----------
    name : :class:`str`
        Name for the user.
    file : :class:`~pathlib.Path`
        Liberty file.
    install : :class:`str`
        Command or step that installs it.
    process : :class:`Process`
        Process.
    driver : :class:`str`
        Cell that drives each input of a module, for synthesis.
    load : :class:`float`
        Load of each output of a module in pF, for synthesis.
    origin : :class:`str`
        Where the figures come from.
    clock_gate : :class:`str`
        Instances of Verilog from ``clk`` and ``en`` to ``gclk``, by the wires ``low`` and ``open``;
        empty if the library has no latch.
    areas : mapping of :class:`str` to :class:`float`
        Areas in µm² of cells whose area in the file is 0.
    """

    name: str
    file: Path
    install: str
    process: Process
    driver: str
    load: float
    origin: str
    clock_gate: str = ""
    areas: Mapping[str, float] = field(default_factory=dict)

    def find(self) -> Path:
        """Return the Liberty file.

        Raises
        ------
        ToolError
            If it is not installed. The message has the remedy.
        """
        if not self.file.exists():
            raise ToolError(f"the library {self.name} must be installed for synthesis, but was not "
                            f"found in {self.file}: {self.install}")
        return self.file

    def check(self) -> Tool:
        """Check that it is installed; its files name no version."""
        path = str(self.file) if self.file.exists() else None
        return Tool(self.name, "standard cells", None, path, "0", path is not None,
                    "" if path else f"not found: {self.install}")


#: A test compares the delays of the inverters with those that OpenSTA finds in the Liberty files.
LIBRARIES: Mapping[str, Library] = {library.name: library for library in (
    Library("osu018", osu018.LIBERTY, osu018.INSTALL,
            Process(180, 1.8, 0.099, "metal3", "metal4", ("metal1", "metal2", "metal3")),
            "BUFX4", 0.05, "Oklahoma State University's cells for 0.18 µm, typical, 1.8 V, 25 °C",
            osu018.CLOCK_GATE, osu018.AREAS),
    Library("sky130_fd_sc_hd", SKY130_LIBERTY, "reinstall this package, which has it",
            Process(130, 1.8, 0.093, "met3", "met4", ("li1", "met1", "met2", "met3")),
            "sky130_fd_sc_hd__buf_2", 0.033,
            "SkyWater's cells for 0.13 µm, characterised by EIE, typical, 1.8 V, 25 °C"),
)}
