# amaranth: UnusedElaboratable=no
"""Eie with a stub for the core: pairs of events in every order.

Event A happens in a fixed cycle. Event B is shifted over every cycle of a window around it, and
each run is checked against rules that hold in every order.
"""

import collections
import dataclasses
import itertools
from typing import NamedTuple

import pytest
from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

import eie_hdl.host.load_path
import eie_hdl.top
from eie_hdl.ccu.ccu import CcuSignature
from eie_hdl.config import ACTS_PER_WORD, PRESETS
from eie_hdl.format import BEAT_BYTES, Layouts, Memory
from eie_hdl.host.packet_reader import PacketReader
from eie_hdl.registers import REGISTER, Error
from eie_hdl.top import Eie

# Words of spmat have two beats.
CONFIG = dataclasses.replace(PRESETS["tiny"], n_pe=2, entries_per_word=16, spmat_depth=4,
                             ptr_depth=4, act_depth=4, program_depth=4, n_codebooks=1)
LAYOUTS = Layouts.of(CONFIG)
WHOLE = (1 << BEAT_BYTES) - 1
INPUT_WORDS = 2

#: Cycle of event A, and the cycles of event B relative to it.
CENTRE, WINDOW = 12, range(-2, 8)
#: Cycles of a run, and of one that an event prolongs: the core is stopped, or memories are wiped.
LENGTH, LENGTHS = 28, {"send": 48, "fault": 48, "hold": 84, "timeout": 84, "soft reset": 92}
#: Time limits of a start, in cycles, of which some end while a packet for it is received.
LIMITS = {f"limit {cycles}": cycles for cycles in range(1, 2 * CENTRE)}
LENGTHS |= dict.fromkeys(LIMITS, 2 * CENTRE + 48)
#: Cycles before a run, in which registers are written.
SETUP = 9
#: Last cycles of a run in which the host takes all results.
DRAINED = 24
#: Words of a vector, more than fit between core and host, and elements of the last one.
VECTOR_WORDS, LAST_LANES = 9, 2


class StubCore(wiring.Component):
    """Core that runs programs until `finish` or `fail`, and answers a read after three cycles.

    The oldest program frees its input at `free`, and sends a vector from `send` on, of words that
    hold its number and their own.
    """

    def __init__(self, config):
        super().__init__(CcuSignature(config))
        self.finish, self.fail, self.send, self.free = Signal(), Signal(), Signal(), Signal()
        self.reading = Signal()
        self.vector, self.words = Signal(4, reset_less=True), Signal(4)

    def elaborate(self, platform):
        m = Module()
        count = Signal(2)
        works = self.running.any() & (self.fault.code == Error.NONE)
        own   = 1 << self.oldest
        new   = Mux(self.run.valid & self.run.ready, 1 << self.run.p.buffer, 0)
        m.d.comb += [
            self.run.ready.eq(~self.reading & ~self.running.bit_select(self.run.p.buffer, 1)
                              & (self.fault.code == Error.NONE)),
            self.read.ready.eq(self.reading & (count == 0)),
            self.done.eq(works & self.finish & ~self.fail),
        ]
        with m.If(works & self.send & ~self.sending):
            m.d.sync += [self.sending.eq(1), self.vector.eq(self.vector + 1)]
        with m.If(works & self.fail):
            m.d.sync += self.fault.code.eq(Error.NO_END)
        ended = Mux(self.done, own, 0)
        freed = Mux(self.free & works, own, 0)
        m.d.sync += [
            self.running.eq((self.running & ~ended) | new),
            self.reads_input.eq((self.reads_input & ~ended & ~freed) | new),
        ]
        with m.If(self.done):
            m.d.sync += self.oldest.eq(self.oldest + 1)
        with m.If(~self.running.any() & new.any()):
            m.d.sync += self.oldest.eq(self.run.p.buffer)
        with m.If(self.reading):
            m.d.sync += [count.eq(count + 1), self.reading.eq(count != 3)]
        with m.Elif(self.read.valid & ~self.running.any() & ~self.run.valid):
            m.d.sync += self.reading.eq(1)
        is_end = self.words == VECTOR_WORDS
        is_last = self.words == VECTOR_WORDS - 1
        m.d.comb += [
            self.result.valid.eq(self.sending),
            self.result.p.end.eq(is_end),
            self.result.p.last_lane.eq(Mux(is_last, LAST_LANES - 1, ACTS_PER_WORD - 1)),
            self.result.p.word.eq(Cat(self.words, self.vector).replicate(ACTS_PER_WORD)),
        ]
        with m.If(self.result.valid & self.result.ready):
            m.d.sync += self.words.eq(Mux(is_end, 0, self.words + 1))
            with m.If(is_end):
                m.d.sync += self.sending.eq(0)
        m.d.comb += [
            self.busy.eq(self.running.any() | self.reading),
            self.load.ready.eq(1),
        ]
        return m


