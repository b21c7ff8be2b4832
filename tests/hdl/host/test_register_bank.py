# amaranth: UnusedElaboratable=no
"""RegisterBank on its AXI4-Lite bus, against a model of the registers."""

import random
import re

import pytest
from amaranth.hdl import Cat, Const, unsigned

from eie_hdl.host.axi import Response
from eie_hdl.host.register_bank import RegisterBank
from eie_hdl.host.register_ports import member_name
from eie_hdl.registers import ADDRESS_WIDTH, REGISTER_WIDTH, REGISTERS, Access, Field, Register

R, RW, W, RW1C = Access.READ, Access.WRITE, Access.COMMAND, Access.STICKY
OKAY, SLVERR = Response.OKAY, Response.SLVERR

#: All access types; fields of odd widths, within a byte and across bytes; gaps between fields
#: and between registers.
SMALL = tuple(
    Register(name, address, "", tuple(Field(*field[:3], access, "", *field[3:])
                                      for field in fields), locked)
    for name, address, access, locked, fields in [
        ("SEEN",      0x00, R,    False, [("low", 0, 5), ("high", 13, 19)]),
        ("SET",       0x04, RW,   False, [("a", 1, 3, 5), ("b", 6, 13, 0x1357), ("c", 31, 1)]),
        ("WHOLE",     0x08, RW,   False, [("value", 0, 32, 0xCAFEF00D)]),
        ("KEPT",      0x10, RW,   True,  [("value", 4, 16, 77)]),
        ("DO",        0x14, W,    False, [("one", 0, 1), ("number", 9, 6)]),
        ("DO_LOCKED", 0x18, W,    True,  [("value", 0, 32)]),
        ("EVENTS",    0x20, RW1C, False, [("x", 0, 1), ("y", 5, 7)]),
    ])
#: Registers, address width, and number of reads and of writes.
MAPS = {"small": (SMALL, 7, 300), "ours": (REGISTERS, ADDRESS_WIDTH, 150)}

ADDRESS = {register.name: register.address for register in SMALL}
ALL_BYTES = 0b1111
NO_REGISTER = 0x0C
BEYOND = 0x24


def mask_of(register):
    return sum((1 << field.width) - 1 << field.low for field in register.fields)


