"""cocotb bench of random valid and invalid packets, checked against the golden host model."""

import copy
import os
import random

import cocotb
import numpy as np

from benches.axi_buses import CONFIG, seed
from benches.axi_cases import (
    LAYOUTS,
    WHOLE,
    random_build,
    random_inputs,
    random_words,
    raw_packet,
)
from benches.axi_host import Host
from benches.axi_steps import expect_all, start
from eie_compiler.vectors import input_packets
from eie_hdl.format import Memory
from eie_hdl.packing import unpack

#: Packets sent back to back before errors are checked.
_MAX_BURST = 4
#: Bursts while the machine is idle, bursts per run, and runs.
_IDLE_BURSTS, _BUSY_BURSTS, _RUNS = 40, 8, 4


class Fuzz:
    """Generator and checker of random packets.

    A packet starts out valid: random words for a random range of a random memory. It may then be
    corrupted, also repeatedly, by the methods ``_break_...``.
    """

    def __init__(self, host):
        self.host = host
        self.rng = random.Random(f"{seed()} fuzz")
        self.words = np.random.default_rng(seed())
        self.sent = self.waited = 0
        self.blocked = set()    # input buffers for which packets wait until results are taken
        self._breaks = [getattr(self, name) for name in sorted(vars(Fuzz))
                        if name.startswith("_break_")]

    def make(self):
        """Create a packet and TKEEP of its beats."""
        rng, model = self.rng, self.host.model
        memory = rng.choice(list(Memory))
        is_input = memory is Memory.INPUT
        depth = model.input_words if is_input else model.words[memory].shape[1]
        count = rng.randint(0, min(6, depth))
        address = rng.choice([0, depth - count, rng.randint(0, depth - count)])
        n = count * CONFIG.n_pe if is_input and rng.random() < 0.5 else count
        beats = raw_packet(
            random_words(self.words, memory, n), memory=memory.value, count=n, address=address,
            pe=rng.randrange(CONFIG.n_pe), everyone=rng.randrange(2),
            buffer=rng.randint(0, model.input_stride > 0) if is_input else rng.randrange(2))
        keep = np.full(len(beats), WHOLE, np.uint8)
        while rng.random() < 0.3:
            beats, keep = rng.choice(self._breaks)(beats, keep)
        return beats, keep

    def _break_header(self, beats, keep):
        fields = dict(LAYOUTS.load_header)
        field = self.rng.choice(sorted(fields))
        bit = fields[field].offset + self.rng.randrange(fields[field].width)
        return np.concatenate([beats[:1] ^ np.uint64(1 << bit), beats[1:]]), keep

    def _break_pe(self, beats, keep):
        header = {name: int(field[0]) for name, field in unpack(
            LAYOUTS.load_header, beats[:1, np.newaxis]).items()}
        header |= {"everyone": 0, "pe": self.rng.randrange(CONFIG.n_pe, 256)}
        return raw_packet(beats[1:], **header), keep

    def _break_keep(self, beats, keep):
        keep = keep.copy()
        keep[self.rng.randrange(len(keep))] = self.rng.randrange(WHOLE)
        return beats, keep

    def _break_by_truncation(self, beats, keep):
        n = self.rng.randint(1, len(beats))
        return beats[:n], keep[:n]

    def _break_by_extension(self, beats, keep):
        more = self.rng.randint(1, 4)
        return (np.concatenate([beats, self.words.integers(0, 1 << 64, more, np.uint64)]),
                np.concatenate([keep, np.full(more, WHOLE, np.uint8)]))

    def _break_into_noise(self, beats, keep):
        return self.words.integers(0, 1 << 64, len(beats), np.uint64), keep

    async def burst(self):
        """Send some packets and check that the first fault, if any, is reported.

        The burst ends before a packet that must wait, which is returned.
        """
        host, model = self.host, self.host.model
        before = model.error
        log = []
        for _ in range(self.rng.randint(1, _MAX_BURST)):
            beats, keep = self.make()
            if model.error is None and self._must_wait(beats[0]):
                return beats, keep
            log.append((model.take(beats, keep == WHOLE), [hex(int(beat)) for beat in beats],
                        keep.tolist()))
            host.post(beats, keep)
            self.sent += 1
        await host.received()
        found = await host.fault()
        assert found == model.error, f"{found} must be {model.error} after {log}; seed {seed()}"
        if model.error is not None and before is None:
            host.errors[model.error.code.name] += 1
        return None

    def _must_wait(self, header):
        """Return whether a packet may wait until results are taken."""
        fields = unpack(LAYOUTS.load_header, np.array([[header]]))
        return fields["memory"][0] == Memory.INPUT.value and fields["buffer"][0] in self.blocked

    async def clear(self):
        """Clear the error with some probability, at times without one; return whether cleared."""
        if self.rng.random() < (0.9 if self.host.model.error else 0.1):
            self.host.model.clear()
            await self.host.write("CONTROL", clear=1)
            return True
        return False

    async def idle(self):
        """Send bursts to an idle machine."""
        rows = self.rng.randint(1, CONFIG.act_depth // 2)
        fits = self.rng.random() < 0.8
        await self.host.set_input(
            self.rng.randint(0, CONFIG.act_depth - 2 * rows) if fits
            else CONFIG.act_depth - rows + 1, rows, self.rng.randrange(2))
        for _ in range(_IDLE_BURSTS):
            await self.burst()
            await self.clear()

    async def busy(self, build):
        """Send bursts while programs are in flight or pending; their outputs must not change."""
        host, rng, model = self.host, self.rng, self.host.model
        first, n_starts = rng.randrange(2), rng.randint(1, 3)
        for buffer in range(min(n_starts, 2)):
            await self.input(build, first ^ buffer)
        host.hold_results(True)
        model.running = True
        expected = []
        for buffer in range(min(n_starts, 2)):
            expected.append(await start(host, first ^ buffer))
        # The oldest program reads its input before it waits for the host. A younger one may have to
        # wait before that, and a start is pending until the oldest has ended.
        pending = n_starts == 3
        self.blocked = {first ^ 1} if n_starts > 1 else set()
        if pending:
            await self.input(build, first)
            await host.write("START", buffer=first)
            self.blocked.add(first)
        late = None    # packet that waits
        for _ in range(_BUSY_BURSTS):
            late = await self.burst()
            # An error would keep the pending start, or come after it.
            if pending and late is not None:
                beats, keep = late
                late = None if copy.deepcopy(model).take(beats, keep == WHOLE) else late
            if late is not None:
                break
            if await self.clear():
                pending = False
                self.blocked.discard(first)
        if late is not None:
            host.post(*late)
            self.waited += 1
        host.hold_results(False)
        for outputs in expected:
            await expect_all(host, outputs)
        if model.error:    # a pending error blocks the pending start
            await host.write("CONTROL", clear=1)
            model.clear()
        elif pending:
            await host.expect_outputs(first)
        self.blocked.clear()
        if late is not None:
            await host.received()
            fault = model.take(late[0], late[1] == WHOLE)
            assert await host.fault() == fault, f"must be {fault}; seed {seed()}"
            await host.clear()
        model.running = False
        await host.rest()

    async def input(self, build, buffer):
        """Load a valid input."""
        (values,) = random_inputs(build, 1)
        (beats,) = input_packets(CONFIG, build.input, values[np.newaxis], buffer=buffer)
        assert self.host.model.take(beats) is None
        self.host.post(beats)
        await self.host.received()


@cocotb.test()
async def random_packets_have_the_required_effects(dut):
    host = await Host.start(dut, pause=0.15)
    fuzz = Fuzz(host)
    round_number = 0
    while fuzz.sent < int(os.environ["EIE_PACKETS"]):
        await fuzz.idle()
        await host.clear()
        build = random_build(round_number)
        await host.load(build)
        for _ in range(_RUNS):
            await fuzz.busy(build)
        round_number += 1
    host.counts["fuzz packets"] = fuzz.sent
    host.counts["packets that waited"] = fuzz.waited
    host.set_pauses(0)
    assert await host.value("CHECKSUM") == host.model.checksum
    await host.compare_memories()
    await host.load(build)
    await host.infer(build, random_inputs(build, 1)[0])
    host.finish()
