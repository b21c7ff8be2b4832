"""Standard-cell libraries that the flow knows, and where they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eie_sim.rtl.toolchain import ToolError

from .. import osu018
from .macros import Process

__all__ = ["LIBRARIES", "Library"]


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
        Command that installs it; empty if it is part of the project.
    process : :class:`~.macros.Process`
        Process.
    driver : :class:`str`
        Cell that drives each input of a module, for synthesis.
    load : :class:`float`
        Load of each output of a module in pF, for synthesis.
    origin : :class:`str`
        Where the figures come from.
    """

    name: str
    file: Path
    install: str
    process: Process
    driver: str
    load: float
    origin: str

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


LIBRARIES: Mapping[str, Library] = {library.name: library for library in (
    Library("osu018", osu018.LIBERTY, osu018.INSTALL,
            Process(180, 1.8, 0.085, "metal3", ("metal1", "metal2", "metal3")),
            "BUFX4", 0.05, "Oklahoma State University's cells for 0.18 µm, typical, 1.8 V, 25 °C"),
)}
