"""BroadcastThrottle: messages sent under back-pressure."""

import random

import pytest

from eie_hdl.ccu.broadcast_throttle import BroadcastThrottle
from eie_hdl.config import FILLING_LIMIT, EIEConfig


def run(simulate, config, drive, cycles):
    """Drive ``(filling, full, wanted)`` of each cycle; whether it was stopped, and has sent."""
    dut, log = BroadcastThrottle(config), []

    async def bench(ctx):
        for cycle in range(cycles):
            filling, full, wanted = drive(cycle)
            ctx.set(dut.filling, filling)
            ctx.set(dut.full, full)
            ctx.set(dut.sent, 0)
            stop = ctx.get(dut.stop)
            ctx.set(dut.sent, wanted and not stop)
            log.append((filling, full, stop, wanted and not stop))
            await ctx.tick()

    simulate(dut, bench)
    return log


@pytest.mark.parametrize("n_pe", [1, 2, 64])
def test_it_stops_when_full_and_when_filling_with_too_many_in_flight(simulate, n_pe):
    config, rng = EIEConfig(n_pe=n_pe), random.Random(n_pe)
    log = run(simulate, config,
              lambda cycle: (rng.random() < 0.6, rng.random() < 0.1, rng.random() < 0.7), 400)
    window = config.n_in_flight
    for cycle, (filling, full, stop, _) in enumerate(log):
        in_flight = sum(sent for *_, sent in log[max(0, cycle - window):cycle])
        assert stop == (full or (filling and in_flight > FILLING_LIMIT))
    assert {(filling, full, stop) for filling, full, stop, _ in log} >= {
        (False, False, 0), (True, False, 0), (True, False, 1), (False, True, 1)}


def test_while_a_queue_fills_one_more_than_the_filling_limit_is_sent_per_round_trip(simulate):
    config = EIEConfig(n_pe=64)
    window = config.n_in_flight + 1
    log = run(simulate, config, lambda cycle: (True, False, True), 10 * window)
    sent = [one for *_, one in log]
    assert {sum(sent[at:at + window]) for at in range(len(sent) - window)} == {FILLING_LIMIT + 1}


def test_without_a_queue_that_fills_every_cycle_is_free(simulate):
    log = run(simulate, EIEConfig(), lambda cycle: (False, False, True), 60)
    assert not any(stop for _, _, stop, _ in log)
