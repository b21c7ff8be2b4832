"""The machine, as a Python program uses it: load a build, put numbers in, take numbers out."""

import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import dequantise, model_packets, quantise, read_words
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import Layouts, Memory
from eie_hdl.packing import pack

from .batch import Run, run_batch
from .bus import Bus
from .errors import ChecksumError
from .identity import check_config
from .machine import POLL, Machine

__all__ = ["Accelerator"]


class Accelerator(Machine):
    """Driver of one machine, for networks.

    Parameters
    ----------
    bus, timeout
        As for :class:`~.machine.Machine`.
    """

    def __init__(self, bus: Bus, *, timeout: float = 10.0) -> None:
        super().__init__(bus, timeout=timeout)
        self._loaded: tuple[Build, int] | None = None    # and its checksum

    def load(self, build: Build, *, send: bool = True) -> None:
        """Load a network, in place of the one before.

        Parameters
        ----------
        build : :class:`~eie_compiler.build.Build`
            The network, compiled for this machine.
        send : :class:`bool`
            Whether to write the memories. If not, they hold the network already, as part of the
            configuration of an FPGA or by a simulator, and its checksum is not known.

        Raises
        ------
        ConfigMismatch
            If the build is for another machine; the message names what differs.
        ChecksumError
            If something else arrived than was sent.
        MachineError, DriverTimeout, BusError
            If the machine refuses it, or does not answer.
        """
        check_config(build.config, self.config)
        self.raise_error()
        self._loaded = None
        self.registers.write("CONTROL", new_model=1)
        self.registers.write("INPUT_BASE", value=build.input.base_word)
        self.registers.write("INPUT_WORDS", words=build.input_words,
                             double=int(build.input_buffers > 1))
        checksum = 0
        for packet in model_packets(self.config, build.images) if send else []:
            self.bus.send(packet)
            checksum = zlib.crc32(packet.astype("<u8").tobytes(), checksum)
        self.until(lambda: self.status()["idle"] or None, "The end of loading", every=POLL)
        self._check_checksum(checksum)
        self._loaded = build, checksum

    def loaded(self) -> Build:
        """Return the build that is loaded; make sure that it still is, and can be used.

        Raises
        ------
        ChecksumError
            If nothing is loaded, or somebody else has loaded something.
        MachineError
            If an error stands.
        """
        if self._loaded is None:
            raise ChecksumError("A build must be loaded before inferences: call load()")
        build, checksum = self._loaded
        self.raise_error()
        self._check_checksum(checksum)
        return build

    def infer(self, x: ArrayLike) -> NDArray[np.float64] | dict[str, NDArray[np.float64]]:
        """Run inferences back to back.

        Parameters
        ----------
        x : (batch, n_inputs) or (n_inputs,)
            Numbers; they are rounded to the format of the network's input.

        Returns
        -------
        float64 (batch, n_outputs) or (n_outputs,)
            What the network makes of them; a :class:`dict` of them by the name of the layer if
            the network sends several.

        Raises
        ------
        VectorError
            If `x` is no input of the network.
        DriverError, BusError
            As :meth:`run`.
        """
        build = self.loaded()
        numbers = np.asarray(x, np.float64)
        words = quantise(np.atleast_2d(numbers), build.input.frac, self.config.act_width)
        outputs = {
            vector.name: dequantise(output if numbers.ndim > 1 else output[0], vector.frac)
            for vector, output in zip(build.outputs, self.run(words, count=False).outputs)}
        return outputs if len(outputs) > 1 else outputs[build.outputs[0].name]

    def run(self, words: NDArray[np.int64], *, count: bool = True) -> Run:
        """Run inferences on fixed-point words.

        With two input buffers each input is loaded while the inference before computes.

        Parameters
        ----------
        words : int64 (batch, n_inputs)
            Inputs, in logical order.
        count : :class:`bool`
            Whether counters are wanted. The machine keeps those of the program that ended last, so
            that they must be read before the next one starts; without them its start waits in
            the machine already, if there are two input buffers.

        Raises
        ------
        VectorError, ValueError
            If `words` are no inputs of the network.
        ChecksumError
            If nothing is loaded, or somebody else has loaded something.
        MachineError
            If the machine has stopped. After :meth:`clear` the network is still there.
        DriverTimeout, BusError
            If it does not answer.
        """
        return run_batch(self, self.loaded(), words, count=count)

    def busy_cycles(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cycles in which each PE walked an entry, for one input (n_inputs,).

        The machine counts for one PE at a time: this takes an inference for each of them.
        """
        cycles = np.zeros(self.config.n_pe, np.int64)
        for pe in range(self.config.n_pe):
            self.registers.write("PE_INDEX", value=pe)
            cycles[pe] = self.run(words[np.newaxis]).counters[0]["pe_busy"]
        return cycles

    def read(self, memory: Memory, address: int, count: int, *, pe: int = 0) -> NDArray[np.uint64]:
        """Read `count` words of a memory of a PE, or of the program, as they were loaded.

        Returns
        -------
        uint64 (count, n_beats)
            Words as from :func:`~eie_hdl.format.pack`.

        Raises
        ------
        MachineError
            If there are no such words, or the machine was made without `readback` (activations
            can be read always).
        DriverTimeout, BusError
            If it does not answer.
        """
        config = self.config
        shape = Layouts.of(config).memories[memory].shape
        n_elements = self.n_elements(memory, count)
        self.raise_error()
        self.expect(n_elements)
        self.registers.write("READ_PLACE", memory=memory.value, pe=pe)
        self.registers.write("READ_ADDRESS", value=address)
        self.registers.write("READ", count=count)
        elements = self.take(n_elements)
        if memory == Memory.ACT:
            return pack(shape, elements.reshape(count, ACTS_PER_WORD, config.n_pe)[:, :, pe])
        return read_words(config, shape, elements)

    def clear(self) -> None:
        """Forget an error, a start that waits, and all results. What is loaded stays.

        A program that still runs goes on to its end; nobody gets its results.

        Raises
        ------
        MachineError
            If that program fails.
        DriverTimeout, BusError
            If the machine does not come to rest.
        """
        # The error is known: waiting must not raise it again.
        self.registers.write("IRQ_STATUS", done=1, error=1)
        self.drain(self._is_not_resetting, "The end of the program that failed")
        self.registers.write("CONTROL", clear=1)
        self.drain(lambda: bool(self.status()["idle"]), "Rest after clear")
        self.begin()

    def reset(self) -> None:
        """Stop everything and write zeros to all memories.

        Raises
        ------
        DriverTimeout, BusError
            If it does not end.
        """
        self._loaded = None
        self.registers.write("CONTROL", soft_reset=1)
        self.drain(self._is_not_resetting, "The end of the reset")
        self.begin()

    def _is_not_resetting(self) -> bool:
        return not self.status()["resetting"]

    def _check_checksum(self, expected: int) -> None:
        found = self.registers.value("CHECKSUM")
        if found != expected:
            raise ChecksumError(f"CHECKSUM must be 0x{expected:08X}, of what was loaded, not "
                                f"0x{found:08X}: load again{self.state()}")
