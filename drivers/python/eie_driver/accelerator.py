"""Driver of one machine: load a build, run inferences, read memories."""

import warnings
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import dequantise, memory_packets, read_words
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import Layouts, Memory
from eie_hdl.packing import pack

from .batch import Run, run_batch
from .bus import Bus
from .errors import ChecksumError, SaturationWarning
from .identity import check_config
from .machine import POLL_INTERVAL, Machine

__all__ = ["Accelerator"]


class Accelerator(Machine):
    """Driver of one machine.

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

    def infer(self, x: ArrayLike, *, words: bool = False
              ) -> NDArray[np.float64] | dict[str, NDArray[np.float64]]:
        """Run inferences back to back.

        Parameters
        ----------
        x : (batch, n_inputs) or (n_inputs,)
            Numbers, whether integers or floating-point, which are rounded to the fixed-point format
            of the network's input.
        words : :class:`bool`
            True if `x` are fixed-point words already.

        Returns
        -------
        float64 (batch, n_outputs) or (n_outputs,)
            Results of the network; a :class:`dict` by name of the layer if the build sends those
            of several layers.

        Raises
        ------
        VectorError
            If `x` does not match the input of the network.
        SaturationWarning
            As a warning, if elements of `x` are beyond the format.
        DriverError, BusError
            As for :meth:`run`.
        """
        build = self.require_loaded()
        run = self._run(build, x, words=words, read_counters=False)
        if n_saturated := int(run.saturated.sum()):
            least, greatest = build.range_of(build.input)
            after = ", after preprocessing," if build.preprocessing else ""
            warnings.warn(f"{n_saturated:,} of {np.size(x):,} input elements{after} were beyond "
                          f"{least:g} to {greatest:g}, the range of the network, and saturated: "
                          f"scale the inputs, or compress the network with calibration=",
                          SaturationWarning, stacklevel=2)
        outputs = {
            vector.name: dequantise(output if np.ndim(x) > 1 else output[0], vector.frac)
            for vector, output in zip(build.outputs, run.outputs)}
        return outputs if len(outputs) > 1 else outputs[build.outputs[0].name]

    def run(self, x: ArrayLike, *, words: bool = False, read_counters: bool = True) -> Run:
        """Run inferences; results are fixed-point words.

        With two input buffers, each input is loaded while the previous inference runs.

        Parameters
        ----------
        x, words
            As for :meth:`infer`.
        read_counters : :class:`bool`
            Read the counters. The machine keeps those of the last program only, which must be read
            before the next one starts. If false, and with two input buffers, the next start is
            queued in the machine.

        Raises
        ------
        VectorError, ValueError
            If `x` does not match the input of the network.
        ChecksumError
            If no build is loaded, or another program has loaded one.
        DriverError
            If an earlier call was interrupted, as by Ctrl-C, or another driver uses the machine:
            its results could be taken for those of this call. :meth:`clear` discards them.
        MachineError
            If the machine has stopped with an error. :meth:`clear` keeps the build.
        DriverTimeout, BusError
            If the machine does not respond.
        """
        return self._run(self.require_loaded(), x, words=words, read_counters=read_counters)

    def _run(self, build: Build, x: ArrayLike, *, words: bool, read_counters: bool) -> Run:
        # Not atleast_2d, which would make one input of an empty list.
        array = np.asarray(x)
        inputs = build.to_words(array[np.newaxis] if array.ndim == 1 else array, words=words)
        return run_batch(self, build, inputs, read_counters=read_counters)

    def busy_cycles(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the cycles in which each PE processes an entry, for one input (n_inputs,).

        The machine counts for one PE at a time, so this runs one inference for each PE.
        """
        cycles = np.zeros(self.config.n_pe, np.int64)
        for pe in range(self.config.n_pe):
            self.registers.write("PE_INDEX", value=pe)
            cycles[pe] = self.run(words[np.newaxis], words=True).counters[0]["pe_busy"]
        return cycles

    def read(self, memory: Memory, address: int, count: int, *, pe: int = 0) -> NDArray[np.uint64]:
        """Read `count` words of a memory of a PE, or of the program.

        Returns
        -------
        uint64 (count, n_beats)
            Words as from :func:`~eie_hdl.packing.pack`.

        Raises
        ------
        DriverError
            As for :meth:`run`.
        MachineError
            If the address is out of range, or the machine has no `readback` (activations can
            always be read).
        DriverTimeout, BusError
            If the machine does not respond.
        """
        config = self.config
        shape = Layouts.of(config).memories[memory].shape
        n_elements = self.n_elements(memory, count)
        with self.transfers():
            self.expect(n_elements)
            self.registers.write("READ_PLACE", memory=memory.value, pe=pe)
            self.registers.write("READ_ADDRESS", value=address)
            self.registers.write("READ", count=count)
            elements = self.take(n_elements)
        if memory == Memory.ACT:    # rows of a vector
            return pack(shape, elements.reshape(count, config.n_pe, ACTS_PER_WORD)[:, pe])
        return read_words(config, shape, elements)

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
