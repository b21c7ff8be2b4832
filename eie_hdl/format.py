"""Every bit that crosses a boundary, laid out once: RTL, compiler and golden model import this."""

import functools
from collections.abc import Iterator
from typing import NamedTuple, Self

from amaranth.hdl import Shape, ShapeLike, signed, unsigned
from amaranth.lib import data, enum

from .config import ACTS_PER_WORD, EIEConfig, clog2

__all__ = [
    "BEAT_BYTES", "BEAT_WIDTH", "COUNTERS", "COUNTER_WIDTH", "FORMAT_VERSION", "Image", "Kind",
    "Layouts", "Memory", "image_file", "n_beats", "n_pieces", "result_lane_width",
]

#: Changes whenever a build made before can no longer be run.
FORMAT_VERSION = 2

#: Bits, and bytes, of a beat of the load stream and of the result stream.
BEAT_WIDTH = 64
BEAT_BYTES = BEAT_WIDTH // 8

#: Bits of a counter.
COUNTER_WIDTH = 64

#: What the machine counts from the start of a program on, and what is meant. A cycle is one of
#: `phase_control`, `phase_compute`, `phase_output` or `stall_barrier`.
COUNTERS = {
    "cycles": "clock cycles from the start of the program to its end",
    "phase_control": "cycles in which a descriptor was fetched, begun or ended",
    "phase_compute": "cycles in which the source of a tile was scanned and broadcast",
    "phase_output": "cycles in which a vector was sent to the host",
    "broadcasts": "nonzero activations broadcast",
    "macs": "entries multiplied and accumulated, in all PEs",
    "paddings": "padding entries walked, in all PEs",
    "spmat_reads": "words read from the spmat SRAMs, in all PEs",
    "ptr_reads": "pairs of pointers read, in all PEs",
    "pe_busy": "cycles in which the chosen PE walked an entry, padding or not",
    "stall_full": "cycles an activation waited because an activation queue was full",
    "stall_scan": "cycles of an open tile in which no activation was there to broadcast",
    "stall_barrier": "cycles spent waiting until the PEs had written earlier tiles",
    "stall_result": "cycles an element of an output waited for the host to take it",
}


class Kind(enum.Enum, shape=2):
    """What a message of the broadcast is. All kinds travel the same way and keep their order."""

    #: A nonzero activation, to be multiplied by its column.
    ACTIVATION = 0
    #: A tile begins: scan the source, use this codebook.
    START = 1
    #: A tile ends: drain the accumulators.
    END = 2
    #: A word for a memory.
    LOAD = 3


class Memory(enum.Enum, shape=3):
    """Memories that the host loads."""

    #: Entries; addressed by word.
    SPMAT = 0
    #: Pointers; addressed by pointer, even ones in one bank and odd ones in the other.
    PTR = 1
    #: Activations and biases; addressed by word of four.
    ACT = 2
    #: Codebooks, one after the other; addressed by entry.
    CODEBOOK = 3
    #: Descriptors; addressed by descriptor. There is one, in the CCU.
    PROGRAM = 4
    #: An input buffer, which is part of the activation SRAMs; addressed by row of the buffer. Words
    #: go to the PEs in turn, PE 0 first: a row of all PEs, then the next row.
    INPUT = 5


class Image(NamedTuple):
    """One memory instance: the words it holds, and how many."""

    shape: ShapeLike
    depth: int


