"""ResetControl, cycle by cycle against a model."""

import random

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.host.reset_control import ResetControl
from eie_hdl.lib.registered_reset import RESET_CYCLES

CONFIG = PRESETS["tiny"]
OUTPUTS = ("wipe", "reset_core", "stopping", "resetting")


def outputs(ctx, dut):
    return {name for name in OUTPUTS if ctx.get(getattr(dut, name))}


def settle_cycles(config):
    """Twice the round trip of a message through the tree, by when words have arrived; then two.

    One more to compare, and one to change the state.
    """
    return 2 * config.n_in_flight + 2


async def expect(ctx, dut, expected, cycles=1):
    for _ in range(cycles):
        assert outputs(ctx, dut) == expected
        await ctx.tick()


async def expect_reset(ctx, dut, state):
    """Expect the reset, and the two cycles until the last level of the core is out of it."""
    first = {"wipe"} if state == "resetting" else set()
    await expect(ctx, dut, {state, "reset_core"} | first)
    await expect(ctx, dut, {state, "reset_core"}, RESET_CYCLES - 1)
    await expect(ctx, dut, {state}, 2)


@pytest.mark.parametrize("n_pe", [1, 4, 64])
def test_failed_core_is_reset_when_all_words_have_arrived(simulate, n_pe):
    config = EIEConfig(n_pe=n_pe)
    dut = ResetControl(config)

    async def bench(ctx):
        for _ in range(2):
            assert outputs(ctx, dut) == set()
            ctx.set(dut.failed, 1)
            await ctx.tick()
            await expect(ctx, dut, {"stopping"}, settle_cycles(config))
            ctx.set(dut.failed, 0)    # cleared by the reset
            await expect_reset(ctx, dut, "stopping")
            await expect(ctx, dut, set(), 4)

    simulate(dut, bench)


@pytest.mark.parametrize("wiping_cycles", [0, 1, 50])
def test_soft_reset_resets_the_core_then_wipes_and_waits_for_the_last_zero(simulate,
                                                                          wiping_cycles):
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.soft_reset, 1)
        await ctx.tick()
        ctx.set(dut.soft_reset, 0)
        await expect_reset(ctx, dut, "resetting")
        for cycle in range(wiping_cycles + settle_cycles(CONFIG)):
            ctx.set(dut.wiping, cycle < wiping_cycles)
            await expect(ctx, dut, {"resetting"})
        await expect(ctx, dut, set())

    simulate(dut, bench)


@pytest.mark.parametrize("at", range(settle_cycles(CONFIG) + RESET_CYCLES + 3))
def test_soft_reset_preempts_the_stop_and_the_reset_of_a_failed_core(simulate, at):
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.failed, 1)
        for _ in range(at):
            await ctx.tick()
        ctx.set(dut.soft_reset, 1)
        await ctx.tick()
        ctx.set(dut.soft_reset, 0)
        ctx.set(dut.failed, 0)
        await expect_reset(ctx, dut, "resetting")
        await expect(ctx, dut, {"resetting"}, settle_cycles(CONFIG))
        await expect(ctx, dut, set())

    simulate(dut, bench)


@pytest.mark.parametrize("begin", ["before", "with"])
@pytest.mark.parametrize("sending_cycles", [0, 1, settle_cycles(CONFIG) - 1, settle_cycles(CONFIG),
                                            settle_cycles(CONFIG) + 1, 100])
def test_failed_core_is_reset_when_the_vector_has_been_sent(simulate, sending_cycles, begin):
    """The vector may have begun in the last cycle before the stop."""
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.sending, begin == "before")
        ctx.set(dut.failed, 1)
        await ctx.tick()
        for cycle in range(max(settle_cycles(CONFIG), sending_cycles + 1)):
            ctx.set(dut.sending, cycle < sending_cycles)
            await expect(ctx, dut, {"stopping"})
        ctx.set(dut.failed, 0)
        await expect_reset(ctx, dut, "stopping")
        await expect(ctx, dut, set())

    simulate(dut, bench)


@pytest.mark.parametrize("failed", [0, 1])
def test_core_that_hangs_is_reset_although_it_is_sending_and_the_next_failure_waits(simulate,
                                                                                  failed):
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.sending, 1)
        ctx.set(dut.hung, 1)    # for one cycle
        ctx.set(dut.failed, failed)
        await ctx.tick()
        ctx.set(dut.hung, 0)
        await ctx.tick().repeat(settle_cycles(CONFIG))
        ctx.set(dut.failed, 0)
        await expect_reset(ctx, dut, "stopping")
        assert outputs(ctx, dut) == set()
        ctx.set(dut.failed, 1)
        await ctx.tick()
        await expect(ctx, dut, {"stopping"}, 3 * settle_cycles(CONFIG))

    simulate(dut, bench)


@pytest.mark.parametrize("at", [1, settle_cycles(CONFIG), settle_cycles(CONFIG) + 50])
def test_soft_reset_does_not_wait_for_a_vector_of_which_the_host_takes_nothing(simulate, at):
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.sending, 1)
        ctx.set(dut.failed, 1)
        await ctx.tick().repeat(at)
        assert outputs(ctx, dut) == {"stopping"}
        ctx.set(dut.soft_reset, 1)
        await ctx.tick()
        assert outputs(ctx, dut) == {"reset_core", "wipe", "resetting"}

    simulate(dut, bench)


def model(state, elapsed, settled, cuts, wipes, failed, hung, sending, soft_reset, wiping):
    """Return the next state, and the outputs of this cycle."""
    is_quiet = settled >= settle_cycles(CONFIG) - 1
    if state == "ready":
        following = "reset" if soft_reset else "stop" if failed or hung else "ready"
        return (following, 0, 0, hung, soft_reset), set()
    if state == "stop":
        resets = soft_reset or (is_quiet and (cuts or not sending))
        return ("reset" if resets else "stop", 0, settled + 1, cuts, soft_reset), {"stopping"}
    if state == "reset":
        outputs = {"resetting"} if wipes else {"stopping"}
        if wipes and elapsed == 0:
            outputs.add("wipe")
        if elapsed < RESET_CYCLES:
            outputs.add("reset_core")
        if soft_reset and not wipes:
            return ("reset", 0, 0, cuts, True), outputs
        following = "wipe" if wipes else "ready"
        return (following if elapsed == RESET_CYCLES + 1 else "reset", elapsed + 1, 0, cuts,
                wipes), outputs
    following = "ready" if is_quiet and not wiping else "wipe"
    return (following, 0, 0 if wiping else settled + 1, cuts, wipes), {"resetting"}


def test_any_sequence_of_failures_and_soft_resets_follows_the_model(simulate):
    rng = random.Random(67)
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        state, remaining, visits = ("ready", 0, 0, False, False), 0, dict.fromkeys(OUTPUTS, 0)
        sending = False
        for _ in range(6000):
            sending ^= rng.random() < 0.05
            inputs = {"failed": rng.random() < 0.05, "hung": rng.random() < 0.02,
                      "sending": sending, "soft_reset": rng.random() < 0.01,
                      "wiping": remaining > 0}
            for name, value in inputs.items():
                ctx.set(getattr(dut, name), value)
            state, expected = model(*state, **inputs)
            assert outputs(ctx, dut) == expected
            for name in expected:
                visits[name] += 1
            remaining = rng.randint(0, 30) if "wipe" in expected else max(0, remaining - 1)
            await ctx.tick()
        assert visits["reset_core"] > RESET_CYCLES * visits["wipe"] > 30

    simulate(dut, bench)
