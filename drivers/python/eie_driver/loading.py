"""Loading of builds into a machine, and its recovery."""

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import memory_packets

from .bus import Bus
from .errors import ChecksumError
from .identity import check_config
from .machine import POLL_INTERVAL, Machine

__all__ = ["LoadableMachine"]


class LoadableMachine(Machine):
    """Machine that builds are loaded into; its checksum shows which one it holds.

    Parameters
    ----------
    bus, timeout
        As for :class:`~.machine.Machine`.
    """

    def __init__(self, bus: Bus, *, timeout: float = 10.0) -> None:
        super().__init__(bus, timeout=timeout)
        self._loaded: tuple[Build, int] | None = None    # build and its checksum

    def load(self, build: Build, *, send: bool = True) -> None:
        """Load a build, replacing any previous one.

        Parameters
        ----------
        build : :class:`~eie_compiler.build.Build`
            Build for this machine.
        send : :class:`bool`
            Write the memories. If false, the memories must hold the build already, as initialised
            by the configuration of an FPGA or by a simulator; they are not verified. Any program of
            the load may have run since.

        Raises
        ------
        ConfigMismatch
            If the build is for another machine; the message names what differs.
        ChecksumError
            If the checksum of the machine is not that of the packets sent.
        MachineError, DriverTimeout, BusError
            If the machine reports an error, or does not respond.
        """
        check_config(build.config, self.config)
        self.raise_error()
        self._loaded = None
        self._discard_results()
        self.registers.write("CONTROL", new_model=1)
        self._write_settings(build)
        checksum = 0
        for packet in memory_packets(self.config, build.images) if send else []:
            self.bus.send(packet)
            checksum = zlib.crc32(packet.astype("<u8").tobytes(), checksum)
        self._wait_idle("The end of loading")
        if not send:
            self._clear_inputs(build)
        self._check_checksum(checksum)
        self._loaded = build, checksum

    def select(self, build: Build) -> None:
        """Choose a program for the next inferences; load its build if the memories hold another.

        Builds that :func:`~eie_compiler.lowering.programs.compile_programs` makes share their
        images: between these, only the registers of the input are written, which the machine
        accepts while it is idle. Results of earlier inferences have been taken then, so that no
        program overwrites those of another.

        Raises
        ------
        ConfigMismatch, ChecksumError, DriverError, MachineError, DriverTimeout, BusError
            As for :meth:`load` and :meth:`run`.
        """
        if self._loaded is None or not _are_equal(build.images, self._loaded[0].images):
            self.load(build)
        elif build is not self._loaded[0]:
            check_config(build.config, self.config)
            self.require_loaded()
            _, checksum = self._loaded
            self._loaded = None
            self._write_settings(build)
            self._clear_inputs(build)
            self._loaded = build, checksum

    def require_loaded(self) -> Build:
        """Return the loaded build, after checking that it is still loaded and usable.

        Raises
        ------
        ChecksumError
            If no build is loaded, or another program has loaded one.
        DriverError
            If an earlier call was interrupted, or the machine is not idle.
        MachineError
            If an error is pending.
        """
        if self._loaded is None:
            raise ChecksumError("A build must be loaded before inferences: call load()")
        build, checksum = self._loaded
        self.require_idle()
        self._check_checksum(checksum)
        return build

    def clear(self) -> None:
        """Clear an error, pending starts and all results. The build stays loaded.

        Required after an error, and after a call that was interrupted.

        A running program continues to its end; its results are discarded.

        Raises
        ------
        MachineError
            If the running program fails.
        DriverTimeout, BusError
            If the machine does not become idle.
        """
        self._programs = None
        # Waiting must not raise the known error again.
        self.registers.write("IRQ_STATUS", done=1, error=1)
        # A running program can delay accepted beats, which would be a header after a clear.
        self.drain(self._is_stopped, "The end of the program")
        self.registers.write("CONTROL", clear=1)
        self._discard_results()

    def reset(self) -> None:
        """Stop the machine and write zeros to all memories.

        Raises
        ------
        DriverTimeout, BusError
            If the reset does not end.
        """
        self._loaded = self._programs = None
        self.registers.write("CONTROL", soft_reset=1)
        self.drain(self._is_stopped, "The end of the reset")
        self.initialise()

    def _write_settings(self, build: Build) -> None:
        for register, fields in build.settings.items():
            self.registers.write(register, **fields)

    def _clear_inputs(self, build: Build) -> None:
        """Clear what inputs do not fill, as other programs may have overwritten it."""
        if packets := build.clearing_packets():
            for packet in packets:
                self.bus.send(packet)
            self._wait_idle("The end of clearing")

    def _wait_idle(self, what: str) -> None:
        self.wait_until(lambda: self.status()["idle"] or None, what, every=POLL_INTERVAL)

    def _discard_results(self) -> None:
        """Let running and pending programs end, and discard their results."""
        self.drain(lambda: bool(self.status()["idle"]), "Idle state")
        self.initialise()

    def _is_stopped(self) -> bool:
        status = self.status()
        return not (status["busy"] or status["resetting"])

    def _check_checksum(self, expected: int) -> None:
        found = self.registers.value("CHECKSUM")
        if found != expected:
            raise ChecksumError(f"CHECKSUM must be 0x{expected:08X}, that of the loaded build, not "
                                f"0x{found:08X}: load it again{self.status_text()}")


def _are_equal(images: Mapping[str, NDArray[np.uint64]], others: Mapping[str, NDArray[np.uint64]]
               ) -> bool:
    """Compare memory images; those of one load are the same object, unless read from files."""
    return images is others or images.keys() == others.keys() and all(
        np.array_equal(image, others[name]) for name, image in images.items())
