"""Core with two programs in flight, in Amaranth's simulator, against the golden model."""

import dataclasses
import itertools

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import result_order, scatter
from eie_hdl.config import ACTS_PER_WORD, PRESETS
from eie_hdl.core import Core
from eie_hdl.format import Layouts, Memory
from eie_hdl.packing import unpack
from eie_hdl.registers import Error
from eie_sim.golden.model import GoldenModel
from support.counting import counting
from support.short import each_once
from support.simulation import STALLS, get_vector, image_words, input_words, nothing, put

CountingCore = counting(Core, lambda core: core.counted)

SIZES = (13, 18, 22, 5)


def make_build(n_pe, *, sizes=SIZES, density=0.3, outputs="last", seed=None, **fields):
    config = dataclasses.replace(PRESETS["tiny"], n_pe=n_pe, **{
        "act_depth": 64, "ptr_depth": 128, "program_depth": 64, **fields})
    rng = np.random.default_rng(n_pe if seed is None else seed)
    network = random_network(rng, sizes, density=density, v_width=config.v_width, frac=4)
    return compile_network(network, config, outputs=outputs)


@dataclasses.dataclass
class Job:
    """A program to run: words to load before it, and vectors that it sends.

    They are loaded when the buffer's input is not read any more; with `after_end`, when the program
    before in this buffer has ended.
    """
    buffer: int
    words: list
    vectors: list
    first: int = 0
    after_end: bool = False
    fault: int = 0


def program_of(build):
    return unpack(Layouts.of(build.config).descriptor, build.images["ccu.program"])


def ordered(build, vectors, image):
    """Elements of the vectors of an inference, in the order in which they are sent."""
    return [vector[image, result_order(build.config, vector.shape[1])].tolist()
            for vector in vectors]


def jobs_of(build, inputs, buffers=None):
    """Inferences, in turn in each buffer."""
    placed = scatter(build.input, inputs, build.config.n_pe)
    vectors = GoldenModel(build.config, build.images).run(placed, build.input.base_word)
    jobs = []
    for image, values in enumerate(inputs):
        buffer = image % 2 if buffers is None else buffers[image]
        base = build.input.base_word + buffer * build.input_stride
        jobs.append(Job(buffer, list(input_words(build.config, build.input, values, base=base)),
                        ordered(build, vectors, image)))
    return jobs


def jobs_of_last_layers(build, inputs, buffer):
    """Inferences from the second layer on, with outputs of the first layer as inputs."""
    program, config = program_of(build), build.config
    act_word = Layouts.of(config).act_word
    placed = scatter(build.input, inputs, config.n_pe)
    hidden = GoldenModel(config, build.images).run(placed, build.input.base_word)[0]
    is_first_tile = program["barrier"] & ~program["start"]["send"] & 1
    first = int(np.flatnonzero(is_first_tile)[1])
    source = int(program["start"]["source"][first])
    vectors = GoldenModel(config, build.images, first).run(hidden, source)
    n_rows = int(program["start"]["last_word"][first]) + 1
    slots = np.zeros((len(inputs), n_rows * ACTS_PER_WORD * config.n_pe), np.int64)
    slots[:, :hidden.shape[1]] = hidden
    rows = slots.reshape(len(inputs), n_rows, ACTS_PER_WORD, config.n_pe)
    return [Job(buffer, [
        {"memory": Memory.ACT, "pe": pe, "address": source + buffer * build.input_stride + row,
         "data": act_word.const(rows[image, row, :, pe].tolist()).as_value().value}
        for row in range(n_rows) for pe in range(config.n_pe)],
        ordered(build, vectors, image), first, after_end=True) for image in range(len(inputs))]


