"""Layouts of all words and messages, shared by RTL, compiler, drivers and golden model."""

import functools
import operator
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

from amaranth.hdl import Shape, ShapeLike, signed, unsigned
from amaranth.lib import data, enum

from .config import ACTS_PER_WORD, ZERO_WIDTH, EIEConfig, clog2

__all__ = [
    "BEAT_BYTES", "BEAT_WIDTH", "COUNTERS", "COUNTER_WIDTH", "FORMAT_VERSION", "Image", "Kind",
    "LOCAL_MULTIPLES", "Layouts", "Memory", "N_BUFFERS", "N_SEGMENTS", "SCALE_SHIFT_WIDTH",
    "SCHEMA_VERSION", "Table", "any_unwritten", "image_file", "last_element", "n_beats",
    "n_drained", "n_elements", "n_pieces", "n_result_beats", "reads_factors", "result_lane_width",
]

#: Incremented whenever earlier builds can no longer be run.
FORMAT_VERSION = 4

#: Version of the keys of every JSON file. It changes when a key changes its name or meaning.
SCHEMA_VERSION = 1

#: Width of a beat of the load stream and of the result stream, in bits and in bytes.
BEAT_WIDTH = 64
BEAT_BYTES = BEAT_WIDTH // 8

#: Greatest number of input buffers, and of programs in flight, each of which has one.
N_BUFFERS = 2

#: Segments that can wait in a PE to be scanned, and greatest number of segments of a pixel.
N_SEGMENTS = 16

#: Fields of a loop that must be multiples of the number of PEs in local mode.
LOCAL_MULTIPLES = ("x", "x_step", "y", "y_step", "segment_step", "width", "length", "columns")

#: Bits of the shift of a row with ``scales``, the low ones of a word: beside that of the tile.
SCALE_SHIFT_WIDTH = 4

#: Width of a performance counter.
COUNTER_WIDTH = 64

#: Performance counters, cleared at the start of a program while none is in flight. Each cycle is
#: one of `phase_control`, `phase_compute`, `phase_output` or `stall_barrier`.
COUNTERS = {
    "cycles": "clock cycles from the start of the program, or of the first of those in flight, to "
              "its end",
    "phase_control": "cycles spent fetching, starting and completing descriptors",
    "phase_compute": "cycles spent scanning and broadcasting the source of a tile",
    "phase_output": "cycles spent waiting until an earlier result was sent",
    "broadcasts": "activations broadcast",
    "macs": "entries multiplied and accumulated, in all PEs",
    "paddings": "padding entries decoded, in all PEs",
    "spmat_reads": "words read from the spmat SRAMs, in all PEs",
    "ptr_reads": "pairs of pointers read for broadcasts, in all PEs",
    "pe_busy": "cycles in which the selected PE decoded an entry, including padding",
    "stall_full": "cycles in which back-pressure of an activation queue stalled a broadcast",
    "stall_scan": "cycles of phase_compute in which the scanners delivered nothing",
    "stall_barrier": "cycles spent waiting for the write-back of earlier tiles",
    "stall_result": "cycles in which the host stalled a beat of results",
}


class Kind(enum.Enum, shape=2):
    """Kind of a broadcast message. All kinds take the same path and stay in order."""

    #: An activation, to be multiplied by its column.
    ACTIVATION = 0
    #: Start of a tile: scan the source, select the codebook.
    START = 1
    #: End of a tile: drain the accumulators.
    END = 2
    #: End of the tiles of a descriptor in local mode: each PE finds for itself where they end.
    LOCAL_END = 3


class Table(enum.Enum, shape=2):
    """Function that is applied to the results of a tile."""

    #: None: results are those of the accumulators.
    NONE = 0
    #: Sigmoid of an operand with ``act_width - 5`` fraction bits, with ``act_width - 2`` of them.
    SIGMOID = 1
    #: Hyperbolic tangent, with the same formats.
    TANH = 2


class Memory(enum.Enum, shape=3):
    """Memories that the host can load."""

    #: Entries, addressed by word.
    SPMAT = 0
    #: Pointers, addressed by pointer; even and odd ones are in separate banks.
    PTR = 1
    #: Activations and biases, addressed by word of four.
    ACT = 2
    #: Codebooks, concatenated; addressed by entry.
    CODEBOOK = 3
    #: Descriptors, addressed by descriptor. The only memory outside the PEs, in the CCU.
    PROGRAM = 4
    #: Input buffer, a region of the activation SRAMs, addressed by row of the buffer. Words go to
    #: the PEs in turn, from PE 0: one row of all PEs, then the next row.
    INPUT = 5


