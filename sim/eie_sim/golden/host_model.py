"""Untimed reference for the host interface: memories and errors after valid and invalid packets."""

import zlib
from typing import NamedTuple

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, Memory, last_element, n_beats
from eie_hdl.packing import pack, unpack
from eie_hdl.registers import Error

from .model import GoldenModel

__all__ = ["Fault", "HostModel"]


class Fault(NamedTuple):
    """An error as reported by registers ERROR and ERROR_ADDRESS."""

    code: Error
    address: int = 0
    memory: int = 0
    pe: int = 0


class HostModel:
    """Host-visible state of a machine, starting from a soft reset.

    It has no clock: the caller sets when a program starts and when it has ended. Packets for input
    buffers and programs take effect in the order in which they arrive, as a packet waits until its
    buffer is free: the caller runs a program before it takes the next packet for its buffer, and
    does not take a packet that is dropped while it waits.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.

    Attributes
    ----------
    words : :class:`dict` of :class:`~eie_hdl.format.Memory` to uint64 (n_pe, depth, n_beats)
        Contents of each memory; n_pe is 1 for the program.
    error : :class:`Fault` or None
        The pending error.
    checksum : :class:`int`
        Register CHECKSUM.
    input_base, input_words, input_stride : :class:`int`
        Registers INPUT_BASE, INPUT_WORDS and INPUT_STRIDE.
    running : :class:`bool`
        A program is running or queued, or its results are being sent: packets for other memories
        than input buffers are errors.
    """

    def __init__(self, config: EIEConfig) -> None:
        self._config = config
        self._layouts = Layouts.of(config)
        self.words = {
            memory: np.zeros((1 if memory is Memory.PROGRAM else config.n_pe, image.depth,
                              n_beats(image.shape)), np.uint64)
            for memory, image in self._layouts.memories.items()}
        self.error: Fault | None = None
        self.checksum = 0
        self.input_base = self.input_words = self.input_stride = 0
        self.running = False

    def take(self, beats: NDArray[np.uint64], whole: NDArray[np.bool_] | None = None
             ) -> Fault | None:
        """Take one packet: all beats up to a TLAST.

        Parameters
        ----------
        beats : uint64 (n,)
            The packet.
        whole : bool (n,), optional
            True for beats with all bits of TKEEP set. Default: all.

        Returns
        -------
        :class:`Fault` or None
            The packet's error. Also None if an error was pending: the packet is then discarded.
        """
        if self.error is None:
            self.error = self._take(beats, np.ones(len(beats), bool) if whole is None else whole)
            return self.error
        return None

    def clear(self) -> None:
        """Clear the pending error, as CONTROL.clear does."""
        self.error = None

    def images(self) -> dict[str, NDArray[np.uint64]]:
        """Memory images by instance name, as in a build."""
        images = {"ccu.program": self.words[Memory.PROGRAM][0]}
        for pe in range(self._config.n_pe):
            for memory in (Memory.SPMAT, Memory.ACT, Memory.CODEBOOK):
                images[f"pe_{pe}.{memory.name.lower()}"] = self.words[memory][pe]
            for parity, bank in enumerate(["even", "odd"]):
                images[f"pe_{pe}.ptr_{bank}"] = self.words[Memory.PTR][pe, parity::2]
        return images

    def run(self, descriptor: int = 0, buffer: int = 0) -> list[NDArray[np.int64]]:
        """Run a program to its end and return the elements of each vector it sends.

        The golden model must accept the program, and one descriptor must be unused.
        """
        config, program = self._config, self.words[Memory.PROGRAM][0]
        fields = unpack(self._layouts.descriptor, program)
        n = 1 + int(np.flatnonzero(fields["final"][descriptor:])[0])
        # One more output returns the final contents of the activation SRAMs.
        fields["final"][descriptor + n - 1] = 0
        dump = self._dump_activations()
        images = self.images() | {"ccu.program": np.concatenate(
            [pack(self._layouts.descriptor, fields)[descriptor:descriptor + n], dump])}
        offset = self.input_stride if buffer else 0
        *outputs, after = GoldenModel(config, images, offset=offset).run(
            np.zeros((1, 0), np.int64))
        slots = after.reshape(config.act_depth, -1, config.n_pe)
        self.words[Memory.ACT][:] = pack(self._layouts.act_word, slots.transpose(2, 0, 1))
        return [output[0] for output in outputs]

    def _dump_activations(self) -> NDArray[np.uint64]:
        """Final descriptor, which sends the whole activation SRAMs."""
        shape = self._layouts.descriptor
        fields = unpack(shape, np.zeros((1, n_beats(shape)), np.uint64))
        one = np.ones(1, np.int64)
        n = self._config.act_depth * ACTS_PER_WORD * self._config.n_pe
        fields["start"] |= {"send": one, **{
            name: one * value for name, value in last_element(self._config, n).items()}}
        return pack(shape, fields | {"final": one, "valid": one, "barrier": one})

    def _take(self, beats: NDArray[np.uint64], whole: NDArray[np.bool_]) -> Fault | None:
        if not whole[0]:
            return Fault(Error.PARTIAL_BEAT)
        header = {name: int(field[0]) for name, field in unpack(
            self._layouts.load_header, beats[:1, np.newaxis]).items()}

        def fault(code: Error, word: int = 0) -> Fault:
            rows = word // self._config.n_pe if header["memory"] == Memory.INPUT.value else word
            return Fault(code, header["address"] + rows, header["memory"], header["pe"])

        code = self._check_header(**header)
        if code is not Error.NONE:
            return fault(code)

        memory = Memory(header["memory"])
        target = Memory.ACT if memory is Memory.INPUT else memory
        per_word = n_beats(self._layouts.memories[target].shape)
        expected, given = header["count"] * per_word, len(beats) - 1
        partial = np.flatnonzero(~whole[1:][:expected])
        n_good = int(partial[0]) if partial.size else min(expected, given)
        self._write(memory, header, beats[1:][:n_good // per_word * per_word].reshape(-1, per_word))
        # A header whose count contradicts its own TLAST is rejected before the checksum.
        if memory is not Memory.INPUT and bool(expected) == bool(given):
            self.checksum = zlib.crc32(beats[:1 + n_good].astype("<u8").tobytes(), self.checksum)

        if partial.size:
            return fault(Error.PARTIAL_BEAT, n_good // per_word)
        if given < expected:
            return fault(Error.TRUNCATED, n_good // per_word)
        return fault(Error.OVERLONG, header["count"]) if given > expected else None

    def _check_header(self, *, address: int, count: int, pe: int, everyone: int, memory: int,
                      buffer: int, reserved: int) -> Error:
        """Error of a header, regardless of the packet's length."""
        config = self._config
        if reserved or memory not in (member.value for member in Memory):
            return Error.BAD_HEADER
        if memory == Memory.INPUT.value:
            in_range = (address + -(-count // config.n_pe) <= self.input_words
                        and (not buffer or self.input_stride > 0)
                        and self.input_base + self.input_stride + self.input_words
                        <= config.act_depth)
            in_use = False    # it has waited
        else:
            if memory != Memory.PROGRAM.value and not everyone and pe >= config.n_pe:
                return Error.BAD_PE
            in_range = address + count <= self._layouts.memories[Memory(memory)].depth
            in_use = self.running
        if not in_range:
            return Error.BAD_ADDRESS
        return Error.LOAD_IN_USE if in_use else Error.NONE

    def _write(self, memory: Memory, header: dict[str, int], words: NDArray[np.uint64]) -> None:
        """Write words of a packet with a valid header."""
        address = header["address"]
        if memory is Memory.INPUT:
            base = self.input_base + header["buffer"] * self.input_stride + address
            rows, pes = np.divmod(np.arange(len(words)), self._config.n_pe)
            self._put(Memory.ACT, pes, base + rows, words)
            return
        span = slice(address, address + len(words))
        is_for_all = memory is Memory.PROGRAM or header["everyone"]
        self._put(memory, slice(None) if is_for_all else header["pe"], span, words)

    def _put(self, memory: Memory, pes, rows, words: NDArray[np.uint64]) -> None:
        """Write words, masking the unused bits of their last beat."""
        width = Shape.cast(self._layouts.memories[memory].shape).width
        mask = [(1 << min(BEAT_WIDTH, width - low)) - 1 for low in range(0, width, BEAT_WIDTH)]
        self.words[memory][pes, rows] = words & np.array(mask, np.uint64)
