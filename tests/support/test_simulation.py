# amaranth: UnusedElaboratable=no
"""Helpers of the unit tests, which must catch every fault."""

import numpy as np
import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from support.simulation import get, nothing, put, streams

PAIR = data.StructLayout({"x": unsigned(4), "y": data.ArrayLayout(unsigned(3), 2)})


class Register(wiring.Component):
    """Register between two streams, with an optional `fault`."""

    def __init__(self, shape, *, fault=None, always_ready=False, always_valid=False):
        self._fault = fault
        self._shape = shape
        super().__init__({
            "i": In(stream.Signature(shape, always_valid=always_valid, always_ready=always_ready)),
            "o": Out(stream.Signature(shape, always_valid=always_valid, always_ready=always_ready)),
        })

    def elaborate(self, platform):
        m = Module()
        if not self.o.signature.always_ready:
            m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.payload.eq(self.i.payload)
            if not self.o.signature.always_valid:
                m.d.sync += self.o.valid.eq(self.i.valid)
        with m.Elif(True):
            if self._fault == "withdraws":
                m.d.sync += self.o.valid.eq(0)
            if self._fault == "changes":
                m.d.sync += self.o.payload.eq(self.o.payload + 1)
        if self._fault == "repeats":
            with m.If(self.o.ready):
                m.d.sync += self.o.valid.eq(self.i.valid | self.o.valid)
        return m


class Nest(wiring.Component):
    """Component with streams in an array, in a nested signature, and flipped in it."""

    def __init__(self):
        port = wiring.Signature({"request": Out(stream.Signature(4)),
                                 "answer": In(stream.Signature(4))})
        super().__init__({"server": In(port), "clients": Out(port).array(2), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.register = register = Register(4)
        connect(m, flipped(self.server.request), register.i)
        connect(m, register.o, flipped(self.clients[0].request))
        connect(m, flipped(self.clients[0].answer), flipped(self.server.answer))
        return m


def passes(dut, sent, stalls=(0, 0)):
    received = []

    async def producer(ctx):
        await put(ctx, dut.i, sent, stall=stalls[0])

    async def consumer(ctx):
        received.extend(await get(ctx, dut.o, len(sent), stall=stalls[1]))

    return received, producer, consumer


def test_payloads_arrive_in_order(simulate, stalls):
    dut = Register(unsigned(8))
    received, *benches = passes(dut, list(range(50)), stalls)
    simulate(dut, *benches)
    assert received == list(range(50))


def test_structures_are_put_as_mappings_and_arrays(simulate):
    dut = Register(PAIR)
    sent = [{"x": np.int64(5), "y": np.array([1, 2])}, {"y": [3, 4]}, PAIR.const({"x": 1})]
    received, *benches = passes(dut, sent)
    simulate(dut, *benches)
    assert received == [PAIR.const({"x": 5, "y": [1, 2]}), PAIR.const({"x": 0, "y": [3, 4]}),
                        PAIR.const({"x": 1})]


def test_streams_without_back_pressure_are_driven_and_read(simulate):
    dut = Register(8, always_ready=True)
    received, *benches = passes(dut, [3, 1, 4, 1, 5], (0.5, 0.5))
    simulate(dut, *benches)
    assert received == [3, 1, 4, 1, 5]


def test_streams_that_are_always_valid_are_driven_and_read(simulate):
    dut = Register(8, always_valid=True, always_ready=True)
    received, *benches = passes(dut, [3, 1, 4, 1, 5], (0.5, 0.5))
    simulate(dut, *benches)
    assert [payload for payload in received if payload] == [3, 1, 4, 1]    # one cycle late


@pytest.mark.parametrize("fault, message", [
    ("withdraws", "o must stay valid until it is taken"),
    ("changes", "o must offer 0x[123] until it is taken, not 0x[234]"),
])
def test_output_that_does_not_stay_is_found(simulate, fault, message):
    dut = Register(8, fault=fault)
    _, *benches = passes(dut, [1, 2, 3], (0, 0.9))
    with pytest.raises(AssertionError, match=message):
        simulate(dut, *benches)


def test_deadline_reports_every_stream(simulate):
    dut = Register(8)

    async def producer(ctx):
        await put(ctx, dut.i, [7, 8, 9])

    with pytest.raises(TimeoutError, match=(
            r"^Simulation must end within 100 cycles\n"
            r"  i: 1 taken, valid=1, ready=0, payload=8\n"
            r"  o: 0 taken, valid=1, ready=0, payload=7$")):
        simulate(dut, producer, deadline=100)


def test_more_output_than_expected_is_found(simulate):
    dut = Register(8, fault="repeats")
    received, producer, consumer = passes(dut, [1])

    async def bench(ctx):
        await consumer(ctx)
        await nothing(ctx, dut.o)

    with pytest.raises(AssertionError, match="^Stream must be silent, but gave 1$"):
        simulate(dut, producer, bench)
    assert received == [1]


def test_silence_is_accepted(simulate):
    dut = Register(8)
    _, producer, consumer = passes(dut, [1])

    async def bench(ctx):
        await consumer(ctx)
        await nothing(ctx, dut.o)

    simulate(dut, producer, bench)


def test_nested_streams_are_found_with_their_direction():
    assert {name: is_output for name, _, is_output in streams(Nest())} == {
        "server.request": False, "server.answer": True,
        "clients[0].request": True, "clients[0].answer": False,
        "clients[1].request": True, "clients[1].answer": False}


def test_nested_streams_are_watched(simulate):
    dut = Nest()

    async def bench(ctx):
        ctx.set(dut.clients[0].answer.valid, 1)
        await ctx.tick()
        ctx.set(dut.clients[0].answer.valid, 0)
        await ctx.tick().repeat(2)

    with pytest.raises(AssertionError, match="server.answer must stay valid"):
        simulate(dut, bench)


def test_background_benches_need_not_end(simulate):
    dut = Register(8)
    received, _, consumer = passes(dut, [5, 5])

    async def forever(ctx):
        while True:
            await put(ctx, dut.i, [5])

    simulate(dut, consumer, background=[forever])
    assert received == [5, 5]


def test_waveform_is_written_on_request(tmp_path, simulate):
    dut = Register(8)
    _, *benches = passes(dut, [1])
    simulate(dut, *benches, vcd=str(tmp_path / "x.vcd"))
    assert "$enddefinitions" in (tmp_path / "x.vcd").read_text(encoding="utf-8")