class Image(NamedTuple):
    """Word shape and depth of a memory instance."""

    shape: ShapeLike
    depth: int


class Layouts:
    """Layouts of all words of an accelerator. :meth:`of` caches them per configuration.

    Attributes
    ----------
    entry : :class:`~amaranth.lib.data.StructLayout`
        One nonzero weight: `v` indexes the codebook, `z` is the run of zeros in the rows of this PE
        that precedes it. `v` = 0 is padding, which only skips rows.
    spmat_word : :class:`~amaranth.lib.data.ArrayLayout` of `entry`
        One row of the spmat SRAM; entry 0 is in the least significant bits.
    ptr : :class:`~amaranth.hdl.Shape`
        Number of the first entry of a column, modulo ``2 ** width``: the pointer after the last
        column of a full SRAM is 0.
    count : :class:`~amaranth.hdl.Shape`
        Entries of a column, at most ``acc_depth``, as each advances by at least one row.
    value, weight, acc : :class:`~amaranth.hdl.Shape`
        An activation or bias; a codebook entry; an accumulator.
    quantiser : :class:`~amaranth.lib.data.StructLayout`
        Quantisation of the results of a tile, in the low bits of entry 0 of its codebook, only with
        ``scales``. With a `rounding` of 1 or more, so many low bits of a result are rounded away,
        at most ``act_width - 1``. The result then saturates at one bit less, to which the zero
        point `zero`, in units of ``2 ** (act_width - 9)``, is added before and subtracted after.
    act_word : :class:`~amaranth.lib.data.ArrayLayout` of `value`
        One row of the activation SRAM; the lowest slot is in the least significant bits.
    scan : :class:`~amaranth.lib.data.StructLayout`
        Scanned activation: `column` = slot · n_pe + PE, and its `value`. `end` marks the end of the
        scan and carries no activation. With ``loops``, the slot is that in the SRAM, not that in
        the source, and `segment` is the number of the segment, modulo :data:`N_SEGMENTS`.
    leaf_scan : :class:`~amaranth.lib.data.StructLayout`
        The same at the output of a scanner: with ``local``, an item is `local` if its tile is in
        local mode.
    activation, start, end : :class:`~amaranth.lib.data.StructLayout`
        Bodies of a message, by :class:`Kind`. `pointer` is the pointer of the column; `source`,
        `destination` and `bias` are rows of the activation SRAM, and `last_word` is the number of
        such rows minus one; the busy cycles of PE `watched` are counted. A PE begins the scan of a
        start when at most `unwritten` of the tiles before it are yet to be written. With `send`, it
        sends a vector to the host instead: `last_word`, `last_lane` and `last_pe` are the place of
        its last element. With ``loops``, a start is a segment, from lane `first_lane` of PE
        `first_pe` in the first row up to such a place; `begins_loop` marks the first segment of a
        descriptor, and `ends_tile` the last one of a tile. With ``local``, the activations of a
        `local` segment go to the PE itself: `origin` is the pointer of slot 0 of its SRAM, and
        `closes` marks the last tile of the descriptor. With ``maximum``, a start has two more
        flags: with `maximum`, the accumulators of its tile take the maximum of activations instead
        of the sum of products; with `zeros`, activations that are zero are processed, too, not
        skipped. An end drains the accumulators up to lane `last_lane` of word `last_word`;
        `begins_loop` and `ends_loop` mark the first and the last tile of a descriptor, and only the
        first has a destination. In local mode, an end is sent once for all tiles, before the first;
        each PE repeats it for each tile. With ``products``, an end that has `multiply` set adds the
        product of two activations to each accumulator, of those in the rows from `bias` and from
        `factor`, instead of a bias. With ``tables``, `table` is the function that is applied to the
        results, a :class:`Table`. With ``scales``, an end that has `scale` set scales each row by
        ``(1 + fraction / 2 ** act_width) / 2 ** shift``. Rows from `factor` have four fractions,
        unsigned, and four shifts of :data:`SCALE_SHIFT_WIDTH` bits alternately. Results are
        quantised as entry 0 of the codebook says, a `quantiser`.
    message : :class:`~amaranth.lib.data.StructLayout`
        Broadcast message: a `kind` and a `body`.
    load : :class:`~amaranth.lib.data.StructLayout`
        Word to be written to a memory of PE `pe`, or of all PEs if `everyone` is set. With `read`,
        which exists only with ``readback``, PE `pe` returns the word at the address instead:
        ``act_width`` bits from bit ``data * act_width``, where only the low bits of `data` count.
    pe_load : :class:`~amaranth.lib.data.StructLayout`
        The same, with `data` as wide as the memories of a PE.
    column : :class:`~amaranth.lib.data.StructLayout`
        Message after pointer read: an activation has become `count` entries from entry `begin`,
        all to be multiplied by `value`.
    work : :class:`~amaranth.lib.data.StructLayout`
        Message after spmat read: an activation has become single entries, each beside its `body`;
        `first` marks the first entry of a column.
    operation : :class:`~amaranth.lib.data.StructLayout`
        Entry or, with `is_end`, end after entry decode: beside its `body`, an entry has its `row`,
        and its address `code` in the codebook memory (codebook number above codebook index); with
        ``maximum``, also the flag `maximum` of its tile.
    operand : :class:`~amaranth.lib.data.StructLayout`
        Operand of the MAC: `value` is multiplied by the codebook entry at `code` and added to
        accumulator `row`. With `drain`, it is multiplied by ``2 ** bias_shift`` instead, or by
        another activation with `multiply`, which exists only with ``products``; and the accumulator
        is output and cleared, or only cleared with `discard`. With `scale`, which exists only with
        ``scales``, the row has a scale. `last` marks the last operand of a tile. With `maximum`,
        which exists only with ``maximum``, the accumulator becomes the maximum of itself and
        ``value + 2 ** (act_width - 1)`` instead.
    descriptor : :class:`~amaranth.lib.data.StructLayout`
        One step of a program. It starts a tile with `start`, adds `ptr_base` to each column number
        to obtain its pointer, and completes the tile with `end`. `barrier`: each PE waits until it
        has written all earlier tiles of the program. `result_barrier`: before the tile is written,
        wait until the vector that is being sent has left the PEs. `start.send`: send the source to
        the host instead; `end` is ignored. `offset_source`, `offset_destination`: add the offset of
        the program's buffer to the first row of the source, or of the destination; biases are never
        offset. `frees_input`: no later descriptor reads or overwrites the input. `alone`, in the
        first descriptor: wait until earlier programs have ended, as not all vectors are in the
        region of the buffer. `final`: the program ends. `valid` is set in all descriptors, so that
        cleared memory is not a program. With ``loops``, the tile is repeated as `loop` says, which
        docs/architecture.md defines, "Convolution loops".
    run : :class:`~amaranth.lib.data.StructLayout`
        Start of a program: the first `descriptor`, the input `buffer`, and its `offset` in rows,
        which is added to the sources and destinations of descriptors with `offset_source` and
        `offset_destination`.
    read : :class:`~amaranth.lib.data.StructLayout`
        Request for `count` words of `memory` of PE `pe`, from `address`. A read of `ACT` returns
        the rows of all PEs, as a vector.
    load_header : :class:`~amaranth.lib.data.StructLayout`
        First beat of a load packet. It is followed by `count` words of :func:`n_beats` beats each,
        least significant first. `address`, `pe` and `everyone` are their destination, `buffer` is
        the number of the input buffer; `reserved` must be zero.
    result : :class:`~amaranth.lib.data.StructLayout`
        Word sent to the host: lanes 0 to `last_lane` of a row of the activation SRAM. `end` follows
        the last word of a vector and carries none.
    memories : :class:`dict` of :class:`Memory` to :class:`Image`
        Word shape and depth of each memory, as addressed by load packets.
    """

    @classmethod
    @functools.cache
    def of(cls, config: EIEConfig) -> Self:
        """Return the layouts of a configuration."""
        return cls(config)

    def __init__(self, config: EIEConfig) -> None:
        act_addr = unsigned(clog2(config.act_depth))
        pe = unsigned(clog2(config.n_pe))
        lane = unsigned(clog2(ACTS_PER_WORD))
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
        if config.scales:
            self.quantiser = data.StructLayout({
                "rounding": clog2(config.act_width), "zero": signed(ZERO_WIDTH)})

        column_number = unsigned(clog2(config.act_depth * ACTS_PER_WORD * config.n_pe))
        scan = {"column": column_number, "value": self.value, "end": 1,
                **({"segment": clog2(N_SEGMENTS)} if config.loops else {})}
        self.scan = data.StructLayout(scan)
        self.leaf_scan = data.StructLayout({**scan, **({"local": 1} if config.local else {})})

        # Bodies begin with the same fields in every layout along the path, so that passing a
        # message on takes no multiplexers.
        self.activation = data.StructLayout({"value": self.value, "pointer": pointer})
        maximum = {"maximum": 1} if config.maximum else {}
        start = {"codebook": codebook, **maximum, **({"zeros": 1} if config.maximum else {}),
                 "source": act_addr, "last_word": act_addr, "send": 1, "last_lane": lane,
                 "last_pe": pe}
        end = {"destination": act_addr, "bias": act_addr, "last_word": clog2(config.tile_words),
               "shift": clog2(config.max_shift + 1), "bias_shift": clog2(config.max_bias_shift + 1),
               "relu": 1, **({"last_lane": lane} if config.loops else {}),
               **({"factor": act_addr} if config.products or config.scales else {}),
               **({"multiply": 1} if config.products else {}),
               **({"scale": 1} if config.scales else {}),
               **({"table": Shape.cast(Table)} if config.tables else {})}
        self.start = data.StructLayout({
            **start, "watched": pe, "unwritten": clog2(any_unwritten(config) + 1),
            **({"first_lane": lane, "first_pe": pe, "begins_loop": 1, "ends_tile": 1}
               if config.loops else {}),
            **({"origin": pointer, "local": 1, "closes": 1} if config.local else {})})
        self.end = data.StructLayout({
            **end, **({"begins_loop": 1, "ends_loop": 1} if config.loops else {})})

        self.descriptor = data.StructLayout({
            "start": data.StructLayout(start), "end": data.StructLayout(end), "ptr_base": pointer,
            "offset_source": 1, "offset_destination": 1, "frees_input": 1, "alone": 1,
            "barrier": 1, "result_barrier": 1, "final": 1, "valid": 1,
            **({"loop": _loop(config, column_number, pointer, act_addr)}
               if config.loops else {})})

        self.memories = {
            Memory.SPMAT: Image(self.spmat_word, config.spmat_depth),
            Memory.PTR: Image(self.ptr, config.n_pointers),
            Memory.ACT: Image(self.act_word, config.act_depth),
            Memory.CODEBOOK: Image(self.weight, config.n_codebooks << config.v_width),
            Memory.PROGRAM: Image(self.descriptor, config.program_depth),
        }
        self.load_header = data.StructLayout({
            "address": 24, "count": 24, "pe": 8, "everyone": 1, "memory": Memory,
            "buffer": clog2(N_BUFFERS), "reserved": 3})
        address = unsigned(max(clog2(image.depth) for image in self.memories.values()))
        widths  = {memory: Shape.cast(image.shape).width
                   for memory, image in self.memories.items()}
        load    = {"address": address, "data": max(widths.values()), "pe": pe, "everyone": 1,
                   "memory": Memory, **({"read": 1} if config.readback else {})}
        self.load    = data.StructLayout(load)
        self.pe_load = data.StructLayout({**load, "data": max(
            width for memory, width in widths.items() if memory is not Memory.PROGRAM)})
        self.run = data.StructLayout({"descriptor": clog2(config.program_depth),
                                      "buffer": clog2(N_BUFFERS), "offset": act_addr})
        self.read = data.StructLayout({
            "memory": Memory, "pe": pe, "address": address, "count": address.width + 1})
        self.message = _message({"activation": self.activation, "start": self.start,
                                 "end": self.end})

        begin = data.StructLayout({"codebook": codebook, **maximum})
        self.column = _message({
            "activation": data.StructLayout({
                "value": self.value, "begin": self.ptr, "count": self.count}),
            "start": begin, "end": self.end})
        # What a stage adds to a body has bits of its own: else it would be multiplexed.
        value = data.StructLayout({"value": self.value})
        self.work = _message({"activation": value, "start": begin, "end": self.end},
                             entry=self.entry, first=1)
        self.operation = data.StructLayout({
            "is_end": 1, "body": data.UnionLayout({"activation": value, "end": self.end}),
            "row": row, "code": code, **maximum})

        self.operand = data.StructLayout({
            "row": row, "code": code, "value": self.value, "drain": 1, "discard": 1, "last": 1,
            "bias_shift": self.end.members["bias_shift"], **maximum,
            **({"multiply": 1} if config.products else {}),
            **({"scale": 1} if config.scales else {})})

        self.result = data.StructLayout({"word": self.act_word, "last_lane": lane, "end": 1})

    def images(self, config: EIEConfig) -> Iterator[tuple[str, Memory, int | None, Image]]:
        """Yield the hierarchical name, memory, PE number and image of each memory instance."""
        yield "ccu.program", Memory.PROGRAM, None, self.memories[Memory.PROGRAM]
        for pe in range(config.n_pe):
            bank = Image(self.ptr, config.ptr_depth)
            yield f"pe_{pe}.ptr_even", Memory.PTR, pe, bank
            yield f"pe_{pe}.ptr_odd", Memory.PTR, pe, bank
            for memory in (Memory.SPMAT, Memory.ACT, Memory.CODEBOOK):
                yield f"pe_{pe}.{memory.name.lower()}", memory, pe, self.memories[memory]


