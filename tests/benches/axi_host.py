"""Host in a cocotb bench that checks the machine against the golden host model."""

import collections
import json
import random
from pathlib import Path

import numpy as np

from benches.axi_buses import CONFIG, Buses, seed
from eie_compiler.vectors import input_packets, memory_packets, read_words, result_order
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import Layouts, Memory
from eie_hdl.packing import pack
from eie_hdl.registers import Error
from eie_sim.golden.host_model import Fault, HostModel

#: File for the counts of a bench, in its working folder.
_FIGURES = Path("figures.json")


def in_order_sent(output):
    """Return the elements of a vector (n,) in the order of a packet of results."""
    return output[result_order(CONFIG, len(output))].tolist()


class Host(Buses):
    """Operates a machine and checks it against a model.

    Attributes
    ----------
    errors : :class:`~collections.Counter`
        Expected errors that occurred, by the name of their code.
    cycle_counts : :class:`dict`
        Measured cycles by description, for the summary.
    model : :class:`~eie_sim.golden.host_model.HostModel`
        Reference state of the machine.
    """

    def __init__(self, dut, *, pause=0.0):
        super().__init__(dut, pause=pause)
        self.errors: collections.Counter[str] = collections.Counter()
        self.cycle_counts: dict[str, float] = {}
        self.model = HostModel(CONFIG)

    @classmethod
    async def start(cls, dut, *, pause=0.0):
        """Create a host, reset the machine and wipe its memories."""
        host = cls(dut, pause=pause)
        await host.reset(4)
        await host.soft_reset()
        return host

    def finish(self):
        """Add the counts to those of earlier tests in the run."""
        known = json.loads(_FIGURES.read_text(encoding="utf-8")) if _FIGURES.exists() else {}
        figures = {name: collections.Counter(known.get(name, {})) + mine
                   for name, mine in [("counts", self.counts), ("errors", self.errors)]}
        _FIGURES.write_text(json.dumps({
            **figures, "cycles": known.get("cycles", {}) | self.cycle_counts}), encoding="utf-8")

    async def soft_reset(self):
        """Start a soft reset and wait for its end."""
        self.counts["resets"] += 1
        await self.write("CONTROL", soft_reset=1)
        self.model = HostModel(CONFIG)
        await self.until("The end of a soft reset", "STATUS", resetting=0)

    # Errors

    async def fault(self):
        """Read the pending error, or None."""
        error = await self.read("ERROR")
        found = Fault(Error(error["code"]), await self.value("ERROR_ADDRESS"), error["memory"],
                      error["pe"])
        return None if found.code is Error.NONE else found

    async def expect_fault(self, expected, what):
        """Wait for an error in STATUS; check it and its interrupt."""
        await self.until(f"{what}: {expected}", "STATUS", error=1)
        found = await self.fault()
        assert found == expected, f"{what}: {found} must be {expected}; {self.pins()}"
        assert (await self.read("IRQ_STATUS"))["error"], f"{what}: no interrupt; {self.pins()}"
        self.errors[found.code.name] += 1

    async def clear(self):
        """Clear the error, its interrupt and a queued start."""
        self.model.clear()
        await self.write("CONTROL", clear=1)
        await self.write("IRQ_STATUS", error=1, done=1)
        await self.rest()
        assert await self.fault() is None

    async def rest(self):
        """Wait until the machine is idle."""
        await self.until("Idle", "STATUS", idle=1)

    async def received(self):
        """Wait until all packets have been sent and processed."""
        await self.within("The end of packets", self.source.wait())
        await self.until("The end of packets", "STATUS", receiving=0)

    # Networks

    async def load(self, build):
        """Load a build as a driver does."""
        await self.write("CONTROL", new_model=1)
        await self.set_input(build.input.base_word, build.input_words, build.input_stride)
        self.model.checksum = 0
        for packet in memory_packets(CONFIG, build.images):
            self.post(packet)
            assert self.model.take(packet) is None
        await self.received()
        assert await self.value("CHECKSUM") == self.model.checksum
        assert await self.fault() is None

    async def set_input(self, base, words, stride):
        """Set the input buffers."""
        await self.write("INPUT_BASE", value=base)
        await self.write("INPUT_WORDS", words=words)
        await self.write("INPUT_STRIDE", value=stride)
        self.model.input_base, self.model.input_words = base, words
        self.model.input_stride = stride

    def post_input(self, build, inputs, buffer=0):
        """Send an input vector (n,)."""
        (packet,) = input_packets(CONFIG, build.input, inputs[np.newaxis], buffer=buffer)
        self.post(packet)
        assert self.model.take(packet) is None

    async def infer(self, build, inputs, buffer=0):
        """Load an input, run the program and check its outputs."""
        self.post_input(build, inputs, buffer)
        await self.received()
        await self.write("START", descriptor=0, buffer=buffer)
        await self.expect_outputs(buffer)
        await self.rest()

    async def expect_result(self, expected, what):
        """Receive the next packet of results and check its elements, given by column number."""
        result = await self.receive()
        assert not result.cut and result.elements.tolist() == in_order_sent(expected), (
            f"{what}: {result} must be {expected}; {self.pins()}")

    async def expect_outputs(self, buffer=0, descriptor=0):
        """Receive the results of a started program and check them against the model's."""
        for number, output in enumerate(self.model.run(descriptor, buffer)):
            await self.expect_result(output, f"Vector {number}")
        self.counts["inferences"] += 1

    # Memories

    async def ask(self, memory, address, count, pe=0):
        """Request words of a memory, which arrive as a packet of results."""
        await self.write("READ_PLACE", memory=memory, pe=pe)
        await self.write("READ_ADDRESS", value=address)
        await self.write("READ", count=count)

    async def read_memory(self, memory, pe, address, count):
        """Read words (count, n_beats) of a memory; of ACT those of all PEs, (n_pe, count, n_beats).
        """
        shape = Layouts.of(CONFIG).memories[memory].shape
        await self.ask(memory.value, address, count, 0 if memory is Memory.ACT else pe)
        elements = (await self.receive()).elements
        if memory is Memory.ACT:
            return pack(shape, elements.reshape(count, -1, ACTS_PER_WORD).transpose(1, 0, 2))
        return read_words(CONFIG, shape, elements)

    async def compare_memories(self, n_words=None, begin=None):
        """Check all memories against the model, or `n_words` of each from a random address on."""
        rng = random.Random(f"{seed()} memories")
        for memory, contents in self.model.words.items():
            n_pe, depth = contents.shape[:2]
            count = min(depth, n_words or depth)
            for pe in [slice(None)] if memory is Memory.ACT else range(n_pe):
                first = rng.randrange(depth - count + 1) if begin is None else begin
                found = await self.read_memory(memory, pe, first, count)
                expected = contents[pe, first:first + count]
                wrong = np.argwhere(found != expected).tolist()
                assert not wrong, (f"{memory.name} of PE {pe} from {first} on is wrong at "
                                   f"{wrong[:9]}: {found.tolist()}; {self.pins()}")
                self.counts["words read back"] += found.size
