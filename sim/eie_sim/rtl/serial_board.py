"""A board in Verilator: the machine with a bridge, at a pseudo-terminal."""

import subprocess
from pathlib import Path
from types import TracebackType

from eie_hdl.config import EIEConfig
from eie_hdl.export.names import Bridge

from .simulators import SimulationError
from .verilator_host import BIT_CYCLES, FOLDER, make_host

__all__ = ["SerialBoard"]

#: Clock cycles per bit of a UART, and per phase of the clock of an SPI: the fewest.
_CYCLES: dict[Bridge, int] = {"uart": BIT_CYCLES, "spi": 8}

#: Seconds that the process may take to end.
_END = 30


class SerialBoard:
    """Simulated board that is plugged in while the context is entered.

    The Verilog is that of a real board, with fewer clock cycles per bit. A host opens the port as
    it would open ``/dev/ttyUSB0``; the baud rate does not matter. At an SPI bridge is an adapter,
    the host of the SPI: it clocks until replies have come.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    bridge : :class:`str`
        ``uart`` or ``spi``.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache of compiled simulators, as for :func:`.cache.make_once`.
    noise : :class:`float`
        Probability per byte that it is lost, damaged, or preceded by other bytes.
    seed : :class:`int`
        Seed of the noise, and of undefined power-on values.

    Attributes
    ----------
    port : :class:`str`
        Path of the terminal, while the context is entered.

    Raises
    ------
    SimulationError, ToolError
        If the machine cannot be built, or Verilator is missing.
    """

    def __init__(self, config: EIEConfig, *, bridge: Bridge = "uart",
                 cache: str | Path | None = None, noise: float = 0.0, seed: int = 1) -> None:
        program = make_host(config, FOLDER / f"{bridge}_board.cpp", "", bridge=bridge,
                            headers=[FOLDER / "serial_board.h"], cache=cache)
        self._command = [str(program), str(_CYCLES[bridge]), str(seed), str(noise)]
        self.port = ""

    def __enter__(self) -> "SerialBoard":
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, encoding="utf-8")
        assert self._process.stdout is not None
        self.port = self._process.stdout.readline().strip()
        if not self.port:
            self._end()
            raise SimulationError("Simulated board must open a pseudo-terminal, but cannot: mount "
                                  "/dev/pts")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=_END)    # closes its input, at which it ends
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