def _loop(config: EIEConfig, column: Shape, pointer: Shape, row: Shape) -> data.StructLayout:
    """Layout of the loops of a descriptor, of which the number of pixels is derived.

    All but `last_x`, `last_slot` and `local` are in columns of the source. `x`, `y`: first column
    of the first segment in its row of the map, and first column of this row; signed, as a kernel
    reaches beyond the map. `x_step`, `y_step`: from one pixel to the next, and from one row of
    pixels to the next. `segment_step`: from the row of one segment to that of the next. `width`:
    columns of a row of the map that exist. `length`, `columns`: of a segment, and of all segments
    of a pixel. `last_x`: pixels in a row, minus one. `last_slot`: last slot of the destination.
    `local`, only with ``local``: local mode, in which :data:`LOCAL_MULTIPLES` are multiples of the
    number of PEs.
    """
    place, size = signed(column.width + 1), unsigned(column.width + 1)
    slot = unsigned(row.width + clog2(ACTS_PER_WORD))
    # A PE has a pointer for each column, or in local mode for each n_pe columns.
    columns = unsigned(pointer.width + clog2(config.n_pe)) if config.local else pointer
    return data.StructLayout({
        "x": place, "x_step": column, "width": size, "y": place, "y_step": column,
        "segment_step": column, "length": size, "columns": columns,
        "last_x": slot, "last_slot": slot, **({"local": 1} if config.local else {})})