class Layouts:
    """Layouts of all words of an accelerator. :meth:`of` makes them once per configuration.

    Attributes
    ----------
    entry : :class:`~amaranth.lib.data.StructLayout`
        One nonzero weight: `v` indexes the codebook, `z` counts the zeros of this PE's rows that
        are skipped before it. `v` = 0 is padding: it only skips.
    spmat_word : :class:`~amaranth.lib.data.ArrayLayout` of `entry`
        One spmat row; entry 0 is in the least significant bits.
    ptr : :class:`~amaranth.hdl.Shape`
        Entry number at which a column starts, modulo ``2 ** width``: the pointer after the last
        column of a full SRAM is 0.
    count : :class:`~amaranth.hdl.Shape`
        Entries of a column: no more than ``acc_depth``, as each takes a row or more.
    value, weight, acc : :class:`~amaranth.hdl.Shape`
        An activation or bias, a codebook entry, an accumulator.
    act_word : :class:`~amaranth.lib.data.ArrayLayout` of `value`
        One row of the activation SRAM; the lowest slot is in the least significant bits.
    scan : :class:`~amaranth.lib.data.StructLayout`
        What a scanner finds: `column` = slot · n_pe + PE and its `value`; or, if `end`, that there
        is nothing more. `dense` if zeros are reported as well.
    activation, start, end, load : :class:`~amaranth.lib.data.StructLayout`
        Bodies of a message, by :class:`Kind`. `pointer` is that of the column's first entry;
        `source`, `destination` and `bias` are rows of the activation SRAM and `last_word` is one
        less than the number of such rows; the busy cycles of PE `watched` are counted; `load` is
        for PE `pe`, or for all if `everyone`. If `read`, which exists only with ``readback``, the
        PE answers with the value at the address instead: bits ``data * act_width`` and up of it.
    message : :class:`~amaranth.lib.data.StructLayout`
        What the CCU broadcasts: a `kind` and a `body`.
    column : :class:`~amaranth.lib.data.StructLayout`
        A message behind the pointers: a `kind` and a `body`; an activation has become `count`
        entries from `begin`, all to be multiplied by `value`.
    work : :class:`~amaranth.lib.data.StructLayout`
        A message behind the spmat: an activation has become single entries, the `first` of a
        column marked.
    operation : :class:`~amaranth.lib.data.StructLayout`
        A message behind the decoder: an entry has its `row`, and `code` is an address of the
        codebook memory (codebook number above index).
    operand : :class:`~amaranth.lib.data.StructLayout`
        What enters the MAC: `value` is multiplied by the codebook entry at `code` and added to
        accumulator `row`. If `drain`, it is multiplied by ``2 ** bias_shift`` instead and the
        accumulator is read out and cleared; not read out if `discard`; `last` of its tile.
    descriptor : :class:`~amaranth.lib.data.StructLayout`
        One step of a program. Starts a tile with `start`, adds `ptr_base` to each column number to
        find its pointer, and finishes it with `end`. With `barrier` it first waits until all
        earlier tiles are written. With `start.dense` it sends the source to the host instead, and
        `end` does not matter. With `input` the source is in the input buffer that was chosen at the
        start. `final` ends the program. `valid` is set in all descriptors: an empty memory is no
        program.
    run : :class:`~amaranth.lib.data.StructLayout`
        Start of a program: the first `descriptor`, and the `offset` in rows that is added to the
        source of those with `input`.
    read : :class:`~amaranth.lib.data.StructLayout`
        Request for the `count` words of a `memory` from `address` on: of PE `pe`; of `ACT`, those
        of all PEs, in order of column number.
    load_header : :class:`~amaranth.lib.data.StructLayout`
        First beat of a load packet; `count` words follow, each in :func:`n_beats` beats, low first.
        `address`, `pe` and `everyone` say where they go, `buffer` which input buffer is meant;
        `reserved` must be zero.
    result : :class:`~amaranth.lib.data.StructLayout`
        One activation sent to the host; `last` of its vector.
    memories : :class:`dict` of :class:`Memory` to :class:`Image`
        Words and depth of each memory, as the load stream addresses it.
    """

    @classmethod
    @functools.cache
    def of(cls, config: EIEConfig) -> Self:
        """Return the layouts of a configuration."""
        return cls(config)

    def __init__(self, config: EIEConfig) -> None:
        act_addr = unsigned(clog2(config.act_depth))
        pe = unsigned(clog2(config.n_pe))
        row = unsigned(clog2(config.acc_depth))
        codebook = unsigned(clog2(config.n_codebooks))
        code = unsigned(clog2(config.n_codebooks << config.v_width))
        pointer = unsigned(clog2(config.n_pointers))

        self.entry = data.StructLayout({"v": config.v_width, "z": config.z_width})
        self.spmat_word = data.ArrayLayout(self.entry, config.entries_per_word)
        self.ptr = unsigned(clog2(config.n_entries))
        self.count = unsigned(clog2(config.acc_depth + 1))
        self.value = signed(config.act_width)
        self.weight = signed(config.codebook_width)
        self.acc = signed(config.acc_width)
        self.act_word = data.ArrayLayout(self.value, ACTS_PER_WORD)

        column_number = unsigned(clog2(config.act_depth * ACTS_PER_WORD * config.n_pe))
        self.scan = data.StructLayout({
            "column": column_number, "value": self.value, "dense": 1, "end": 1})

        # Bodies begin alike in every layout that a message goes through, so that passing one on
        # takes no multiplexers.
        self.activation = data.StructLayout({"value": self.value, "pointer": pointer})
        start = {"codebook": codebook, "source": act_addr, "last_word": act_addr, "dense": 1}
        self.start = data.StructLayout({**start, "watched": pe})
        self.end = data.StructLayout({
            "destination": act_addr, "bias": act_addr, "last_word": clog2(config.tile_words),
            "shift": clog2(config.max_shift + 1), "bias_shift": clog2(config.max_bias_shift + 1),
            "relu": 1})

        self.descriptor = data.StructLayout({
            "start": data.StructLayout(start), "end": self.end, "ptr_base": pointer, "input": 1,
            "barrier": 1, "final": 1, "valid": 1})

        self.memories = {
            Memory.SPMAT: Image(self.spmat_word, config.spmat_depth),
            Memory.PTR: Image(self.ptr, config.n_pointers),
            Memory.ACT: Image(self.act_word, config.act_depth),
            Memory.CODEBOOK: Image(self.weight, config.n_codebooks << config.v_width),
            Memory.PROGRAM: Image(self.descriptor, config.program_depth),
        }
        self.load_header = data.StructLayout({
            "address": 24, "count": 24, "pe": 8, "everyone": 1, "memory": Memory, "buffer": 1,
            "reserved": 3})
        address = unsigned(max(clog2(image.depth) for image in self.memories.values()))
        self.load = data.StructLayout({
            "address": address,
            "data": max(Shape.cast(image.shape).width for image in self.memories.values()),
            "pe": pe, "everyone": 1, "memory": Memory,
            **({"read": 1} if config.readback else {})})
        self.run = data.StructLayout({"descriptor": clog2(config.program_depth),
                                      "offset": act_addr})
        self.read = data.StructLayout({
            "memory": Memory, "pe": pe, "address": address, "count": address.width + 1})
        self.message = _message(activation=self.activation, start=self.start, end=self.end,
                                load=self.load)

        begin = data.StructLayout({"codebook": codebook})
        self.column = _message(
            activation=data.StructLayout({
                "value": self.value, "begin": self.ptr, "count": self.count}),
            start=begin, end=self.end)
        self.work = _message(
            activation=data.StructLayout({"value": self.value, "entry": self.entry, "first": 1}),
            start=begin, end=self.end)
        self.operation = _message(
            activation=data.StructLayout({"value": self.value, "row": row, "code": code}),
            end=self.end)

        self.operand = data.StructLayout({
            "row": row, "code": code, "value": self.value, "drain": 1, "discard": 1, "last": 1,
            "bias_shift": self.end.members["bias_shift"]})

        self.result = data.StructLayout({"column": column_number, "value": self.value, "last": 1})

    def images(self, config: EIEConfig) -> Iterator[tuple[str, Memory, int | None, Image]]:
        """Every memory instance: its name in the hierarchy, what it is, its PE, its words."""
        yield "ccu.program", Memory.PROGRAM, None, self.memories[Memory.PROGRAM]
        for pe in range(config.n_pe):
            bank = Image(self.ptr, config.ptr_depth)
            yield f"pe_{pe}.ptr_even", Memory.PTR, pe, bank
            yield f"pe_{pe}.ptr_odd", Memory.PTR, pe, bank
            for memory in (Memory.SPMAT, Memory.ACT, Memory.CODEBOOK):
                yield f"pe_{pe}.{memory.name.lower()}", memory, pe, self.memories[memory]


def _message(**bodies: data.Layout) -> data.StructLayout:
    return data.StructLayout({"kind": Kind, "body": data.UnionLayout(bodies)})


def image_file(instance: str) -> str:
    """File that ``$readmemh`` loads into a memory instance."""
    return f"{instance}.hex"


def n_beats(shape: ShapeLike) -> int:
    """Beats of the load stream that a word takes."""
    return -(-Shape.cast(shape).width // BEAT_WIDTH)


def n_pieces(config: EIEConfig, shape: ShapeLike) -> int:
    """Elements of a packet of results that a word takes when its memory is read back."""
    return -(-Shape.cast(shape).width // config.act_width)


def result_lane_width(config: EIEConfig) -> int:
    """Bits that an element of a result takes in a beat: whole bytes, a number type of software."""
    return max(8, 1 << clog2(config.act_width))
