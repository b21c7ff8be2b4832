"""Untimed model of a machine as seen on a driver's bus, for tests of drivers.

A packet takes effect when it is sent. A program runs to its end on the golden model when it is
started. A real machine keeps their order for each input buffer: a packet waits for the programs and
the start before it. Only results wait, until the driver expects them.
"""

import zlib
from collections import deque

import numpy as np
from numpy.typing import NDArray

from eie_compiler.vectors import result_order, result_type
from eie_driver.bus import Bus, BusError
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import COUNTERS, FORMAT_VERSION, Layouts, Memory, n_beats, n_pieces
from eie_hdl.numeric import wrap
from eie_hdl.packing import pack, unpack
from eie_hdl.registers import (
    PRODUCT_ID,
    REGISTER_WIDTH,
    REGISTERS,
    VERSION,
    Access,
    Error,
    config_registers,
)

from .model import GoldenModel

__all__ = ["FakeMachine"]


class FakeMachine(Bus):
    """Bus to a machine simulated in software.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.

    Attributes
    ----------
    words : :class:`dict` of :class:`str` to :class:`int`
        Contents of the registers, by name.
    images : :class:`dict` of :class:`str` to uint64 (n_words, n_beats)
        Contents of the memory instances.
    results : :class:`~collections.deque` of uint8 arrays
        Result packets not yet received.
    log : :class:`list` of :class:`str`
        Bus operations so far: names of written registers, ``send``, ``receive``.
    """

    def __init__(self, config: EIEConfig) -> None:
        self.config = config
        self.log: list[str] = []
        self._by_address = {register.address: register for register in REGISTERS}
        self._fields = {(register.name, field.name): field for register in REGISTERS
                        for field in register.fields}
        self._time = 0.0
        self.reset()

    def reset(self) -> None:
        """Set registers and memories to their reset values and drop all results."""
        self.words = dict.fromkeys((register.name for register in REGISTERS), 0)
        for (name, key), field in self._fields.items():
            self.set(name, **{key: field.reset})
        self.set("ID", value=PRODUCT_ID)
        self.set("VERSION", major=VERSION[0], minor=VERSION[1])
        self.set("FORMAT", value=FORMAT_VERSION)
        for name, value in config_registers(self.config).items():
            self.set(name, value=value)
        self.set("STATUS", idle=1)
        self.images = {name: np.zeros((image.depth, n_beats(image.shape)), np.uint64)
                       for name, *_, image in Layouts.of(self.config).images(self.config)}
        self.results: deque[NDArray[np.uint8]] = deque()
        self._expects = False

    def set(self, name: str, **fields: int) -> None:
        """Set fields of a register, bypassing the bus."""
        for key, value in fields.items():
            field = self._fields[name, key]
            mask = (1 << field.width) - 1
            self.words[name] = self.words[name] & ~(mask << field.low) | (value & mask) << field.low

    def get(self, name: str, key: str = "value") -> int:
        """Return a field of a register, bypassing the bus."""
        field = self._fields[name, key]
        return self.words[name] >> field.low & (1 << field.width) - 1

    def fail(self, code: Error, address: int = 0) -> None:
        """Report an error, unless one is pending."""
        if not self.get("ERROR", "code"):
            self.set("ERROR", code=code)
            self.set("ERROR_ADDRESS", value=address)
            self.set("STATUS", error=1)
            self.set("IRQ_STATUS", error=1)

    # Bus operations.

    def read(self, address: int) -> int:
        if address not in self._by_address:
            raise BusError(f"Read of 0x{address:X} was answered with SLVERR")
        return self.words[self._by_address[address].name]

    def write(self, address: int, value: int) -> None:
        if address not in self._by_address or self._by_address[address].access == Access.READ:
            raise BusError(f"Write to 0x{address:X} was answered with SLVERR")
        register = self._by_address[address]
        self.log.append(register.name)
        if register.access == Access.WRITE:
            self.words[register.name] = value
        elif register.access == Access.STICKY:
            self.words[register.name] &= ~value
        else:
            self.words[register.name] = value    # cleared again once the command has run
            {"CONTROL": self._control, "START": self._start, "READ": self._read}[register.name]()
            self.words[register.name] = 0

    def send(self, beats: NDArray[np.uint64]) -> None:
        self.log.append("send")
        if self.get("ERROR", "code"):
            return
        layouts = Layouts.of(self.config)
        header = {name: int(field[0]) for name, field
                  in unpack(layouts.load_header, beats[np.newaxis, :1]).items()}
        memory, count = Memory(header["memory"]), header["count"]
        words = beats[1:].reshape(count, -1) if count else beats[1:].reshape(0, 1)
        if memory == Memory.INPUT:
            base = self._input_row(header["buffer"]) + header["address"]
            for pe in range(self.config.n_pe):
                rows = words[pe::self.config.n_pe]
                self.images[f"pe_{pe}.act"][base:base + len(rows)] = rows
            return
        checksum = zlib.crc32(beats.astype("<u8").tobytes(), self.get("CHECKSUM"))
        self.set("CHECKSUM", value=checksum)
        pes = range(self.config.n_pe) if header["everyone"] else [header["pe"]]
        for pe in pes if memory != Memory.PROGRAM else [0]:
            banks = self._banks(memory, pe)
            if header["address"] + count > sum(map(len, banks)):
                self.fail(Error.BAD_ADDRESS, header["address"])
                return
            for lane, image in enumerate(banks):
                first = -(-(header["address"] - lane) // len(banks))
                part = words[(lane - header["address"]) % len(banks)::len(banks)]
                image[first:first + len(part)] = part

    def expect(self, n_bytes: int) -> None:
        if self._expects and self.results:
            self.results.popleft()    # arrived, but was never received
        self._expects = True

    def receive(self) -> NDArray[np.uint8] | None:
        if not self._expects or not self.results:
            return None
        self.log.append("receive")
        self._expects = False
        return self.results.popleft()

    def wait(self, seconds: float) -> None:
        self._time += seconds

    def now(self) -> float:
        return self._time

    # Commands.

    def _control(self) -> None:
        if self.get("CONTROL", "soft_reset"):
            self.reset()
            return
        if self.get("CONTROL", "clear"):
            self.set("ERROR", code=Error.NONE)
            self.set("STATUS", error=0)
        if self.get("CONTROL", "new_model"):
            self.set("CHECKSUM", value=0)

    def _start(self) -> None:
        if self.get("ERROR", "code"):
            return
        layouts = Layouts.of(self.config)
        row = self._input_row(self.get("START", "buffer"))
        rows = slice(row, row + self.get("INPUT_WORDS", "words"))
        inputs = np.stack([unpack(layouts.act_word, self.images[f"pe_{pe}.act"][rows])
                           for pe in range(self.config.n_pe)], axis=-1)
        model = GoldenModel(self.config, self.images, self.get("START", "descriptor"),
                            offset=row - self._input_row(0))
        outputs, statistics, after = model.run_once(inputs.reshape(1, -1), row)
        slots = after.reshape(-1, ACTS_PER_WORD, self.config.n_pe)
        for pe in range(self.config.n_pe):
            self.images[f"pe_{pe}.act"][:len(slots)] = pack(layouts.act_word, slots[..., pe])
        self.results += [self._vector(output[0]) for output in outputs]
        self._latch({"broadcasts": statistics.broadcasts[0], "macs": statistics.macs[0],
                     "paddings": statistics.paddings[0],
                     "pe_busy": statistics.entries[0, self.get("PE_INDEX")]})
        self.set("PROGRAMS", value=self.get("PROGRAMS") + 1)
        self.set("IRQ_STATUS", done=1)

    def _read(self) -> None:
        config, count = self.config, self.get("READ", "count")
        memory, pe = Memory(self.get("READ_PLACE", "memory")), self.get("READ_PLACE", "pe")
        address = self.get("READ_ADDRESS")
        shape, depth = Layouts.of(config).memories[memory]
        if address + count > depth:
            self.fail(Error.BAD_READ, address)
        elif memory == Memory.ACT:
            words = np.stack([self.images[f"pe_{pe}.act"][address:address + count]
                              for pe in range(config.n_pe)])
            self.results.append(self._vector(unpack(shape, words).transpose(1, 2, 0).ravel()))
        elif not config.readback:
            self.fail(Error.BAD_READ, address)
        else:
            banks = self._banks(memory, pe)
            words = np.stack([banks[n % len(banks)][n // len(banks)]
                              for n in range(address, address + count)])
            bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little").astype(np.int64)
            n_bits = n_pieces(config, shape) * config.act_width
            bits = np.pad(bits, ((0, 0), (0, max(0, n_bits - bits.shape[1]))))[:, :n_bits]
            pieces = bits.reshape(-1, config.act_width) << np.arange(config.act_width)
            self.results.append(self._packet(wrap(pieces.sum(axis=1), config.act_width)))

    def _vector(self, columns: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._packet(columns[result_order(self.config, len(columns))])

    def _packet(self, elements: NDArray[np.int64]) -> NDArray[np.uint8]:
        return elements.astype(result_type(self.config)).view(np.uint8)

    def _latch(self, counters: dict[str, int]) -> None:
        for name in COUNTERS:
            value = int(counters.get(name, 0))
            self.set(f"{name.upper()}_LO", value=value)
            self.set(f"{name.upper()}_HI", value=value >> REGISTER_WIDTH)

    def _input_row(self, buffer: int) -> int:
        return self.get("INPUT_BASE") + buffer * self.get("INPUT_STRIDE")

    def _banks(self, memory: Memory, pe: int) -> list[NDArray[np.uint64]]:
        """Return the images of a memory's banks, in which its words are interleaved."""
        names = {Memory.PROGRAM: ["ccu.program"],
                 Memory.PTR: [f"pe_{pe}.ptr_even", f"pe_{pe}.ptr_odd"]}
        return [self.images[name]
                for name in names.get(memory, [f"pe_{pe}.{memory.name.lower()}"])]