class Host:
    """Benches that start each job as soon as its buffer and the core accept it, and check results.

    `ends` has the overflow and its tile of each job that has ended.
    """
    def __init__(self, dut, build, jobs, *, stalls=(0, 0)):
        self.dut, self.build, self.jobs, self.stalls = dut, build, jobs, stalls
        self.ends, self.n_both = [], 0

    def run(self, simulate):
        simulate(self.dut, self.start, self.consume, background=[self.watch], deadline=20_000)
        assert len(self.ends) == sum(not job.fault for job in self.jobs)

    async def start(self, ctx):
        dut, rng = self.dut, np.random.default_rng(5)
        await put(ctx, dut.load, image_words(self.build.config, self.build.images))
        for job in self.jobs:
            while ctx.get(dut.running if job.after_end else dut.reads_input) >> job.buffer & 1:
                await ctx.tick()
            await put(ctx, dut.load, job.words, stall=self.stalls[0], rng=rng)
            await put(ctx, dut.run, [{"buffer": job.buffer, "descriptor": job.first,
                                      "offset": job.buffer * self.build.input_stride}])
        while ctx.get(dut.busy) and not ctx.get(dut.fault.code):
            await ctx.tick()
        await ctx.tick()
        counts = {name: ctx.get(value) for name, value in dut.sums.items()}
        phases = ("phase_control", "phase_compute", "phase_output", "stall_barrier")
        assert counts["cycles"] == sum(counts[name] for name in phases)

    async def consume(self, ctx):
        for job in self.jobs:
            for vector in job.vectors:
                assert await get_vector(ctx, self.dut.result, stall=self.stalls[1]) == vector
        await nothing(ctx, self.dut.result, cycles=40)
        assert not ctx.get(self.dut.sending)
        last = self.jobs[-1]
        assert (ctx.get(self.dut.fault.code), ctx.get(self.dut.busy)) == (
            last.fault, bool(last.fault))
        if last.fault:
            assert ctx.get(self.dut.fault.address) == last.first

    async def watch(self, ctx):
        dut, was_done = self.dut, False
        async for *_, done, oldest, overflow, tile, running, fault in ctx.tick().sample(
                dut.done, dut.oldest, dut.overflow, dut.overflow_tile, dut.running,
                dut.fault.code):
            if was_done:
                self.ends.append((overflow, tile if overflow else None))
            if done:
                assert oldest == self.jobs[len(self.ends)].buffer
            assert not fault or len(self.ends) == len(self.jobs) - 1
            was_done = done
            self.n_both += running == 3


def sparse_inputs(rng, count, n=SIZES[0]):
    return rng.integers(-128, 128, (count, n)) * (rng.random((count, n)) < 0.6)


def in_flight():
    """All kinds of outputs and stalls on one PE and on eight; in short, all stalls once."""
    in_short = {(1, "last", "flowing"), (1, "all", "slow-input"), (1, "last", "slow-output"),
                (8, "all", "slow-both")}
    for n_pe, outputs, (name, stalls) in itertools.product((1, 8), ("last", "all"),
                                                           STALLS.items()):
        yield pytest.param(n_pe, outputs, stalls, id=f"{name}-{n_pe}-{outputs}",
                           marks=[] if (n_pe, outputs, name) in in_short else [pytest.mark.full])


@pytest.mark.parametrize("n_pe, outputs, stalls", list(in_flight()))
def test_two_programs_in_flight_give_the_results_of_the_golden_model(simulate, n_pe, outputs,
                                                                     stalls):
    build = make_build(n_pe, outputs=outputs)
    inputs = sparse_inputs(np.random.default_rng(n_pe), 5)
    host = Host(CountingCore(build.config), build, jobs_of(build, inputs), stalls=stalls)
    host.run(simulate)
    assert host.n_both > 100


@pytest.mark.parametrize("seed", range(4))
def test_layers_of_several_tiles_give_the_results_of_the_golden_model(simulate, seed):
    """Columns are nearly empty, so that tiles are broadcast in less time than they are written."""
    rng = np.random.default_rng(seed)
    n_pe = 1 + seed % 2
    sizes = [6, *(rng.integers(2, 6 * 4, 3) * n_pe).tolist()]
    build = make_build(n_pe, sizes=sizes, density=0.1, seed=seed, acc_depth=4, ptr_depth=512,
                       outputs=["last", "all"][seed % 3 % 2])
    inputs = sparse_inputs(rng, 5, 6)
    Host(CountingCore(build.config), build, jobs_of(build, inputs), stalls=(0, 0.3)).run(simulate)