class Packet(NamedTuple):
    """Packet of `beats`, each (data, keep, last); `fault` is the number of the invalid one."""

    beats: list
    memory: Memory
    buffer: int = 0
    fault: int | None = None

    def concerns(self, buffer):
        """Return whether a program on an input buffer depends on the packet."""
        return self.memory is not Memory.INPUT or self.buffer == buffer


def packet(memory, n_beats, *, fault=None, partial=None, buffer=0, **fields):
    header = LAYOUTS.load_header.const({"memory": memory, "buffer": buffer, **fields})
    data = [header.as_value().value, *range(1, n_beats)]
    return Packet([(value, 1 if n == partial else WHOLE, n == n_beats - 1)
                   for n, value in enumerate(data)], memory, buffer, fault)


def kinds(memory, length, **fields):
    """Packets of two words of `length` beats: a good one, and one for each error."""
    n = 2 * length
    return {
        "good": packet(memory, n + 1, count=2, **fields),
        "empty": packet(memory, 1, **fields),
        "BAD_HEADER": packet(memory, n + 1, count=2, reserved=1, fault=0, **fields),
        "BAD_ADDRESS": packet(memory, 2, count=1, address=999, fault=0, **fields),
        "TRUNCATED header": packet(memory, 1, count=1, fault=0, **fields),
        "TRUNCATED": packet(memory, length + 1, count=2, fault=length, **fields),
        "OVERLONG header": packet(memory, 2, fault=0, **fields),
        "OVERLONG": packet(memory, n + 3, count=2, fault=n, **fields),
        "PARTIAL_BEAT header": packet(memory, n + 1, count=2, fault=0, partial=0, **fields),
        "PARTIAL_BEAT": packet(memory, n + 1, count=2, fault=n, partial=n, **fields),
    }


#: Packets with words of two beats, and of one.
PACKETS = {
    **{f"model {name}": value for name, value in kinds(Memory.SPMAT, 2).items()},
    "model TRUNCATED in a word": packet(Memory.SPMAT, 2, count=1, fault=1),
    **{f"input {name}": value for name, value in kinds(Memory.INPUT, 1, buffer=1).items()},
}
#: Each error once, in turn for either memory; the others need `--full`. The reader's own tests have
#: every place of an error in a packet.
EACH_ERROR = {
    name: PACKETS[name] for name in (
        "model good", "model BAD_HEADER", "model TRUNCATED in a word", "model PARTIAL_BEAT",
        "input good", "input BAD_ADDRESS", "input OVERLONG")}
OTHER_PACKETS = {name: packet for name, packet in PACKETS.items() if name not in EACH_ERROR}
SETS_OF_PACKETS = [pytest.param(EACH_ERROR, id="each error"),
                   pytest.param(OTHER_PACKETS, id="others", marks=pytest.mark.full)]
