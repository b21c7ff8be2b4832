"""ProgramTable: order, faults and input buffers of the programs in flight."""

import random

import pytest

from eie_hdl.ccu.program_table import ProgramTable
from eie_hdl.config import PRESETS
from eie_hdl.format import N_BUFFERS
from eie_hdl.registers import Error
from support.simulation import put

CONFIG = PRESETS["tiny"]
OUTPUTS = ("running", "pending", "reads_input", "oldest", "done")


def outputs(ctx, dut):
    return {name: ctx.get(getattr(dut, name)) for name in OUTPUTS}


async def strobe(ctx, signal, value=1):
    ctx.set(signal, value)
    await ctx.tick()
    ctx.set(signal, 0)


async def step(ctx, dut, program, *, final=0):
    """Let a program start its next descriptor."""
    ctx.set(dut.selected, program)
    ctx.set(dut.final, final)
    await strobe(ctx, dut.step)


async def fail(ctx, dut, program, code, address):
    """Report an error of a descriptor that has been started."""
    ctx.set(dut.errors[program], {"code": code, "address": address})
    await ctx.tick()
    ctx.set(dut.errors[program], {"code": Error.NONE, "address": 0})


def fault(ctx, dut):
    return ctx.get(dut.fault.code), ctx.get(dut.fault.address)


class Model:
    """Programs in flight, oldest first: (buffer, next descriptor, offset, is_complete)."""

    def __init__(self):
        self.programs = []
        self.frees = set()

    def find(self, buffer):
        return next((program for program in self.programs if program["buffer"] == buffer), None)

    def outputs(self, unwritten):
        buffers = [program["buffer"] for program in self.programs]
        oldest = self.programs[0] if self.programs else None
        return {
            "running": sum(1 << buffer for buffer in buffers),
            "pending": sum(1 << program["buffer"] for program in self.programs
                           if not program["complete"]),
            "reads_input": sum(1 << buffer for buffer in buffers if buffer not in self.frees),
            "done": int(oldest is not None and oldest["complete"]
                        and not unwritten >> oldest["buffer"] & 1),
            **({"oldest": oldest["buffer"]} if oldest else {}),
        }


async def drive(ctx, dut, model, rng):
    """Drive random inputs for a cycle, compare the outputs, and let the model take the step."""
    starts, buffer = rng.random() < 0.3, rng.randrange(N_BUFFERS)
    run = {"descriptor": rng.randrange(CONFIG.program_depth), "buffer": buffer,
           "offset": rng.randrange(CONFIG.act_depth)}
    hold, selected, final = rng.random() < 0.2, rng.randrange(N_BUFFERS), rng.random() < 0.3
    program = model.find(selected)
    steps = program is not None and not program["complete"] and rng.random() < 0.4
    frees = rng.randrange(4) if rng.random() < 0.1 else 0
    unwritten = rng.randrange(4)
    for name, value in {"hold": hold, "selected": selected, "final": final, "step": steps,
                        "frees_input": frees, "unwritten": unwritten}.items():
        ctx.set(getattr(dut, name), value)
    ctx.set(dut.run.payload, run)
    ctx.set(dut.run.valid, starts)
    expected = model.outputs(unwritten)
    assert {name: ctx.get(getattr(dut, name)) for name in expected} == expected
    assert ctx.get(dut.run.ready) == (not hold and model.find(buffer) is None)
    starts = starts and ctx.get(dut.run.ready)
    assert ctx.get(dut.started) == starts
    if program is not None:
        assert (ctx.get(dut.address), ctx.get(dut.offset)) == (
            program["address"] % CONFIG.program_depth, program["offset"])
    await ctx.tick()
    model.frees |= {number for number in range(N_BUFFERS) if frees >> number & 1}
    if steps:
        program["address"] += 1
        program["complete"] = final
    if expected["done"]:
        model.programs.pop(0)
    if starts:
        model.frees -= {buffer}
        model.programs.append({"buffer": buffer, "address": run["descriptor"],
                               "offset": run["offset"], "complete": False})
    return expected["done"], len(model.programs)