def any_unwritten(config: EIEConfig) -> int:
    """Return the `unwritten` of a start that waits for no tile: no more can be unwritten before.

    With ``loops``, so many tiles of the other program can have been started before a vector. They
    may wait until it has left, so that it must wait for none of them.
    """
    return config.max_tiles if config.loops else config.max_tiles - 1


def _message(bodies: Mapping[str, data.Layout], **fields: ShapeLike) -> data.StructLayout:
    return data.StructLayout({"kind": Kind, "body": data.UnionLayout(bodies), **fields})


def image_file(instance: str) -> str:
    """Return the name of the ``$readmemh`` file of a memory instance."""
    return f"{instance}.hex"


def n_beats(shape: ShapeLike) -> int:
    """Return the number of beats of a word in a load packet."""
    return -(-Shape.cast(shape).width // BEAT_WIDTH)


def n_pieces(config: EIEConfig, shape: ShapeLike) -> int:
    """Return the number of result elements of a word that is read back."""
    return -(-Shape.cast(shape).width // config.act_width)


def last_element(config: EIEConfig, n: int) -> dict[str, int]:
    """Return the fields of a start that sends `n` elements, in columns 0 to ``n - 1``."""
    slot, pe = divmod(n - 1, config.n_pe)
    word, lane = divmod(slot, ACTS_PER_WORD)
    return {"last_word": word, "last_lane": lane, "last_pe": pe}


def n_elements(config: EIEConfig, start: Mapping[str, Any]) -> Any:
    """Invert :func:`last_element`, for numbers or for arrays of them."""
    slot = start["last_word"] * ACTS_PER_WORD + start["last_lane"]
    return slot * config.n_pe + start["last_pe"] + 1


def n_drained(end: Mapping[str, Any]) -> Any:
    """Return the accumulators that a PE drains at an `end`, for numbers or for arrays of them."""
    return end["last_word"] * ACTS_PER_WORD + end.get("last_lane", ACTS_PER_WORD - 1) + 1


def reads_factors(config: EIEConfig, end: Any) -> Any:
    """Return if the words in the rows from `factor` of an `end` are read, in hardware or numbers.

    Those are factors of products, or of rows that are scaled.
    """
    flags = [end[name] for name, exists in (("multiply", config.products), ("scale", config.scales))
             if exists]
    return functools.reduce(operator.or_, flags) if flags else 0


def n_result_beats(config: EIEConfig, n: int) -> int:
    """Return the number of beats of a packet of `n` results."""
    return -(-n * result_lane_width(config) // BEAT_WIDTH)


def result_lane_width(config: EIEConfig) -> int:
    """Return the bits of an element in a result beat: the width of an integer type, 8, 16 or 32."""
    return max(8, 1 << clog2(config.act_width))