INPUT_0 = packet(Memory.INPUT, 3, count=2)
WRITES = {
    "start 0": ("START", {}), "start 1": ("START", {"buffer": 1}), "read": ("READ", {"count": 1}),
    "clear": ("CONTROL", {"clear": 1}), "soft reset": ("CONTROL", {"soft_reset": 1}),
    **{name: ("WATCHDOG", {"value": cycles}) for name, cycles in LIMITS.items()},
}
STROBES = {"finish": "finish", "fault": "fail", "send": "send", "free": "free"}


def time_limit(events):
    """Limit that passes in about the cycle of the event `timeout`; 0 if there is none."""
    end = next((cycle for cycle, items in events.items() if "timeout" in items), 0)
    # The time begins with a program, two cycles after the request, and again when it has ended.
    delays = {"start 0": 2, "start 1": 2, "finish": 0}
    return end and end - max(cycle + delays[name] for cycle, items in events.items()
                             for name in items if cycle + delays.get(name, end) < end)


class Machine:
    """A machine whose core is a stub, and what is observed of it in each cycle."""

    def __init__(self, monkeypatch):
        self.core, reader = StubCore(CONFIG), PacketReader(CONFIG)
        monkeypatch.setattr(eie_hdl.host.load_path, "PacketReader", lambda config: reader)
        monkeypatch.setattr(eie_hdl.top, "Core", lambda config: self.core)
        self.eie = Eie(CONFIG)
        module = self.eie.elaborate(None)
        core, parts = self.core, module.submodules
        bank = parts.bank
        observed = {
            "run": core.run.valid & core.run.ready, "buffer": core.run.p.offset != 0,
            "running": core.running, "inputs": core.reads_input, "reading": core.reading,
            "done": parts.counts.done,
            "pending": parts.faults.supervision.error_pending, "new": parts.faults.new_error,
            "resetting": bank.status_resetting, "failed": parts.load.error.code,
            "start": bank.start_write, "clear": parts.faults.supervision.clear_request,
            "soft reset": parts.faults.supervision.soft_reset,
            "idle": bank.status_idle, "queued": bank.status_queued, "code": bank.error_code,
            "irq": bank.irq_status_error, "programs": bank.programs_value,
            "beat waits": parts.load.waiting, "taken": reader.i.valid & reader.i.ready,
            "offered": reader.o.valid, "word": reader.o.valid & reader.o.ready,
            "memory": reader.o.p.memory.as_value(), "row": reader.o.p.address,
            "tready": self.eie.s_axis.tready,
            "accepted": self.eie.s_axis.tvalid & self.eie.s_axis.tready,
            "awready": self.eie.s_axil.awready,
            "sending": core.sending, "vector": core.vector,
            "reset": parts.faults.supervision.core_reset,
            "beat": self.eie.m_axis.tvalid & self.eie.m_axis.tready,
            "data": self.eie.m_axis.tdata, "keep": self.eie.m_axis.tkeep,
            "last": self.eie.m_axis.tlast,
        }
        stream, bus = self.eie.s_axis, self.eie.s_axil
        driven = {
            "aresetn": self.eie.aresetn, "tready": self.eie.m_axis.tready, "bready": bus.bready,
            "tvalid": stream.tvalid, "tdata": stream.tdata, "tkeep": stream.tkeep,
            "tlast": stream.tlast, "awvalid": bus.awvalid, "wvalid": bus.wvalid,
            "awaddr": bus.awaddr, "wstrb": bus.wstrb, "wdata": bus.wdata,
            **{name: getattr(core, strobe) for name, strobe in STROBES.items()},
        }
        self.fields = {name: len(value) for name, value in observed.items()}
        # One signal each, as the simulator evaluates the design after each change, and sampling is
        # slow.
        self.seen = Signal(sum(self.fields.values()))
        self.drive = Signal(sum(len(port) for port in driven.values()))
        self.offsets = dict(zip(driven, itertools.accumulate(map(len, driven.values()), initial=0)))
        self.ports = {}    # values of `drive`; ports that are not valid keep theirs
        top = Module()
        top.domains.sync = ClockDomain()
        top.submodules.machine = DomainRenamer("machine")(module)
        # A module each, as the simulator evaluates all of a module when an input has changed.
        top.submodules.clock = clock = Module()
        clock.d.comb += self.eie.aclk.eq(ClockSignal())
        top.submodules.inputs = inputs = Module()
        inputs.d.comb += Cat(driven.values()).eq(self.drive)
        top.d.comb += self.seen.eq(Cat(observed.values()))
        self.bench = None

        async def main(ctx):
            await self.bench(ctx)

        self.simulator = Simulator(top)
        self.simulator.add_clock(1e-6)
        self.simulator.add_testbench(main)

    def run(self, bench):
        """Run a bench from power-up."""
        if self.bench:
            self.simulator.reset()
        self.bench = bench
        self.ports.clear()
        self.simulator.run()

    def set_ports(self, ctx):
        ctx.set(self.drive, sum(value << self.offsets[name] for name, value in self.ports.items()))

    async def play(self, ctx, events, *, double=True):
        """Reset the machine, let events happen in their cycles, and return what was observed.

        A clear ends the transfer to the machine. The host takes results except from a hold to a
        take.
        """
        beats, log = collections.deque(), []
        writes = collections.deque([
            ("INPUT_WORDS", {"words": INPUT_WORDS}),
            ("INPUT_STRIDE", {"value": INPUT_WORDS if double else 0}),
            ("WATCHDOG", {"value": time_limit(events)})])
        is_held = False
        ports = self.ports
        ports.update(aresetn=0, tvalid=0, awvalid=0, wvalid=0)
        self.set_ports(ctx)
        await ctx.tick().repeat(2)
        ports.update(aresetn=1, bready=1)
        self.set_ports(ctx)
        await ctx.tick()
        names = {name for items in events.values() for name in items if isinstance(name, str)}
        length = max(LENGTHS.get(name, LENGTH) for name in {*names, ""})
        for cycle in range(-SETUP, length):
            now = events.get(cycle, ())
            is_held = (is_held or "hold" in now) and "take" not in now
            ports["tready"] = not is_held or cycle >= length - DRAINED
            for item in now:
                if isinstance(item, list):
                    beats.extend(item)
            # A register is written a cycle after the write has been accepted, and decided.
            for item in events.get(cycle + 1, ()):
                if not isinstance(item, list) and item in WRITES:
                    writes.append(WRITES[item])
            ports.update({name: name in now for name in names & STROBES.keys()})
            ports.update(tvalid=bool(beats), awvalid=bool(writes), wvalid=bool(writes))
            if beats:
                ports.update(zip(("tdata", "tkeep", "tlast"), beats[0]))
            if writes:
                name, fields = writes[0]
                ports.update(awaddr=REGISTER[name].address, wstrb=0b1111,
                             wdata=REGISTER[name].pack(**fields))
            self.set_ports(ctx)
            _, _, word = await ctx.tick().sample(self.seen)
            seen = {}
            for name, width in self.fields.items():
                seen[name], word = word & (1 << width) - 1, word >> width
            if seen["tready"] and beats:
                beats.popleft()
            if seen["awready"] and writes:
                writes.popleft()
            if seen["clear"]:
                beats.clear()
            log.append(seen)
        return log[SETUP:]


