"""Eie on its buses, in Amaranth's simulator: reset, registers, an inference, errors, soft reset."""

import dataclasses

import numpy as np
import pytest
from amaranth.hdl import ClockSignal, DomainRenamer, Elaboratable, Module
from amaranth.lib import wiring

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import (
    input_packets,
    memory_packets,
    packet,
    result_order,
    result_type,
    scatter,
)
from eie_hdl.config import ACTS_PER_WORD, PRESETS
from eie_hdl.format import BEAT_BYTES, Layouts, Memory
from eie_hdl.lib.registered_reset import RESET_CYCLES
from eie_hdl.packing import pack
from eie_hdl.registers import PRODUCT_ID, REGISTER, VERSION, Error
from eie_hdl.top import Eie
from eie_sim.golden.model import GoldenModel

CONFIG = dataclasses.replace(PRESETS["tiny"], n_pe=2, act_depth=32, spmat_depth=64, ptr_depth=16,
                             program_depth=8)
WHOLE = (1 << BEAT_BYTES) - 1
#: Outputs that must be low until the reset has passed.
HANDSHAKES = ("s_axil.awready", "s_axil.wready", "s_axil.bvalid", "s_axil.arready",
              "s_axil.rvalid", "s_axis.tready", "m_axis.tvalid")


class Clocked(Elaboratable):
    """A machine clocked as the testbench is."""

    signature = wiring.Signature({})

    def __init__(self):
        self.eie = Eie(CONFIG)

    def elaborate(self, platform):
        m = Module()
        # Its own domain cannot have the name of one around it.
        m.submodules.eie = DomainRenamer("machine")(self.eie)
        m.d.comb += self.eie.aclk.eq(ClockSignal())
        return m


