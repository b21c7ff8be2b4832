"""HeaderCheck, against a table of headers."""

import random

from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts, Memory
from eie_hdl.host.header_check import FAULTS, HeaderCheck
from eie_hdl.registers import Error
from support.strobes import set_inputs

CONFIG = PRESETS["tiny"]
LAYOUTS = Layouts.of(CONFIG)
DEPTH = {memory: image.depth for memory, image in LAYOUTS.memories.items()}
BASE, WORDS, STRIDE = 3, 5, 9    # two input buffers

#: Fields, inputs and the resulting error.
HEADERS = [
    ({"memory": Memory.SPMAT, "count": DEPTH[Memory.SPMAT]}, {}, Error.NONE),
    ({"memory": Memory.SPMAT, "address": 1, "count": DEPTH[Memory.SPMAT]}, {}, Error.BAD_ADDRESS),
    ({"memory": Memory.PTR, "pe": CONFIG.n_pe - 1, "count": 1}, {}, Error.NONE),
    ({"memory": Memory.PTR, "pe": CONFIG.n_pe, "count": 1}, {}, Error.BAD_PE),
    ({"memory": Memory.PTR, "pe": CONFIG.n_pe, "everyone": 1, "count": 1}, {}, Error.NONE),
    ({"memory": Memory.PROGRAM, "pe": CONFIG.n_pe, "count": 1}, {}, Error.NONE),
    ({"memory": Memory.ACT, "count": 1, "reserved": 4}, {}, Error.BAD_HEADER),
    ({"memory": Memory.ACT, "count": 1}, {"in_use": 1}, Error.LOAD_IN_USE),
    ({"memory": Memory.ACT, "count": 1, "last": 1}, {}, Error.TRUNCATED),
    ({"memory": Memory.ACT}, {}, Error.OVERLONG),
    ({"memory": Memory.ACT, "last": 1}, {}, Error.NONE),
    ({"memory": Memory.INPUT, "count": WORDS * CONFIG.n_pe}, {"in_use": 1}, Error.NONE),
    ({"memory": Memory.INPUT, "count": WORDS * CONFIG.n_pe + 1}, {}, Error.BAD_ADDRESS),
    ({"memory": Memory.INPUT, "address": WORDS - 1, "count": CONFIG.n_pe}, {}, Error.NONE),
    ({"memory": Memory.INPUT, "address": WORDS, "count": 1}, {}, Error.BAD_ADDRESS),
    ({"memory": Memory.INPUT, "buffer": 1, "count": 1}, {"in_use": 1}, Error.NONE),
    ({"memory": Memory.INPUT, "buffer": 1, "count": 1}, {"input_stride": 0}, Error.BAD_ADDRESS),
    ({"memory": Memory.INPUT, "count": 1},
     {"input_base": CONFIG.act_depth - STRIDE - WORDS + 1}, Error.BAD_ADDRESS),
    ({"memory": Memory.INPUT, "count": 1},
     {"input_base": CONFIG.act_depth - STRIDE - WORDS}, Error.NONE),
    ({"memory": Memory.INPUT, "buffer": 1, "count": WORDS * CONFIG.n_pe},
     {"input_base": CONFIG.act_depth - STRIDE - WORDS}, Error.NONE),
    ({"memory": Memory.INPUT, "count": 1},
     {"input_base": CONFIG.act_depth - WORDS, "input_stride": 0}, Error.NONE),
    ({"memory": Memory.INPUT, "count": 1},
     {"input_base": 0xFFFF, "input_words": 0xFFFF, "input_stride": 0xFFFF}, Error.BAD_ADDRESS),
    # Several errors: the first in order of precedence is reported.
    ({"memory": Memory.PTR, "pe": CONFIG.n_pe, "address": DEPTH[Memory.PTR], "last": 1, "count": 1},
     {"in_use": 1}, Error.BAD_PE),
    ({"memory": Memory.PTR, "address": DEPTH[Memory.PTR], "last": 1, "count": 1},
     {"in_use": 1}, Error.BAD_ADDRESS),
    ({"memory": Memory.PTR, "last": 1, "count": 1}, {"in_use": 1}, Error.LOAD_IN_USE),
]


def first_fault(ctx, dut):
    """The error of highest precedence."""
    faults = ctx.get(dut.faults)
    return next((error for n, error in enumerate(FAULTS) if faults >> n & 1), Error.NONE)


def test_fault_follows_in_the_cycle_after_the_header(simulate):
    """Headers arrive in every third cycle, in any order."""
    dut = HeaderCheck(CONFIG)
    rng = random.Random(17)
    table = [rng.choice(HEADERS) for _ in range(50)] + HEADERS

    async def bench(ctx):
        for fields, inputs, code in table:
            fields = dict(fields)
            last = fields.pop("last", 0)
            header = LAYOUTS.load_header.const(fields)
            set_inputs(ctx, dut, input_base=BASE, input_words=WORDS, input_stride=STRIDE,
                       in_use=0)
            set_inputs(ctx, dut, **inputs)
            await ctx.tick()    # where the input buffers end is registered
            ctx.set(dut.beat, {"data": header.as_value().value, "whole": 1, "last": last})
            await ctx.tick()
            ctx.set(dut.beat, {"data": rng.getrandbits(64)})
            ctx.set(dut.in_use, rng.randrange(2))
            ctx.set(dut.header, header)
            assert first_fault(ctx, dut) == code, (fields, inputs)

    simulate(dut, bench)


def test_partial_beat_is_reported_before_anything_else(simulate):
    dut = HeaderCheck(CONFIG)

    async def bench(ctx):
        ctx.set(dut.beat, {"data": (1 << 64) - 1, "whole": 0})
        await ctx.tick()
        ctx.set(dut.header, LAYOUTS.load_header.const({"reserved": 7}))
        assert first_fault(ctx, dut) == Error.PARTIAL_BEAT

    simulate(dut, bench)