@pytest.fixture(scope="module")
def machine():
    """A machine, which takes longer to elaborate than to start again."""
    with pytest.MonkeyPatch.context() as patch:
        return Machine(patch)


def find(log, name):
    """Cycles in which a signal is set."""
    return [cycle for cycle, seen in enumerate(log) if seen[name]]


def check(log, packet=None, *, double=True, forced=False):
    """Check the rules that hold in every order against the log of a run, with at most a packet.

    The core may be reset while it is sending if this is `forced`.
    """
    clears = find(log, "clear")
    for cycle in find(log, "failed"):
        assert log[cycle + 1]["pending"] or cycle in clears
    for cycle, seen in enumerate(log):
        # Nothing starts from an error on, and a machine that is idle has nothing to do.
        assert not (seen["run"] and (seen["pending"] or seen["failed"])), cycle
        assert not (seen["idle"] and any(seen[name] for name in (
            "failed", "running", "reading", "sending", "queued", "resetting", "offered",
            "beat waits"))), cycle
        # No word is written to what a program or a read uses.
        is_row = seen["memory"] == Memory.ACT.value
        used = seen["inputs"] | seen["run"] << seen["buffer"]
        is_used = used >> seen["row"] // INPUT_WORDS & 1 if is_row else \
            seen["run"] or seen["running"]
        assert not (seen["word"] and is_used), cycle
        assert not (seen["word"] and seen["reading"]), cycle
        is_row = is_row and double
        assert not (seen["word"] and seen["sending"] and not is_row), cycle
        assert not (seen["reading"] and seen["sending"]), cycle
    if packet is not None:
        check_packet(log, packet, clears)
    check_end(log, clears)
    check_results(log, forced)


