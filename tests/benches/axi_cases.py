"""Stimuli for bus benches: networks, inputs, and valid and invalid packets."""

import numpy as np

from benches.axi_buses import CONFIG, seed
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import packet
from eie_hdl.format import BEAT_BYTES, FORMAT_VERSION, Layouts, Memory, n_beats
from eie_hdl.numeric import limits
from eie_hdl.packing import pack, unpack
from eie_hdl.registers import PRODUCT_ID, REGISTER, REGISTERS, VERSION, Error, config_registers

#: TKEEP of a complete beat.
WHOLE = (1 << BEAT_BYTES) - 1

LAYOUTS = Layouts.of(CONFIG)

#: Words of registers that hardware sets before any activity; its other registers read zero.
KNOWN = {
    "ID": PRODUCT_ID,
    "VERSION": REGISTER["VERSION"].pack(**dict(zip(("major", "minor", "patch"), VERSION))),
    "FORMAT": FORMAT_VERSION,
    "STATUS": 1,
    **config_registers(CONFIG),
}


def reset_word(register):
    """Return the word that a register reads after reset."""
    return sum(field.reset << field.low for field in register.fields) | KNOWN.get(register.name, 0)


async def expect_words(host, words):
    """Check that all registers read `words`, or by default their reset values."""
    for register in REGISTERS:
        word = await host.read_word(register.name)
        expected = words.get(register.name, reset_word(register))
        assert word == expected, f"{register.name} reads 0x{word:X}, not 0x{expected:X}"


def random_build(number, sizes=(40, 20, 10), density=0.3, outputs="all"):
    """Random build."""
    network = random_network(np.random.default_rng([seed(), number]), sizes, density=density,
                             v_width=CONFIG.v_width, frac=4)
    return compile_network(network, CONFIG, outputs=outputs)


def random_inputs(build, n):
    """Input vectors (n, n_inputs) without zeros."""
    low, high = limits(CONFIG.act_width)
    values = np.random.default_rng(seed()).integers(low, high, (n, len(build.input.columns)))
    return values + (values >= 0)


def program_packet(build, change=lambda fields: None):
    """Packet with a build's program after `change` of its fields."""
    fields = unpack(LAYOUTS.descriptor, build.images["ccu.program"])
    change(fields)
    return packet(CONFIG, Memory.PROGRAM, pack(LAYOUTS.descriptor, fields))


def random_words(rng, memory, n):
    """Beats of `n` random words of a memory, unused bits included."""
    shape = LAYOUTS.memories[Memory.ACT if memory == Memory.INPUT else memory].shape
    return rng.integers(0, 1 << 64, n * n_beats(shape), np.uint64)


def raw_packet(words, **header):
    """Packet of a header and the beats `words`; header fields not given are zero."""
    fields = {name: 0 for name, _ in LAYOUTS.load_header}
    return np.concatenate([pack(LAYOUTS.load_header, fields | header), words])


def bad_packets(rng, input_words):
    """Yield packets with one fault each: error code, beats, and TKEEP of each beat."""
    def case(code, *, given, keep=None, **header):
        beats = raw_packet(rng.integers(0, 1 << 64, given, np.uint64), **header)
        whole = np.full(len(beats), WHOLE, np.uint8)
        for place, bits in (keep or {}).items():
            whole[place] = bits
        return code, beats, whole

    memories = {memory.value: image.depth for memory, image in LAYOUTS.memories.items()}
    for number in set(range(8)) - {memory.value for memory in Memory}:
        yield case(Error.BAD_HEADER, given=2, memory=number, count=2)
    for reserved in (1, 2, 4, 7):
        yield case(Error.BAD_HEADER, given=2, reserved=reserved, count=2)
    for memory in set(memories) - {Memory.PROGRAM.value}:
        for pe in (CONFIG.n_pe, 255):
            yield case(Error.BAD_PE, given=2, memory=memory, count=2, pe=pe)

    far = (1 << 24) - 1
    for memory, depth in (memories | {Memory.INPUT.value: input_words}).items():
        words = CONFIG.n_pe if memory == Memory.INPUT.value else 1    # words per row
        for address, count in [(depth, words), (depth - 1, words + 1), (0, depth * words + 1),
                               (far, words), (0, far), (far, far)]:
            yield case(Error.BAD_ADDRESS, given=3, memory=memory, address=address, count=count)
    for memory in (*memories, Memory.INPUT.value):
        for given in range(4):
            yield case(Error.TRUNCATED, given=given, memory=memory, address=3 % input_words,
                       count=4, pe=1)
        per_word = len(random_words(rng, Memory(memory), 1))
        for count, surplus in [(0, 1), (1, 1), (4, 1), (4, 9)]:
            yield case(Error.OVERLONG, given=count * per_word + surplus, memory=memory, count=count,
                       pe=2)
        for place in range(5):
            bits = int(rng.integers(0, WHOLE))
            yield case(Error.PARTIAL_BEAT, given=4, keep={place: bits}, memory=memory, count=4)
    for bits in (0, WHOLE >> 1, WHOLE - 1):
        yield case(Error.PARTIAL_BEAT, given=2, keep={2: bits}, memory=0, count=2)
    # A truncated or overlong packet whose last beat is partial too.
    yield case(Error.PARTIAL_BEAT, given=2, keep={2: 1}, memory=0, count=3)
    yield case(Error.PARTIAL_BEAT, given=3, keep={2: 1}, memory=0, count=2)
    yield case(Error.OVERLONG, given=3, keep={3: 1}, memory=0, count=2)