class Map:
    """Model of the registers: a word for each address, one access at a time."""

    def __init__(self, registers):
        self.registers = {register.address: register for register in registers}
        self.words = dict.fromkeys(self.registers, 0)
        self.restore()

    def restore(self):
        self.words |= {address: sum(field.reset << field.low for field in register.fields)
                       for address, register in self.registers.items() if register.access != R}

    def read(self, address):
        """Return word and response."""
        known = address & ~3 in self.registers
        return (self.words[address & ~3], OKAY) if known else (0, SLVERR)

    def write(self, address, data, strobe, locked):
        """Return the response, and the name and bits of a command that is given."""
        register = self.registers.get(address & ~3)
        if register is None or register.access == R or register.locked and locked:
            return SLVERR, None
        strobed = mask_of(register) & sum(0xFF << 8 * byte for byte in range(4)
                                          if strobe >> byte & 1)
        if register.access == W:
            needed = {bit // 8 for bit in range(REGISTER_WIDTH) if mask_of(register) >> bit & 1}
            if any(not strobe >> byte & 1 for byte in needed):
                return SLVERR, None
            return OKAY, (register.name, data & mask_of(register))
        word = self.words[register.address]
        self.words[register.address] = word & ~(data & strobed) if register.access == RW1C \
            else word & ~strobed | data & strobed
        return OKAY, None


def words(registers, *accesses, get):
    """Concatenate registers of 32 bits; `get` returns the value of a field by its name."""
    parts = []
    for register in registers:
        if register.access in accesses:
            end = 0
            for field in register.fields:
                parts += [Const(0, field.low - end), get(member_name(register, field))]
                end = field.low + field.width
            parts.append(Const(0, REGISTER_WIDTH - end))
    return Cat(parts)


def split(registers, bits, *accesses):
    """Split the bits of :func:`words` into words by address."""
    found = [register.address for register in registers if register.access in accesses]
    return {address: bits >> n * REGISTER_WIDTH & (1 << REGISTER_WIDTH) - 1
            for n, address in enumerate(found)}


class Watch:
    """Background bench that compares a bank with a `Map` in every cycle.

    Lock and restore act a cycle later, and a read sees the registers a cycle after its address.

    Attributes
    ----------
    writes : list of (address, data, strobe)
        Writes that remain to be executed, in order.
    answers : dict of str to list
        Cycles in which responses were accepted on channels b and r.
    responses : list
        Responses to all accesses.
    """

    def __init__(self, dut, registers, writes=()):
        self.dut, self.registers, self.map = dut, registers, Map(registers)
        self.writes = list(writes)
        self.answers = {"b": [], "r": []}
        self.responses = []

    async def __call__(self, ctx):
        dut, bus, registers = self.dut, self.dut.bus, self.registers
        signals = {
            "seen":     words(registers, R, get=lambda name: getattr(dut, name)),
            "kept":     words(registers, RW, RW1C, get=lambda name: getattr(dut, name)),
            "raised":   words(registers, RW1C, get=lambda name: getattr(dut, f"{name}_set")),
            "command":  words(registers, W, get=lambda name: getattr(dut, name)),
            "commands": Cat(getattr(dut, f"{register.name.lower()}_write")
                            for register in registers if register.access == W),
            "lock": dut.lock, "restore": dut.restore,
            "asked": bus.arvalid & bus.arready, "address": bus.araddr,
            "b": Cat(bus.bvalid, bus.bready), "r": Cat(bus.rvalid, bus.rready),
            "bresp": bus.bresp, "rresp": bus.rresp, "rdata": bus.rdata,
        }
        before, cycle = None, 0
        self.address, self.lock, self.restore = None, 0, 0
        async for _, _, *sampled in ctx.tick().sample(*signals.values()):
            now = dict(zip(signals, sampled))
            if before:
                self.check(before, now)
            assert split(registers, now["kept"], RW, RW1C).items() <= self.map.words.items()
            for channel in "br":
                if now[channel] == 0b11:
                    self.answers[channel].append(cycle)
            before, cycle = now, cycle + 1

    def check(self, before, now):
        self.map.words |= split(self.registers, before["seen"], R)

        answers = self.address is not None and not before["r"] & 1
        assert now["r"] & 1 == (before["r"] == 0b01 or answers)
        if answers:
            assert (now["rdata"], now["rresp"]) == self.map.read(self.address)
            self.responses.append(now["rresp"])
            self.address = None
        if before["asked"]:
            assert self.address is None
            self.address = before["address"]
        if before["r"] == 0b01:
            assert (now["rdata"], now["rresp"]) == (before["rdata"], before["rresp"])

        commanded = []
        if before["b"] == 0b01:
            assert now["b"] & 1 and now["bresp"] == before["bresp"]
        elif now["b"] & 1:    # executed in the last cycle
            response, command = self.map.write(*self.writes.pop(0), self.lock)
            assert now["bresp"] == response
            self.responses.append(response)
            commanded = [command] if command else []
        names = [register.name for register in self.registers if register.access == W]
        given = dict(zip(names, split(self.registers, before["command"], W).values()))
        assert [(name, given[name]) for n, name in enumerate(names)
                if before["commands"] >> n & 1] == commanded

        for address, raised in split(self.registers, before["raised"], RW1C).items():
            self.map.words[address] |= raised
        if self.restore:
            self.map.restore()
        self.lock, self.restore = before["lock"], before["restore"]


async def send(ctx, bus, channel, payloads, *, delay=lambda: 0):
    """Send payloads on a channel of the host, each after a delay in cycles."""
    for payload in payloads:
        for _ in range(delay()):
            await ctx.tick()
        for name, value in payload.items():
            ctx.set(getattr(bus, channel + name), value)
        ctx.set(getattr(bus, f"{channel}valid"), 1)
        taken = False
        while not taken:
            *_, taken = await ctx.tick().sample(getattr(bus, f"{channel}ready"))
        ctx.set(getattr(bus, f"{channel}valid"), 0)
        for name in payload:    # payloads are don't-care while not valid
            ctx.set(getattr(bus, channel + name), -1)


async def take(ctx, bus, channel, count, *, delay=lambda: 0):
    """Accept responses on channel b or r, each after a delay in cycles, and return them."""
    answers = []
    data = [bus.rdata] if channel == "r" else []
    for _ in range(count):
        for _ in range(delay()):
            await ctx.tick()
        ctx.set(getattr(bus, f"{channel}ready"), 1)
        given = False
        while not given:
            _, _, given, response, *word = await ctx.tick().sample(
                getattr(bus, f"{channel}valid"), getattr(bus, f"{channel}resp"), *data)
        ctx.set(getattr(bus, f"{channel}ready"), 0)
        answers.append((*word, response) if data else response)
    return answers


async def write(ctx, bus, address, data, strobe=ALL_BYTES):
    """Write with simultaneous address and data, and return the response."""
    ctx.set(bus.awvalid, 1)
    ctx.set(bus.awaddr, address)
    await send(ctx, bus, "w", [{"data": data, "strb": strobe}])
    ctx.set(bus.awvalid, 0)
    return (await take(ctx, bus, "b", 1))[0]


async def read(ctx, bus, address):
    """Read, and return word and response."""
    await send(ctx, bus, "ar", [{"addr": address}])
    return (await take(ctx, bus, "r", 1))[0]


def small():
    return RegisterBank(SMALL, addr_width=MAPS["small"][1])


def random_address(rng, registers, addr_width):
    """Random address: mostly of a register, sometimes unaligned or without a register."""
    if rng.random() < 0.1:
        return rng.randrange(1 << addr_width)
    # Writable and read-only registers, of which there are many, are equally likely.
    writable = rng.random() < 0.5
    return rng.choice([register.address for register in registers
                       if (register.access != R) == writable]) + (rng.random() < 0.1)


@pytest.mark.parametrize("channel_delay", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("name", MAPS)
def test_random_accesses_follow_the_model(simulate, name, channel_delay):
    """Concurrent reads and writes, while hardware fields, lock and restore change."""
    registers, addr_width, n_accesses = MAPS[name]
    rng = random.Random(f"{name} {channel_delay}")
    dut = RegisterBank(registers, addr_width=addr_width)
    writes = [(random_address(rng, registers, addr_width), rng.getrandbits(REGISTER_WIDTH),
               ALL_BYTES if rng.random() < 0.6 else rng.randrange(ALL_BYTES + 1))
              for _ in range(n_accesses)]
    reads = [random_address(rng, registers, addr_width) for _ in range(n_accesses)]
    watch = Watch(dut, registers, writes)
    inputs = [getattr(dut, member) for member, port in dut.signature.flip().members.items()
              if port.is_port and port.flow.name == "Out" and member not in ("lock", "restore")]

    def delay():
        return rng.randrange(6) if rng.random() < channel_delay else 0

    def channel(function, *arguments):
        async def bench(ctx):
            await function(ctx, dut.bus, *arguments, delay=delay)
        return bench

    async def change(ctx):
        while True:
            for port in rng.sample(inputs, 4):
                ctx.set(port, rng.getrandbits(len(port)) if rng.random() < 0.5 else 0)
            if rng.random() < 0.1:
                ctx.set(dut.lock, rng.randrange(2))
            ctx.set(dut.restore, rng.random() < 0.02)
            await ctx.tick()

    simulate(dut,
             channel(send, "aw", [{"addr": address, "prot": rng.randrange(8)}
                                  for address, *_ in writes]),
             channel(send, "w", [{"data": data, "strb": strobe} for _, data, strobe in writes]),
             channel(take, "b", n_accesses),
             channel(send, "ar", [{"addr": address, "prot": rng.randrange(8)}
                                  for address in reads]),
             channel(take, "r", n_accesses),
             background=[watch, change], deadline=20 * n_accesses)
    # The last cycle is not checked.
    assert not watch.writes and len(watch.answers["b"]) >= n_accesses - 1
    assert len(watch.responses) == 2 * n_accesses
    assert n_accesses // 5 < watch.responses.count(SLVERR) < n_accesses


def test_each_direction_carries_an_access_every_two_cycles_at_the_same_time(simulate):
    dut = small()
    n_accesses = 20
    writes = [(ADDRESS["WHOLE"], n, ALL_BYTES) for n in range(n_accesses)]
    watch = Watch(dut, SMALL, writes)

    def channel(function, *arguments):
        async def bench(ctx):
            await function(ctx, dut.bus, *arguments)
        return bench

    async def finish(ctx):
        await ctx.tick().repeat(2 * n_accesses + 3)

    simulate(dut, finish,
             channel(send, "aw", [{"addr": address} for address, *_ in writes]),
             channel(send, "w", [{"data": data, "strb": strobe} for _, data, strobe in writes]),
             channel(take, "b", n_accesses),
             channel(send, "ar", [{"addr": ADDRESS["WHOLE"]}] * n_accesses),
             channel(take, "r", n_accesses),
             background=[watch], deadline=3 * n_accesses)
    # Latency from the cycle in which address and data are offered.
    assert watch.answers["b"] == list(range(3, 2 * n_accesses + 3, 2))
    assert watch.answers["r"] == list(range(2, 2 * n_accesses + 2, 2))


@pytest.mark.parametrize("first, second", [("aw", "w"), ("w", "aw")])
def test_address_and_data_of_a_write_come_in_any_order(simulate, first, second):
    dut = small()
    payloads = {"aw": {"addr": ADDRESS["WHOLE"]}, "w": {"data": 0x1234, "strb": ALL_BYTES}}

    async def bench(ctx):
        await send(ctx, dut.bus, first, [payloads[first]])
        for _ in range(5):    # the first channel is stalled, the other one is free
            assert not ctx.get(getattr(dut.bus, f"{first}ready"))
            assert ctx.get(getattr(dut.bus, f"{second}ready")) and not ctx.get(dut.bus.bvalid)
            await ctx.tick()
        await send(ctx, dut.bus, second, [payloads[second]])
        assert await take(ctx, dut.bus, "b", 1) == [OKAY]
        assert ctx.get(dut.whole_value) == 0x1234

    simulate(dut, bench)


def test_a_write_waits_until_the_answer_before_it_is_taken(simulate):
    dut = small()

    async def bench(ctx):
        for data in (1, 2):
            ctx.set(dut.bus.awvalid, 1)
            ctx.set(dut.bus.awaddr, ADDRESS["WHOLE"])
            await send(ctx, dut.bus, "w", [{"data": data, "strb": ALL_BYTES}])
            ctx.set(dut.bus.awvalid, 0)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.whole_value) == 1
        assert await take(ctx, dut.bus, "b", 2) == [OKAY, OKAY]
        assert ctx.get(dut.whole_value) == 2

    simulate(dut, bench)


def test_no_output_of_the_bus_follows_an_input_in_the_same_cycle(simulate):
    dut = small()
    rng = random.Random(3)
    ports = dut.bus.signature.flip().members    # directions of the bank
    inputs = [getattr(dut.bus, name) for name, port in ports.items() if port.flow.name == "Out"]
    outputs = [getattr(dut.bus, name) for name, port in ports.items() if port.flow.name == "In"]
    assert len(inputs) + len(outputs) == 19

    async def bench(ctx):
        states = set()
        for _ in range(200):
            seen = [ctx.get(port) for port in outputs]
            for port in inputs:
                ctx.set(port, rng.getrandbits(len(port)))
                assert [ctx.get(other) for other in outputs] == seen
            states.add(tuple(map(int, map(ctx.get, (dut.bus.awready, dut.bus.wready,
                                                    dut.bus.bvalid, dut.bus.rvalid)))))
            await ctx.tick()
        assert len(states) > 8

    simulate(dut, bench)


def test_fields_have_their_reset_values_at_first_and_after_restore(simulate):
    dut = small()
    kept = {(register.name, field.name): (getattr(dut, member_name(register, field)), field.reset)
            for register in SMALL if register.access in (RW, RW1C) for field in register.fields}
    assert {reset for _, reset in kept.values()} == {0, 5, 0x1357, 0xCAFEF00D, 77}

    async def bench(ctx):
        for _ in range(2):
            assert all(ctx.get(value) == reset for value, reset in kept.values())
            ctx.set(dut.events_x_set, 1)
            ctx.set(dut.events_y_set, -1)
            for name in ("SET", "WHOLE", "KEPT"):
                assert await write(ctx, dut.bus, ADDRESS[name], 0x55555555) == OKAY
            ctx.set(dut.events_x_set, 0)
            ctx.set(dut.events_y_set, 0)
            assert not any(ctx.get(value) == reset for value, reset in kept.values() if reset)
            assert ctx.get(dut.events_x) == 1 and ctx.get(dut.events_y) == 0x7F
            ctx.set(dut.restore, 1)
            await ctx.tick()
            ctx.set(dut.restore, 0)
            await ctx.tick()

    simulate(dut, bench)


def test_restore_does_not_disturb_the_response_to_its_access(simulate):
    dut = small()

    async def bench(ctx):
        ctx.set(dut.restore, 1)
        assert await write(ctx, dut.bus, ADDRESS["DO"], 1) == OKAY
        assert await write(ctx, dut.bus, ADDRESS["WHOLE"], 1) == OKAY
        assert await read(ctx, dut.bus, ADDRESS["WHOLE"]) == (0xCAFEF00D, OKAY)

    simulate(dut, bench)


@pytest.mark.parametrize("strobe, expected", [
    (0b0000, 0xCAFEF00D), (0b0001, 0xCAFEF044), (0b0110, 0xCA22330D), (0b1111, 0x11223344)])
def test_only_strobed_bytes_are_written(simulate, strobe, expected):
    dut = small()

    async def bench(ctx):
        assert await write(ctx, dut.bus, ADDRESS["WHOLE"], 0x11223344, strobe) == OKAY
        assert await read(ctx, dut.bus, ADDRESS["WHOLE"]) == (expected, OKAY)
        assert ctx.get(dut.whole_value) == expected

    simulate(dut, bench)


@pytest.mark.parametrize("strobe, response", [
    (0b0000, SLVERR), (0b0001, SLVERR), (0b0010, SLVERR), (0b1110, SLVERR), (0b0011, OKAY),
    (0b1111, OKAY)])
def test_a_command_needs_all_bytes_of_its_fields(simulate, strobe, response):
    """The fields of register DO are in the lower two bytes."""
    dut = small()
    seen = []

    async def watch(ctx):
        async for _, _, strobe, *fields in ctx.tick().sample(
                dut.do_write, dut.do_one, dut.do_number):
            if strobe:
                seen.append(fields)

    async def bench(ctx):
        assert await write(ctx, dut.bus, ADDRESS["DO"], 1 | 42 << 9, strobe) == response
        assert await read(ctx, dut.bus, ADDRESS["DO"]) == (0, OKAY)

    simulate(dut, bench, background=[watch])
    assert seen == ([[1, 42]] if response == OKAY else [])


def test_sticky_bits_are_cleared_by_writing_ones_where_strobed(simulate):
    dut = small()

    async def bench(ctx):
        ctx.set(dut.events_x_set, 1)
        ctx.set(dut.events_y_set, 0b1111111)
        await ctx.tick()
        ctx.set(dut.events_x_set, 0)
        ctx.set(dut.events_y_set, 0)
        for data, strobe, word in [(0, 0b1111, 0xFE1), (1, 0b1111, 0xFE0), (0x7E0, 0b0001, 0xF00),
                                   (0xFFF, 0b1100, 0xF00), (0x100, 0b0010, 0xE00)]:
            assert await write(ctx, dut.bus, ADDRESS["EVENTS"], data, strobe) == OKAY
            assert await read(ctx, dut.bus, ADDRESS["EVENTS"]) == (word, OKAY)

    simulate(dut, bench)


def test_an_event_in_the_cycle_of_its_clearing_is_not_lost(simulate):
    dut = small()
    kept = []

    async def bench(ctx):
        for pulse in range(5):    # the write is offered in cycle 0 and executed in cycle 2
            ctx.set(dut.bus.bready, 1)
            ctx.set(dut.bus.awaddr, ADDRESS["EVENTS"])
            ctx.set(dut.bus.wdata, 1)
            ctx.set(dut.bus.wstrb, ALL_BYTES)
            for cycle in range(5):
                ctx.set(dut.bus.awvalid, cycle == 0)
                ctx.set(dut.bus.wvalid, cycle == 0)
                ctx.set(dut.events_x_set, cycle == pulse)
                await ctx.tick()
            kept.append(ctx.get(dut.events_x))
            ctx.set(dut.events_x_set, 0)

    simulate(dut, bench)
    assert kept == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("name", ["KEPT", "DO_LOCKED"])
def test_locked_registers_can_only_be_read(simulate, name):
    dut = small()
    commands = []

    async def watch(ctx):
        async for _, _, strobe in ctx.tick().sample(dut.do_locked_write):
            commands.append(strobe)

    async def bench(ctx):
        _, okay = before = await read(ctx, dut.bus, ADDRESS[name])
        assert okay == OKAY
        ctx.set(dut.lock, 1)
        assert await write(ctx, dut.bus, ADDRESS[name], 0xFFFFFFFF) == SLVERR
        assert await read(ctx, dut.bus, ADDRESS[name]) == before
        assert await write(ctx, dut.bus, ADDRESS["WHOLE"], 1) == OKAY
        assert sum(commands) == 0
        ctx.set(dut.lock, 0)
        assert await write(ctx, dut.bus, ADDRESS[name], 0xFFFFFFFF) == OKAY

    simulate(dut, bench, background=[watch])
    assert sum(commands) == (name == "DO_LOCKED")


@pytest.mark.parametrize("address", [NO_REGISTER, BEYOND])
def test_addresses_without_a_register_answer_with_an_error(simulate, address):
    dut = small()

    async def bench(ctx):
        assert await write(ctx, dut.bus, address, 0xFFFFFFFF) == SLVERR
        assert await read(ctx, dut.bus, address) == (0, SLVERR)

    simulate(dut, bench)


def test_registers_of_the_hardware_are_read_and_cannot_be_written(simulate):
    dut = small()

    async def bench(ctx):
        ctx.set(dut.seen_low, 0b10101)
        ctx.set(dut.seen_high, 0x7_0001)
        for _ in range(2):
            assert await read(ctx, dut.bus, ADDRESS["SEEN"]) == (0x7_0001 << 13 | 0b10101, OKAY)
            assert await write(ctx, dut.bus, ADDRESS["SEEN"], 0) == SLVERR

    simulate(dut, bench)


@pytest.mark.parametrize("within", range(4))
def test_the_place_within_a_word_is_ignored(simulate, within):
    dut = small()

    async def bench(ctx):
        assert await write(ctx, dut.bus, ADDRESS["WHOLE"] + within, 0x11223344) == OKAY
        assert await read(ctx, dut.bus, ADDRESS["WHOLE"] + 3 - within) == (0x11223344, OKAY)

    simulate(dut, bench)


def stored_at(*addresses):
    return [Register(f"ROW_{address}", address, "", (Field("value", 0, 32, R, ""),))
            for address in addresses]


def test_stored_registers_are_rows_of_a_memory_that_wait_for_it(simulate):
    dut = RegisterBank(SMALL, addr_width=7, stored=stored_at(0x60, 0x64, 0x68))
    rows = [0x12345678, 0xFFFFFFFF, 0x87654321, 0x55555555]

    async def memory(ctx):
        async for _, _, address, enable in ctx.tick().sample(dut.stored.addr, dut.stored.en):
            if enable:
                ctx.set(dut.stored.data, rows[address])

    async def bench(ctx):
        for n, row in enumerate(rows[:3]):
            assert await read(ctx, dut.bus, 0x60 + 4 * n) == (row, OKAY)
            assert await write(ctx, dut.bus, 0x60 + 4 * n, 0) == SLVERR
        assert await read(ctx, dut.bus, 0x6C) == await read(ctx, dut.bus, 0x7C) == (0, SLVERR)
        assert await read(ctx, dut.bus, ADDRESS["WHOLE"]) == (0xCAFEF00D, OKAY)
        ctx.set(dut.wait, 1)
        assert await read(ctx, dut.bus, ADDRESS["WHOLE"]) == (0xCAFEF00D, OKAY)
        assert await read(ctx, dut.bus, 0x6C) == (0, SLVERR)
        await send(ctx, dut.bus, "ar", [{"addr": 0x64}])
        for _ in range(5):
            await ctx.tick()
            assert not ctx.get(dut.bus.rvalid) and not ctx.get(dut.bus.arready)
        ctx.set(dut.stored.data, 7)    # the row has changed meanwhile
        ctx.set(dut.wait, 0)
        await ctx.tick()
        assert await take(ctx, dut.bus, "r", 1) == [(7, OKAY)]

    simulate(dut, bench, background=[memory])


@pytest.mark.parametrize("addresses, size", [
    ((0x44, 0x48), 8), ((0x40, 0x48), 8), ((0x44, 0x40), 8), ((0x48, 0x4C, 0x50), 16)])
def test_stored_registers_must_be_rows_of_a_memory(addresses, size):
    message = (f"stored must be consecutive registers from a multiple of {size}, not at "
               f"{list(addresses)}")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        RegisterBank(SMALL, addr_width=7, stored=stored_at(*addresses))


def test_members_have_the_widths_of_the_fields():
    dut = RegisterBank(REGISTERS, addr_width=ADDRESS_WIDTH)
    for register in REGISTERS:
        for field in register.fields:
            port = getattr(dut, member_name(register, field))
            assert port.shape() == unsigned(field.width)
            assert dut.signature.members[member_name(register, field)].init == field.reset


def test_addresses_must_be_long_enough():
    message = "addr_width must be at least 6 for these registers, not 5"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        RegisterBank(SMALL, addr_width=5)
    RegisterBank(SMALL, addr_width=6)