def check_packet(log, packet, clears):
    """Check that no program starts on a packet that has failed, which becomes an error."""
    beats = find(log, "taken")[:len(packet.beats)]
    if len(beats) < len(packet.beats) or any(beats[0] <= clear <= beats[-1] + 2
                                             for clear in clears):
        return    # the transfer was ended
    fault = beats[packet.fault or 0]
    error = next((cycle for cycle in find(log, "failed") if beats[0] < cycle <= beats[-1] + 2),
                 None)
    if packet.fault is not None and not any(seen["pending"] for seen in log[beats[0]:fault + 1]):
        assert error or any(seen["new"] for seen in log[beats[0]:fault + 3])
        assert any(seen["pending"] for seen in log[fault + 1:fault + 4])
        error = error or fault + 1
        assert not any(seen["idle"] for seen in log[beats[0]:error + 1])
    if error:    # also of a good packet for what is in use
        assert not [seen for seen in log[beats[0] + 1:error + 2]
                    if seen["run"] and packet.concerns(seen["buffer"])]


def check_end(log, clears):
    """Check that no start is lost or executed twice, and that the registers agree at the end."""
    end = log[-1]
    n_starts, n_runs = len(find(log, "start")), len(find(log, "run"))
    assert n_runs + end["queued"] <= n_starts
    assert n_runs + end["queued"] == n_starts or clears or find(log, "new")
    since = max(clears, default=-1)
    # A soft reset drops all beats accepted before.
    after = log[max(find(log, "soft reset"), default=-1) + 1:]
    assert len(find(after, "taken")) <= len(find(after, "accepted"))
    assert end["pending"] == any(cycle > since for cycle in find(log, "new"))
    assert end["pending"] == (end["code"] != Error.NONE) <= end["irq"]
    assert end["programs"] in (len(find(log, "done")), len(find(log[since + 1:], "done")))
    # A clear may have ended a packet of which the next header is the rest.
    assert end["idle"] or end["running"] or (end["queued"] and end["pending"]) or clears
    assert not end["resetting"]


def check_results(log, forced):
    """Check that vectors are sent once and whole, but for those that a reset cuts off."""
    numbers = [seen["vector"] for before, seen in itertools.pairwise(log)
               if seen["sending"] and not before["sending"]]
    packets, is_open, n_lost = [], False, 0
    for seen in log:
        n_lost += seen["reset"] * seen["sending"]
        if seen["beat"]:
            packets += [] if is_open else [b""]
            packets[-1] += seen["data"].to_bytes(BEAT_BYTES, "little")[:seen["keep"].bit_count()]
            is_open = not seen["last"]
    assert not is_open and not log[-1]["sending"]
    vectors = {number: bytes(number << 4 | n for n in range(VECTOR_WORDS)
                             for _ in range(ACTS_PER_WORD))[:LAST_LANES - ACTS_PER_WORD]
               for number in numbers}
    received = [content[0] >> 4 for content in packets]
    assert received == [number for number in numbers if number in received]
    assert all(vectors[number].startswith(content)
               for number, content in zip(received, packets))
    assert len(numbers) - sum(content in packets for content in vectors.values()) <= n_lost
    assert forced or not n_lost


