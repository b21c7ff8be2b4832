"""ResetControl, cycle by cycle against a model."""

import random

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.host.reset_control import ResetControl

CONFIG = PRESETS["tiny"]
OUTPUTS = ("wipe", "reset_core", "stopping", "resetting")


def outputs(ctx, dut):
    return {name for name in OUTPUTS if ctx.get(getattr(dut, name))}


def settle_cycles(config):
    """Twice the round trip of a message through the tree: words have arrived by then."""
    return 2 * config.n_in_flight


@pytest.mark.parametrize("n_pe", [1, 4, 64])
def test_failed_core_is_reset_for_a_cycle_when_all_words_have_arrived(simulate, n_pe):
    config = EIEConfig(n_pe=n_pe)
    dut = ResetControl(config)

    async def bench(ctx):
        for _ in range(2):
            assert outputs(ctx, dut) == set()
            ctx.set(dut.failed, 1)
            await ctx.tick()
            for _ in range(settle_cycles(config)):
                assert outputs(ctx, dut) == {"stopping"}
                await ctx.tick()
            assert outputs(ctx, dut) == {"stopping", "reset_core"}
            ctx.set(dut.failed, 0)    # cleared by the reset
            await ctx.tick()
            assert outputs(ctx, dut) == set()
            await ctx.tick().repeat(3)
            assert outputs(ctx, dut) == set()

    simulate(dut, bench)


@pytest.mark.parametrize("wiping_cycles", [0, 1, 50])
def test_soft_reset_resets_the_core_then_wipes_and_waits_for_the_last_zero(simulate,
                                                                          wiping_cycles):
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.soft_reset, 1)
        await ctx.tick()
        ctx.set(dut.soft_reset, 0)
        assert outputs(ctx, dut) == {"reset_core", "wipe", "resetting"}
        await ctx.tick()
        for cycle in range(wiping_cycles + settle_cycles(CONFIG) + 1):
            ctx.set(dut.wiping, cycle < wiping_cycles)
            assert outputs(ctx, dut) == {"resetting"}
            await ctx.tick()
        assert outputs(ctx, dut) == set()

    simulate(dut, bench)


@pytest.mark.parametrize("at", range(settle_cycles(CONFIG) + 3))
def test_soft_reset_preempts_the_stop_of_a_failed_core(simulate, at):
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.failed, 1)
        for _ in range(at):
            await ctx.tick()
        ctx.set(dut.soft_reset, 1)
        await ctx.tick()
        ctx.set(dut.soft_reset, 0)
        assert outputs(ctx, dut) == {"reset_core", "wipe", "resetting"}
        ctx.set(dut.failed, 0)
        await ctx.tick()
        for _ in range(settle_cycles(CONFIG) + 1):
            assert outputs(ctx, dut) == {"resetting"}
            await ctx.tick()
        assert outputs(ctx, dut) == set()

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
        for cycle in range(max(settle_cycles(CONFIG), sending_cycles) + 1):
            ctx.set(dut.sending, cycle < sending_cycles)
            is_reset = cycle == max(settle_cycles(CONFIG), sending_cycles)
            assert outputs(ctx, dut) == {"stopping"} | ({"reset_core"} if is_reset else set())
            await ctx.tick()
        ctx.set(dut.failed, 0)
        assert outputs(ctx, dut) == set()

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
        assert outputs(ctx, dut) == {"stopping", "reset_core"}
        ctx.set(dut.failed, 0)
        await ctx.tick()
        assert outputs(ctx, dut) == set()
        ctx.set(dut.failed, 1)
        await ctx.tick()
        for _ in range(3 * settle_cycles(CONFIG)):
            assert outputs(ctx, dut) == {"stopping"}
            await ctx.tick()

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


def model(state, settled, cuts, failed, hung, sending, soft_reset, wiping):
    """Return the next state, and the outputs of this cycle."""
    is_quiet = settled == settle_cycles(CONFIG)
    if state == "ready":
        following = "reset" if soft_reset else "stop" if failed or hung else "ready"
        return (following, 0, hung), set()
    if state == "stop":
        resets = is_quiet and (cuts or not sending)
        following = "reset" if soft_reset else "ready" if resets else "stop"
        outputs = {"stopping"} | ({"reset_core"} if resets else set())
        return (following, settled if is_quiet else settled + 1, cuts), outputs
    if state == "reset":
        return ("wipe", 0, cuts), {"resetting", "reset_core", "wipe"}
    following = "ready" if is_quiet and not wiping else "wipe"
    return (following, 0 if wiping else settled + 1, cuts), {"resetting"}


def test_any_sequence_of_failures_and_soft_resets_follows_the_model(simulate):
    rng = random.Random(67)
    dut = ResetControl(CONFIG)

    async def bench(ctx):
        state, remaining, visits = ("ready", 0, False), 0, dict.fromkeys(OUTPUTS, 0)
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
        assert visits["reset_core"] > visits["wipe"] > 10

    simulate(dut, bench)