@pytest.mark.parametrize("seed", range(4))
def test_programs_step_and_end_as_in_a_list_of_them(simulate, seed):
    dut, rng, model = ProgramTable(CONFIG), random.Random(seed), Model()
    log = []

    async def bench(ctx):
        for _ in range(1000):
            log.append(await drive(ctx, dut, model, rng))

    simulate(dut, bench)
    done, in_flight = zip(*log)
    assert sum(done) > 30 and set(in_flight) == {0, 1, 2}


def test_a_younger_program_ends_in_the_cycle_after_the_older_one(simulate):
    dut = ProgramTable(CONFIG)

    async def bench(ctx):
        await put(ctx, dut.run, [{"buffer": 1}, {"buffer": 0}])
        await step(ctx, dut, 0, final=1)
        assert outputs(ctx, dut) == {"running": 3, "pending": 2, "reads_input": 3, "oldest": 1,
                                     "done": 0}
        ctx.set(dut.unwritten, 2)
        await step(ctx, dut, 1, final=1)
        assert not ctx.get(dut.done)
        ctx.set(dut.unwritten, 0)
        assert ctx.get(dut.done)
        await ctx.tick()
        assert outputs(ctx, dut) == {"running": 1, "pending": 0, "reads_input": 1, "oldest": 0,
                                     "done": 1}
        await ctx.tick()
        assert not ctx.get(dut.running) and not ctx.get(dut.done)

    simulate(dut, bench)


@pytest.mark.parametrize("next_one", [False, True], ids=["next descriptor", "earlier descriptor"])
def test_a_fault_of_the_oldest_program_is_held(simulate, next_one):
    """Later errors, and those of the other program, change nothing."""
    dut = ProgramTable(CONFIG)

    async def bench(ctx):
        await put(ctx, dut.run, [{"buffer": 0, "descriptor": 5}, {"buffer": 1}])
        if next_one:
            await fail(ctx, dut, 0, Error.BAD_POINTER, 5)
        else:
            await strobe(ctx, dut.error, Error.NO_END)
        expected = (Error.BAD_POINTER if next_one else Error.NO_END, 5)
        assert fault(ctx, dut) == expected and ctx.get(dut.pending) == 2
        await fail(ctx, dut, 0, Error.BAD_POINTER, 3)
        await fail(ctx, dut, 1, Error.BAD_POINTER, 3)
        ctx.set(dut.selected, 1)
        await step(ctx, dut, 0, final=1)
        for _ in range(5):
            assert fault(ctx, dut) == expected
            assert ctx.get(dut.running) == 3 and not ctx.get(dut.done)
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("next_one", [False, True], ids=["next descriptor", "earlier descriptor"])
def test_a_fault_of_a_younger_program_is_reported_when_the_older_one_has_ended(simulate, next_one):
    dut = ProgramTable(CONFIG)

    async def bench(ctx):
        await put(ctx, dut.run, [{"buffer": 1}, {"buffer": 0, "descriptor": 9}])
        ctx.set(dut.selected, 0)
        if next_one:
            await fail(ctx, dut, 0, Error.BAD_POINTER, 8)
        else:
            await strobe(ctx, dut.error, Error.BAD_DESCRIPTOR)
        assert outputs(ctx, dut) == {"running": 3, "pending": 2, "reads_input": 3, "oldest": 1,
                                     "done": 0}
        assert fault(ctx, dut)[0] == Error.NONE
        await step(ctx, dut, 1, final=1)
        assert ctx.get(dut.done) and fault(ctx, dut)[0] == Error.NONE
        await ctx.tick()
        for _ in range(5):
            assert fault(ctx, dut) == ((Error.BAD_POINTER, 8) if next_one
                                       else (Error.BAD_DESCRIPTOR, 9))
            assert ctx.get(dut.running) == 1 and not ctx.get(dut.done)
            await ctx.tick()

    simulate(dut, bench)


def test_an_error_of_an_earlier_descriptor_precedes_that_of_the_next_one(simulate):
    dut = ProgramTable(CONFIG)

    async def bench(ctx):
        await put(ctx, dut.run, [{"descriptor": 7}])
        ctx.set(dut.error, Error.NO_END)
        await fail(ctx, dut, 0, Error.BAD_POINTER, 6)
        await ctx.tick()
        assert fault(ctx, dut) == (Error.BAD_POINTER, 6)

    simulate(dut, bench)