#: Events B for each state in which packet A arrives.
OTHERS = {
    "idle": ["start 0", "start 1", "clear", "read"],
    "running": ["finish", "start 1"],
    # An input packet A waits.
    "its buffer is read": ["free", "finish", "start 1", "fault", "clear"],
    "two running": ["free", "finish", "fault"],
    # The header of A has arrived before, and a start waits for the rest.
    "waiting": ["clear", "read"],
    "waiting while one is running": ["finish", "fault"],
}


def arrange(packet, state):
    """Events besides B, by cycle: the state, and packet A from `CENTRE` on."""
    events = collections.defaultdict(list)
    if "running" in state:
        events[2] = ["start 0"]
    if state in ("its buffer is read", "two running"):
        events[5] = ["start 1"]
    sent = "waiting" in state
    if sent:
        events[4] = [packet.beats[:1]]
        events[7] = ["start 1" if packet.memory is Memory.INPUT else "start 0"]
    events[CENTRE] = [packet.beats[sent:]]
    return events


async def shift(ctx, machine, events, other, packet=None, *, double=True):
    """Let another event happen in each cycle around `CENTRE`, and check each run."""
    names = {name for items in [*events.values(), [other]] for name in items
             if isinstance(name, str)}
    forced = not names.isdisjoint({"soft reset", "timeout"})
    for offset in WINDOW:
        shifted = {**events, CENTRE + offset: [*events.get(CENTRE + offset, ()), other]}
        try:
            check(await machine.play(ctx, shifted, double=double), packet, double=double,
                  forced=forced)
        except AssertionError as error:
            raise AssertionError(f"with {other} {offset} cycles later: {error}") from error


@pytest.mark.parametrize("packets", SETS_OF_PACKETS)
@pytest.mark.parametrize("state", OTHERS)
def test_a_packet_and_another_event_in_every_order(machine, state, packets):
    async def bench(ctx):
        for name, packet in packets.items():
            for other in OTHERS[state]:
                try:
                    await shift(ctx, machine, arrange(packet, state), other, packet)
                except AssertionError as error:
                    raise AssertionError(f"{name} {error}") from error

    machine.run(bench)


@pytest.mark.parametrize("packets", SETS_OF_PACKETS)
def test_a_packet_and_the_time_limit_of_the_start_that_waits_for_it_in_every_order(machine,
                                                                                   packets):
    """A packet that fails before the start has timed out is the error, which names its remedy."""
    codes = collections.Counter()

    async def bench(ctx):
        for name, packet in packets.items():
            for limit in LIMITS:
                log = await machine.play(ctx, arrange(packet, "waiting") | {0: [limit]})
                try:
                    check(log, packet)
                    for cycle in find(log, "failed"):
                        assert log[cycle]["pending"] or \
                            log[cycle + 1]["code"] == log[cycle]["failed"]
                except AssertionError as error:
                    raise AssertionError(f"{name} with {limit}: {error}") from error
                codes.update(seen["code"] for seen in log[-1:])

    machine.run(bench)
    assert {Error.TIMEOUT.value, Error.TRUNCATED.value, Error.BAD_HEADER.value} <= codes.keys()


@pytest.mark.parametrize("event", ["finish", "fault", "start 0", "read"])
def test_two_events_without_a_packet_in_every_order(machine, event):
    """While a program runs, or not, and another one is pending, or not."""
    async def bench(ctx):
        for before in ({}, {2: ["start 0"]}, {2: ["start 0"], 5: ["start 1"]}):
            for other in ("finish", "fault", "start 1", "read", "clear"):
                if other != event and (before or event not in STROBES):
                    await shift(ctx, machine, {**before, CENTRE: [event]}, other)

    machine.run(bench)


