"""What a machine makes of packets, right or wrong: its memories and errors, on plain numbers."""

import zlib
from typing import NamedTuple

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, Memory, n_beats
from eie_hdl.packing import pack, unpack
from eie_hdl.registers import Error

from .model import GoldenModel

__all__ = ["Fault", "HostModel"]


class Fault(NamedTuple):
    """An error, as registers ERROR and ERROR_ADDRESS report it."""

    code: Error
    address: int = 0
    memory: int = 0
    pe: int = 0


class HostModel:
    """What the host sees of a machine after a soft reset: a reference for tests of packets.

    Time does not pass in it: whoever uses it says when a program runs and when it has ended.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.

    Attributes
    ----------
    words : :class:`dict` of :class:`~eie_hdl.format.Memory` to uint64 (n_pe, depth, n_beats)
        Contents of each memory; of the program, there is but one.
    error : :class:`Fault` or None
        The error that stands.
    checksum : :class:`int`
        Register CHECKSUM.
    input_base, input_words, input_double : :class:`int`
        Registers INPUT_BASE and INPUT_WORDS.
    running : :class:`bool`
        A program runs or waits.
    buffers_in_use : :class:`set` of :class:`int`
        Input buffers that it reads.
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
        self.input_base = self.input_words = self.input_double = 0
        self.running = False
        self.buffers_in_use: set[int] = set()

    def take(self, beats: NDArray[np.uint64], whole: NDArray[np.bool_] | None = None
             ) -> Fault | None:
        """Take a packet, all that comes up to a TLAST.

        Parameters
        ----------
        beats : uint64 (n,)
            The packet.
        whole : bool (n,), optional
            Which of them have all bits of TKEEP set; all if left out.

        Returns
        -------
        :class:`Fault` or None
            What is wrong with it. None as well if an error stands: then it is not looked at.
        """
        if self.error is None:
            self.error = self._take(beats, np.ones(len(beats), bool) if whole is None else whole)
            return self.error
        return None

    def clear(self) -> None:
        """CONTROL.clear."""
        self.error = None

    def images(self) -> dict[str, NDArray[np.uint64]]:
        """Contents of the memories by instance, as a build has them."""
        images = {"ccu.program": self.words[Memory.PROGRAM][0]}
        for pe in range(self._config.n_pe):
            for memory in (Memory.SPMAT, Memory.ACT, Memory.CODEBOOK):
                images[f"pe_{pe}.{memory.name.lower()}"] = self.words[memory][pe]
            for parity, bank in enumerate(["even", "odd"]):
                images[f"pe_{pe}.ptr_{bank}"] = self.words[Memory.PTR][pe, parity::2]
        return images

    def run(self, descriptor: int = 0, buffer: int = 0) -> list[NDArray[np.int64]]:
        """Run a program to its end, and return the elements of each vector that it sends.

        The program must be one that the golden model accepts, and leave a descriptor unused.
        """
        config, program = self._config, self.words[Memory.PROGRAM][0]
        fields = unpack(self._layouts.descriptor, program)
        n = 1 + int(np.flatnonzero(fields["final"][descriptor:])[0])
        # One more output shows what is in the activation SRAMs afterwards.
        fields["final"][descriptor + n - 1] = 0
        shown = self._show_activations()
        images = self.images() | {"ccu.program": np.concatenate(
            [pack(self._layouts.descriptor, fields)[descriptor:descriptor + n], shown])}
        offset = self.input_words if buffer else 0
        *outputs, after = GoldenModel(config, images, input_offset=offset).run(
            np.zeros((1, 0), np.int64))
        slots = after.reshape(config.act_depth, -1, config.n_pe)
        self.words[Memory.ACT][:] = pack(self._layouts.act_word, slots.transpose(2, 0, 1))
        return [output[0] for output in outputs]

    def _show_activations(self) -> NDArray[np.uint64]:
        """Final descriptor that sends all activations there are."""
        shape = self._layouts.descriptor
        fields = unpack(shape, np.zeros((1, n_beats(shape)), np.uint64))
        one = np.ones(1, np.int64)
        fields["start"] |= {"dense": one, "last_word": one * (self._config.act_depth - 1)}
        return pack(shape, fields | {"final": one, "valid": one, "barrier": one})

    def _take(self, beats: NDArray[np.uint64], whole: NDArray[np.bool_]) -> Fault | None:
        if not whole[0]:
            return Fault(Error.PARTIAL_BEAT)
        header = {name: int(field[0]) for name, field in unpack(
            self._layouts.load_header, beats[:1, np.newaxis]).items()}

        def fault(code: Error, word: int = 0) -> Fault:
            rows = word // self._config.n_pe if header["memory"] == Memory.INPUT.value else word
            return Fault(code, header["address"] + rows, header["memory"], header["pe"])

        code = self._judge(**header)
        if code is not Error.NONE:
            return fault(code)

        memory = Memory(header["memory"])
        target = Memory.ACT if memory is Memory.INPUT else memory
        per_word = n_beats(self._layouts.memories[target].shape)
        wanted, given = header["count"] * per_word, len(beats) - 1
        partial = np.flatnonzero(~whole[1:][:wanted])
        n_good = int(partial[0]) if partial.size else min(wanted, given)
        self._write(memory, header, beats[1:][:n_good // per_word * per_word].reshape(-1, per_word))
        # A header that can be seen to be wrong at once is not counted.
        if memory is not Memory.INPUT and bool(wanted) == bool(given):
            self.checksum = zlib.crc32(beats[:1 + n_good].astype("<u8").tobytes(), self.checksum)

        if partial.size:
            return fault(Error.PARTIAL_BEAT, n_good // per_word)
        if given < wanted:
            return fault(Error.TRUNCATED, n_good // per_word)
        return fault(Error.OVERLONG, header["count"]) if given > wanted else None

    def _judge(self, *, address: int, count: int, pe: int, everyone: int, memory: int, buffer: int,
               reserved: int) -> Error:
        """What is wrong with a header, regardless of where the packet ends."""
        config = self._config
        if reserved or memory not in (place.value for place in Memory):
            return Error.BAD_HEADER
        if memory == Memory.INPUT.value:
            buffers = 1 + self.input_double
            is_there = (address + -(-count // config.n_pe) <= self.input_words
                        and buffer < buffers
                        and self.input_base + buffers * self.input_words <= config.act_depth)
            in_use = buffer in self.buffers_in_use
        else:
            if memory != Memory.PROGRAM.value and not everyone and pe >= config.n_pe:
                return Error.BAD_PE
            is_there = address + count <= self._layouts.memories[Memory(memory)].depth
            in_use = self.running
        if not is_there:
            return Error.BAD_ADDRESS
        return Error.LOAD_IN_USE if in_use else Error.NONE

    def _write(self, memory: Memory, header: dict[str, int], words: NDArray[np.uint64]) -> None:
        """Write words of a packet that may be written."""
        address = header["address"]
        if memory is Memory.INPUT:
            base = self.input_base + header["buffer"] * self.input_words + address
            rows, pes = np.divmod(np.arange(len(words)), self._config.n_pe)
            self._put(Memory.ACT, pes, base + rows, words)
            return
        place = slice(address, address + len(words))
        is_for_all = memory is Memory.PROGRAM or header["everyone"]
        self._put(memory, slice(None) if is_for_all else header["pe"], place, words)

    def _put(self, memory: Memory, pes, rows, words: NDArray[np.uint64]) -> None:
        """Write words; bits of their beats that no word has are lost."""
        width = Shape.cast(self._layouts.memories[memory].shape).width
        mask = [(1 << min(BEAT_WIDTH, width - low)) - 1 for low in range(0, width, BEAT_WIDTH)]
        self.words[memory][pes, rows] = words & np.array(mask, np.uint64)