class Host:
    """The host's side of the buses."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    async def start(self):
        """Leave the reset."""
        self.ctx.set(self.dut.aresetn, 1)
        await self.ctx.tick()

    async def write(self, register, **fields):
        """Write a register, and give the response."""
        ctx, bus = self.ctx, self.dut.s_axil
        for name, value in {"awaddr": REGISTER[register].address, "awvalid": 1, "wvalid": 1,
                            "wdata": REGISTER[register].pack(**fields), "wstrb": 15}.items():
            ctx.set(getattr(bus, name), value)
        await ctx.tick().until(bus.awready & bus.wready)
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        ctx.set(bus.bready, 1)
        [response] = await ctx.tick().sample(bus.bresp).until(bus.bvalid)
        ctx.set(bus.bready, 0)
        return response

    async def read(self, register):
        """Fields of a register."""
        ctx, bus = self.ctx, self.dut.s_axil
        ctx.set(bus.araddr, REGISTER[register].address)
        ctx.set(bus.arvalid, 1)
        await ctx.tick().until(bus.arready)
        ctx.set(bus.arvalid, 0)
        ctx.set(bus.rready, 1)
        [word] = await ctx.tick().sample(bus.rdata).until(bus.rvalid)
        ctx.set(bus.rready, 0)
        return REGISTER[register].unpack(word)

    async def idle(self):
        """Wait until the machine is idle."""
        while not (await self.read("STATUS"))["idle"]:
            pass

    async def send(self, beats):
        """Send a load packet."""
        ctx, bus = self.ctx, self.dut.s_axis
        for number, beat in enumerate(beats):
            for name, value in {"tdata": int(beat), "tkeep": WHOLE, "tvalid": 1,
                                "tlast": number == len(beats) - 1}.items():
                ctx.set(getattr(bus, name), value)
            await ctx.tick().until(bus.tready)
        ctx.set(bus.tvalid, 0)

    async def receive(self, n_beats=None):
        """Elements of a packet of results, or of its next beats."""
        ctx, bus, content, last = self.ctx, self.dut.m_axis, b"", False
        ctx.set(bus.tready, 1)
        while not last and n_beats != 0:
            n_beats = n_beats and n_beats - 1
            data, keep, last = await ctx.tick().sample(bus.tdata, bus.tkeep, bus.tlast).until(
                bus.tvalid)
            content += data.to_bytes(BEAT_BYTES, "little")[:keep.bit_count()]
        ctx.set(bus.tready, 0)
        return np.frombuffer(content, result_type(CONFIG)).tolist()


def in_order_sent(vector):
    """Elements of a vector in the order of a packet of results."""
    return vector[result_order(CONFIG, len(vector))].tolist()


def run(simulate, rule):
    """Let the host follow a rule from the end of the reset on."""
    dut = Clocked()

    async def bench(ctx):
        host = Host(ctx, dut.eie)
        await host.start()
        await rule(ctx, host)

    simulate(dut, bench, deadline=20_000)


def handshakes(ctx, dut):
    """Names of the handshake signals that are high."""
    return {name for name in HANDSHAKES
            if ctx.get(getattr(getattr(dut, name.split(".")[0]), name.split(".")[1]))}


def test_nothing_is_taken_or_offered_until_the_reset_has_passed(simulate):
    """Requests asserted throughout the reset are answered only after it."""
    dut = Clocked()
    taking = {"s_axil.awready", "s_axil.wready", "s_axil.arready", "s_axis.tready"}

    async def bench(ctx):
        bus = dut.eie
        for channel in (bus.s_axil.awvalid, bus.s_axil.wvalid, bus.s_axil.arvalid,
                        bus.s_axis.tvalid):
            ctx.set(channel, 1)
        for _ in range(4):
            assert handshakes(ctx, bus) == set() and not ctx.get(bus.irq)
            await ctx.tick()
        ctx.set(bus.aresetn, 1)
        for _ in range(RESET_CYCLES):    # the reset is a register, and long enough for the core
            assert handshakes(ctx, bus) == set()
            await ctx.tick()
        assert handshakes(ctx, bus) == taking
        await ctx.tick().repeat(2)
        assert "s_axil.rvalid" in handshakes(ctx, bus)
        ctx.set(bus.aresetn, 0)
        await ctx.tick()
        assert handshakes(ctx, bus) == set()

    simulate(dut, bench)


def test_registers_hold_the_product_its_version_and_its_configuration(simulate):
    async def rule(ctx, host):
        assert await host.read("ID") == {"value": PRODUCT_ID}
        version = await host.read("VERSION")
        assert (version["major"], version["minor"], version["patch"]) == VERSION
        for name, value in CONFIG.interface.items():
            assert await host.read(f"CONFIG_{name.upper()}") == {"value": int(value)}, name

    run(simulate, rule)


def test_inference_gives_the_results_of_the_golden_model_and_interrupts(simulate):
    rng = np.random.default_rng(139)
    network = random_network(rng, [6, 9, 5], density=0.5, v_width=CONFIG.v_width, frac=4)
    build = compile_network(network, CONFIG)
    values = rng.integers(-100, 100, (2, 6))
    expected, _ = GoldenModel(CONFIG, build.images).run_counted(
        scatter(build.input, values, CONFIG.n_pe), build.input.base_word)

    async def rule(ctx, host):
        for beats in memory_packets(CONFIG, build.images):
            await host.send(beats)
        await host.idle()
        await host.write("INPUT_BASE", value=build.input.base_word)
        await host.write("INPUT_WORDS", words=build.input_words)
        await host.write("IRQ_ENABLE", done=1)
        for image, beats in enumerate(input_packets(CONFIG, build.input, values)):
            await host.send(beats)
            await host.write("START", descriptor=0)
            assert not ctx.get(host.dut.irq)
            for vectors in expected:
                assert await host.receive() == in_order_sent(vectors[image])
            await ctx.tick().until(host.dut.irq)
            assert await host.read("IRQ_STATUS") == {"done": 1, "error": 0}
            await host.write("IRQ_STATUS", done=1)
            assert await host.read("PROGRAMS") == {"value": image + 1}
        assert (await host.read("CYCLES_LO"))["value"] > 0
        assert await host.read("ERROR") == {"code": 0, "memory": 0, "pe": 0}

    run(simulate, rule)


def test_bad_start_is_an_error_until_it_is_cleared(simulate):
    """In between packets are dropped; afterwards they are checked again."""
    words = np.zeros((2, 1), np.uint64)

    async def rule(ctx, host):
        await host.write("IRQ_ENABLE", error=1)
        await host.write("START", descriptor=CONFIG.program_depth)
        await ctx.tick().until(host.dut.irq)
        assert (await host.read("ERROR"))["code"] == Error.START_RANGE
        assert await host.read("ERROR_ADDRESS") == {"value": CONFIG.program_depth}
        await host.send([*packet(CONFIG, Memory.CODEBOOK, words), 0])
        assert (await host.read("ERROR"))["code"] == Error.START_RANGE
        await host.write("CONTROL", clear=1)
        await host.write("IRQ_STATUS", error=1)
        assert not (await host.read("STATUS"))["error"]
        assert not ctx.get(host.dut.irq)
        await host.send([*packet(CONFIG, Memory.PTR, words), 0])
        await host.idle()
        assert (await host.read("ERROR"))["code"] == Error.OVERLONG

    run(simulate, rule)


def test_soft_reset_wipes_the_memories_and_restores_the_registers(simulate):
    """A row of an input buffer is sent, read back, wiped and read again."""
    words = np.arange(1, CONFIG.n_pe + 1, dtype=np.uint64)[:, np.newaxis]
    zeros = np.zeros((CONFIG.n_pe, ACTS_PER_WORD), np.int64)
    row = zeros.copy()
    row[:, 0] = words[:, 0]

    async def read_row(host):
        await host.write("READ_PLACE", memory=Memory.ACT.value)
        await host.write("READ", count=1)
        elements = await host.receive()
        await host.idle()
        return elements

    async def rule(ctx, host):
        await host.write("INPUT_WORDS", words=1)
        await host.send(packet(CONFIG, Memory.INPUT, words))
        await host.idle()
        assert await read_row(host) == row.ravel().tolist()
        await host.write("CONTROL", soft_reset=1)
        assert (await host.read("STATUS"))["resetting"]
        await host.idle()
        assert await host.read("INPUT_WORDS") == {"words": 0}
        assert await read_row(host) == zeros.ravel().tolist()

    run(simulate, rule)


#: Rows of the activation SRAM in the tests of sending, more than fit between core and host.
ROWS = 8
N_ELEMENTS = ROWS * ACTS_PER_WORD * CONFIG.n_pe


async def send_rows(host, **later):
    """Fill rows, and run a program that sends them. Descriptor 1 is a send with fields `later`.

    Returns the elements.
    """
    elements = np.arange(1, N_ELEMENTS + 1)
    words = pack(Layouts.of(CONFIG).act_word, elements.reshape(-1, ACTS_PER_WORD))
    await host.write("INPUT_WORDS", words=ROWS)
    await host.send(packet(CONFIG, Memory.INPUT, words))
    start = {"send": 1, "last_word": ROWS - 1, "last_lane": ACTS_PER_WORD - 1,
             "last_pe": CONFIG.n_pe - 1}
    layout = Layouts.of(CONFIG).descriptor
    program = [{"start": start, "final": 1, "valid": 1},
               {"start": start, "final": 1, "valid": 1, **later}]
    await host.send(packet(CONFIG, Memory.PROGRAM, np.array(
        [[layout.const(each).as_value().value] for each in program], np.uint64)))
    await host.idle()
    before = await host.read("PROGRAMS")
    await host.write("START", descriptor=0)
    while await host.read("PROGRAMS") == before:
        pass
    return elements.tolist()


@pytest.mark.parametrize("bad", [{"valid": 0}, {"start": {"send": 1, "source": 31,
                                                         "last_word": 1}}])
def test_result_of_a_program_is_whole_although_the_next_one_fails(simulate, bad):
    """The host takes some beats before the fault, the others long after it."""
    async def rule(ctx, host):
        for n_beats in range(N_ELEMENTS // BEAT_BYTES):
            elements = await send_rows(host, **bad)
            first = await host.receive(n_beats) if n_beats else []
            await host.write("START", descriptor=1)
            while not (await host.read("STATUS"))["error"]:
                pass
            await host.write("CONTROL", clear=1)
            await ctx.tick().repeat(30)
            is_sending = (await host.read("STATUS"))["resetting"]
            # Two beats have left it.
            assert is_sending == (n_beats < N_ELEMENTS // BEAT_BYTES - 2), n_beats
            assert first + await host.receive() == elements, n_beats
            await host.idle()
            await host.write("START", descriptor=0)
            assert await host.receive() == elements, n_beats
            await host.idle()

    run(simulate, rule)


@pytest.mark.parametrize("cause", ["soft reset", "timeout"])
def test_result_that_is_cut_off_ends_with_tlast(simulate, cause):
    """The program has ended; the two beats that have left the core remain."""
    async def rule(ctx, host):
        for n_beats in (0, 3):
            await host.write("WATCHDOG", value=400 * (cause == "timeout"))
            elements = await send_rows(host)
            first = await host.receive(n_beats) if n_beats else []
            await ctx.tick().until(host.dut.m_axis.tvalid)
            if cause == "timeout":
                while not (await host.read("STATUS"))["error"]:
                    pass
                assert (await host.read("ERROR"))["code"] == Error.RESULT_BLOCKED
                await host.write("CONTROL", clear=1)
            else:
                await host.write("CONTROL", soft_reset=1)
            await host.idle()
            rest = await host.receive()
            assert first + rest == elements[:(n_beats + 2) * BEAT_BYTES], n_beats
            await ctx.tick().repeat(20)
            assert not ctx.get(host.dut.m_axis.tvalid)
            await host.write("CONTROL", soft_reset=1)
            await host.idle()
            assert await send_rows(host) == await host.receive(), n_beats
            await host.idle()

    run(simulate, rule)


@pytest.mark.parametrize("register", ["ID", "INPUT_BASE"])
def test_register_that_is_read_only_or_locked_cannot_be_written(simulate, register):
    """INPUT_BASE is locked while a packet is partly received."""
    async def rule(ctx, host):
        bus = host.dut.s_axis
        ctx.set(bus.tkeep, WHOLE)
        ctx.set(bus.tdata, 1 << 24)
        ctx.set(bus.tvalid, 1)
        await ctx.tick()
        ctx.set(bus.tvalid, 0)
        assert (await host.write(register, value=1)).value != 0
        assert (await host.write("IRQ_ENABLE", done=1)).value == 0

    run(simulate, rule)
