"""Driver of one machine: load a build, run inferences, read memories."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import dequantise, read_words
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import Layouts, Memory
from eie_hdl.packing import pack

from .batch import Run, run_batch
from .errors import SaturationWarning
from .loading import LoadableMachine

__all__ = ["Accelerator"]


class Accelerator(LoadableMachine):
    """Driver of one machine.

    Parameters
    ----------
    bus, timeout
        As for :class:`~.machine.Machine`.
    """

    def infer(self, x: ArrayLike, *, words: bool = False
              ) -> NDArray[np.float64] | dict[str, NDArray[np.float64]]:
        """Run inferences back to back.

        If the build keeps states, the batch is whole sequences, one after another. An error loses
        the sequence that was under way; the next batch begins with another one.

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
            If `x` does not match the input of the network, or is not whole sequences.
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
            If `x` does not match the input of the network, or is not whole sequences.
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

        Raises
        ------
        VectorError
            As for :meth:`run`: if the build keeps states, sequences must have a single vector.
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