@pytest.mark.parametrize("event", ["model TRUNCATED in a word", "input good", "finish", "read"])
def test_a_soft_reset_in_every_order(machine, event):
    async def bench(ctx):
        if event in PACKETS:
            states = ["waiting", "its buffer is read"][:1 + event.startswith("input")]
            for state in states:
                await shift(ctx, machine, arrange(PACKETS[event], state), "soft reset",
                            PACKETS[event])
        else:
            await shift(ctx, machine, {2: ["start 0"], CENTRE: [event]}, "soft reset")

    machine.run(bench)


#: Events by cycle that lead to a vector which begins after `CENTRE`, or ends three cycles later.
FIRST = CENTRE - VECTOR_WORDS + 2
SENDING = {
    "begins": {2: ["start 0"], CENTRE: ["send"]},
    "ends": {2: ["start 0"], FIRST: ["send"]},
    "ends after its program": {2: ["start 0"], FIRST: ["send"], FIRST + 2: ["finish"]},
    "ends in the next program": {1: ["start 0"], FIRST: ["send"], FIRST + 1: ["finish"],
                                 FIRST + 3: ["start 1"]},
    "waits for the host": {0: ["hold"], 2: ["start 0"], FIRST: ["send"], FIRST + 2: ["finish"],
                           FIRST + 4: ["start 1"]},
    "waits after a fault": {0: ["hold"], 2: ["start 0"], FIRST: ["send"], CENTRE: ["fault"]},
    "has left but for a beat": {2: ["start 0"], FIRST: ["send"], CENTRE + 4: ["hold"]},
}
#: Events B around the begin or the end of a vector.
AROUND = ("send", "finish", "fault", "timeout", "soft reset", "start 0", "read", "clear", "hold",
          "take")


# The next program starts after the end of the one before, which therefore needs no run of its own.
@pytest.mark.parametrize("state", [
    pytest.param(state, marks=[pytest.mark.full] if state == "ends after its program" else [])
    for state in SENDING])
def test_a_vector_and_another_event_in_every_order(machine, state):
    async def bench(ctx):
        assert find(await machine.play(ctx, SENDING[state]), "sending")
        for other in AROUND:
            await shift(ctx, machine, SENDING[state], other)

    machine.run(bench)


@pytest.mark.parametrize("state", [
    "ends", pytest.param("ends in the next program", marks=pytest.mark.full)])
def test_a_vector_and_two_other_events_in_every_order(machine, state):
    """A fault, a timeout and a soft reset while the host may have stopped taking the vector."""
    async def bench(ctx):
        for event, other in [("fault", "hold"), ("fault", "timeout"), ("fault", "soft reset"),
                             ("fault", "clear"), ("timeout", "fault"), ("hold", "fault"),
                             ("timeout", "hold"), ("finish", "fault"), ("clear", "fault")]:
            events = collections.defaultdict(list, SENDING[state])
            events[CENTRE + 1] = [*events[CENTRE + 1], event]
            try:
                await shift(ctx, machine, events, other)
            except AssertionError as error:
                raise AssertionError(f"{event} {error}") from error

    machine.run(bench)


@pytest.mark.parametrize("double", [True, False])
def test_a_vector_and_a_packet_in_every_order(machine, double):
    """No word is written to a memory in use, but to one of two input buffers."""
    packets = [PACKETS["model good"], PACKETS["input good"] if double else INPUT_0]

    async def bench(ctx):
        for packet in packets:
            for state in ("ends after its program", "ends in the next program"):
                for offset in WINDOW:
                    events = collections.defaultdict(list, SENDING[state])
                    events[CENTRE + offset] = [*events[CENTRE + offset], packet.beats]
                    log = await machine.play(ctx, events, double=double)
                    check(log, packet, double=double)
                    assert find(log, "sending")

    machine.run(bench)