@pytest.mark.parametrize("seed, stalls", each_once(range(3), STALLS))
def test_programs_of_different_lengths_run_in_the_two_buffers(simulate, seed, stalls):
    """Whole inferences in one, the last layers alone in the other, or in both by chance."""
    rng = np.random.default_rng(seed)
    build = make_build(1 + seed % 2, outputs="all")
    inputs = sparse_inputs(rng, 8)
    jobs = []
    for image in range(len(inputs)):
        one, buffer = inputs[image:image + 1], int(rng.integers(2))
        jobs += (jobs_of(build, one, [buffer]) if buffer == seed % 2 or rng.random() < 0.2
                 else jobs_of_last_layers(build, one, buffer))
    host = Host(CountingCore(build.config), build, jobs, stalls=stalls)
    host.run(simulate)
    assert host.n_both > 20 and len({job.first for job in jobs}) == 2


# The tests above have each stall alone; in short, the next ones only both at once.
SLOW_IN_SHORT = pytest.mark.parametrize("stalls", [
    pytest.param(stalls, id=name, marks=[] if name == "slow-both" else [pytest.mark.full])
    for name, stalls in STALLS.items()])


@SLOW_IN_SHORT
def test_programs_that_share_rows_run_one_after_another(simulate, stalls):
    """The second one starts no tile before, but its input may be loaded."""
    roomy = make_build(2)
    build = make_build(2, act_depth=roomy.report["memory"]["act"]["words_used"] - 1)
    assert build.input_stride and program_of(build)["alone"][0]
    inputs = sparse_inputs(np.random.default_rng(3), 6)
    host = Host(CountingCore(build.config), build, jobs_of(build, inputs), stalls=stalls)
    host.run(simulate)
    assert host.n_both > 100


@SLOW_IN_SHORT
def test_each_program_has_its_own_overflows(simulate, stalls):
    """They are those of the same inferences one at a time, all in buffer 0."""
    build = make_build(2, acc_width=15)
    for pe in range(2):
        build.images[f"pe_{pe}.codebook"][:] = 63    # all weights; small inputs do not overflow
    inputs = sparse_inputs(np.random.default_rng(4), 6) // np.array([1, 64, 9] * 2)[:, np.newaxis]
    ends = []
    for buffers in ([0] * 6, None):
        host = Host(CountingCore(build.config), build, jobs_of(build, inputs, buffers),
                    stalls=stalls)
        host.run(simulate)
        ends.append(host.ends)
    assert ends[0] == ends[1] and len(set(ends[0])) > 1


#: Descriptors with faults, by the name of their error.
WRONG = {
    "NO_END": {},
    "BAD_DESCRIPTOR": {"start": {"source": 63}, "end": {"destination": 63}, "valid": 1},
    "BAD_POINTER": {"start": {"source": 63}, "end": {"destination": 62}, "ptr_base": 255,
                    "valid": 1, "final": 1},
}


@pytest.mark.parametrize("fault, stalls", each_once(list(WRONG), STALLS))
def test_a_fault_of_a_younger_program_waits_for_the_results_of_the_older_one(simulate, fault,
                                                                            stalls):
    build = make_build(2, outputs="all")
    config, address = build.config, 50
    descriptor = Layouts.of(config).descriptor.const(WRONG[fault]).as_value().value
    inputs = sparse_inputs(np.random.default_rng(6), 3)
    jobs = jobs_of(build, inputs)
    words = [{"memory": Memory.PROGRAM, "address": address, "data": descriptor},
             *({"memory": Memory.ACT, "pe": pe, "address": 63, "data": 1}
               for pe in range(config.n_pe))]
    jobs.append(Job(1, words, [], address, fault=Error[fault].value))
    host = Host(CountingCore(config), build, jobs, stalls=stalls)
    host.run(simulate)
    assert host.n_both > 20
