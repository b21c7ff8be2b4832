"""Load packets, random and by hand, and the rules that a packet reader follows, in Python."""

import dataclasses
import zlib
from typing import NamedTuple

import numpy as np
from amaranth.hdl import Shape

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, Memory, n_beats
from eie_hdl.packing import unpack
from eie_hdl.registers import Error

TINY = PRESETS["tiny"]
CONFIGS = {
    "tiny": TINY,
    "default": EIEConfig(),
    "one-pe": dataclasses.replace(TINY, n_pe=1),
    # Words of one beat; and words of up to four beats, with as many PEs as numbers.
    "narrowest": EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, act_width=4,
                           codebook_width=4, acc_width=8, acc_depth=4, ptr_depth=16,
                           act_depth=16, n_codebooks=1, program_depth=2),
    "widest": EIEConfig(n_pe=256, v_width=8, z_width=8, entries_per_word=16, act_width=24),
}
UNKNOWN = [value for value in range(8) if value not in {memory.value for memory in Memory}]


class Settings(NamedTuple):
    """Inputs of the reader besides packets."""

    input_base: int = 3
    input_words: int = 5
    input_stride: int = 7
    in_use: int = 0

    def apply(self, ctx, dut):
        for name, value in self._asdict().items():
            ctx.set(getattr(dut, name), value)


class Outcome(NamedTuple):
    """Words written, (code, address, memory, pe) of the error if any, beats in the checksum."""

    words: list
    error: tuple | None
    summed: list


def word_shape(layouts, memory):
    place = Memory.ACT if memory == Memory.INPUT.value else Memory(memory)
    return Shape.cast(layouts.memories[place].shape)


def judge(config, settings, packet):
    """Return the expected outcome of a packet."""
    layouts = Layouts.of(config)
    words, first = [], packet[0]
    if not first["whole"]:
        return Outcome([], (Error.PARTIAL_BEAT, 0, 0, 0), [])
    header = {name: int(value) for name, value in
              unpack(layouts.load_header, np.array([first["data"]], np.uint64)).items()}
    address, count, memory = header["address"], header["count"], header["memory"]
    is_input = memory == Memory.INPUT.value
    summed = [] if is_input else [first["data"]]

    def fault(code, where):
        return Outcome(words, (code, where, memory, header["pe"]), summed)

    def refuse(code):
        return Outcome([], (code, address, memory, header["pe"]), [])

    if memory in UNKNOWN or header["reserved"]:
        return refuse(Error.BAD_HEADER)
    if is_input:
        rows = settings.input_stride + settings.input_words
        is_there = (settings.input_base + rows <= config.act_depth
                    and (not header["buffer"] or settings.input_stride)
                    and address * config.n_pe + count <= settings.input_words * config.n_pe)
        is_free = True
    else:
        if memory != Memory.PROGRAM.value and not header["everyone"] \
                and header["pe"] >= config.n_pe:
            return refuse(Error.BAD_PE)
        is_there = address + count <= layouts.memories[Memory(memory)].depth
        is_free = not settings.in_use
    if not is_there:
        return refuse(Error.BAD_ADDRESS)
    if not is_free:
        return refuse(Error.LOAD_IN_USE)
    if (count == 0) != first["last"]:
        return refuse(Error.OVERLONG if count == 0 else Error.TRUNCATED)

    def place(n):
        if not is_input:
            return memory, address + n, header["everyone"], header["pe"] % config.n_pe
        row, pe = divmod(address * config.n_pe + n, config.n_pe)
        return (Memory.ACT.value,
                settings.input_base + header["buffer"] * settings.input_stride + row, 0, pe)

    def where(n):
        return address + (n // config.n_pe if is_input else n)

    shape = word_shape(layouts, memory)
    length = n_beats(shape)
    for n in range(count):
        value = 0
        for part in range(length):
            beat = packet[1 + n * length + part]
            if not beat["whole"]:
                return fault(Error.PARTIAL_BEAT, where(n))
            if not is_input:
                summed.append(beat["data"])
            value |= beat["data"] << part * BEAT_WIDTH
            if part < length - 1 and beat["last"]:
                return fault(Error.TRUNCATED, where(n))
        words.append((*place(n), value & (1 << shape.width) - 1))
        if beat["last"] and n < count - 1:
            return fault(Error.TRUNCATED, where(n + 1))
    if count and not beat["last"]:
        return fault(Error.OVERLONG, where(count))
    return Outcome(words, None, summed)


def seen(layouts, word):
    """Convert an offered word to the form of `judge`; bits past its end are don't-care."""
    data = word.data & (1 << word_shape(layouts, word.memory.value).width) - 1
    assert not getattr(word, "read", 0)
    return word.memory.value, word.address, word.everyone, word.pe, data


def header(memory, **fields):
    """Encode a header; `memory` may be an invalid number."""
    layout = Layouts.of(TINY).load_header    # the same in all configurations
    return layout.const(fields).as_value().value | int(getattr(memory, "value", memory)) \
        << layout["memory"].offset


def beats(*data, last=True):
    """Beats, the last of which is marked if `last` is set."""
    return [{"data": value, "whole": 1, "last": int(last and n == len(data) - 1)}
            for n, value in enumerate(data)]


def random_packet(rng, config, settings):
    """Random packet; half of them have a random value in some part."""
    flaw = rng.choice(["", "", "", "", "address", "pe", "reserved", "length", "length", "whole"])

    def choose(part, good, anything):
        return anything if flaw == part else good

    memory = rng.choice([*range(6), *range(6), Memory.INPUT.value, rng.randrange(8)])
    layouts = Layouts.of(config)
    is_input = memory == Memory.INPUT.value
    count = rng.choice([0, 1, 2, rng.randint(1, 7)])
    depth, n_words = 8, 8
    if memory not in UNKNOWN:
        n_words = settings.input_words * config.n_pe if is_input else \
            layouts.memories[Memory(memory)].depth
        depth = n_words // config.n_pe if is_input else n_words
        count = min(count, n_words)
    first = max(0, depth - (-(-count // config.n_pe) if is_input else count))
    beat = header(memory, count=count,
                  address=choose("address", rng.choice([0, first, rng.randint(0, first)]),
                                 rng.choice([first + 1, first + 2, rng.getrandbits(24)])),
                  pe=choose("pe", rng.randrange(config.n_pe), rng.getrandbits(8)),
                  everyone=rng.randrange(2), buffer=rng.randrange(2),
                  reserved=choose("reserved", 0, rng.randrange(8)))
    length = 1 if memory in UNKNOWN else n_beats(word_shape(layouts, memory))
    n_more = count * length + choose("length", 0, rng.choice([-1, 1, -rng.randrange(9), 3]))
    packet = beats(beat, *(rng.getrandbits(BEAT_WIDTH) for _ in range(n_more)))
    rng.choice(packet)["whole"] = choose("whole", 1, 0)
    return packet


def watch_errors(dut, *, clears=True):
    """Make a background bench that logs errors, and asserts `discard` after one: for one cycle, as
    if the error was cleared at once, or for good.
    """
    log = []

    async def watch(ctx):
        async for *_, error in ctx.tick().sample(dut.error):
            if error.code:
                log.append((error.code, error.address, error.memory, error.pe))
                ctx.set(dut.discard, 1)
            elif clears:
                ctx.set(dut.discard, 0)

    return log, watch


def crc(data):
    return zlib.crc32(np.array(data, "<u8").tobytes())
