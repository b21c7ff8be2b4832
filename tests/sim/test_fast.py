"""The hardware without cocotb: that it is the same, and what is told when it is not."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.compile import compile_network
from eie_compiler.testing import random_network
from eie_hdl.config import PRESETS
from eie_sim import fast, rtl
from eie_sim.driver.bus import BusError
from eie_sim.driver.errors import DriverTimeout
from eie_sim.driver.verilated import VerilatedBus
from eie_sim.inference import infer

N_IMAGES = 5


@pytest.fixture
def network(verilator):
    """Build and inputs; the engine needs Verilator."""
    rng = np.random.default_rng(5)
    build = compile_network(random_network(rng, [24, 40, 9], density=0.3, v_width=3, frac=4),
                            PRESETS["tiny"], outputs="all")
    return build, rng.integers(-128, 128, (N_IMAGES, 24)) * rng.integers(0, 2, (N_IMAGES, 24))


def test_outputs_counters_and_traffic_are_those_of_cocotb(network, models):
    """Of one inference: the input of a next one takes cycles, which depend on when it comes."""
    build, inputs = network
    one, other = (engine.run(build, inputs[:1], build_root=models) for engine in (rtl, fast))
    assert rtl.compare(build, one.outputs, other.outputs) == []
    assert one.counters == other.counters
    assert one.overflow.tolist() == other.overflow.tolist()
    # How often a host polls depends on how long its accesses take.
    traffic = {"packets", "beats", "result_packets", "result_beats"}
    assert {name: one.traffic[name] for name in traffic} == {
        name: other.traffic[name] for name in traffic}


@pytest.mark.parametrize("machines", [1, 2, 9])
def test_machines_share_the_inputs_in_order(network, models, machines):
    build, inputs = network
    expected = infer(build, inputs, engine="golden").outputs
    result = fast.run(build, inputs, build_root=models, machines=machines)
    assert rtl.compare(build, result.outputs, expected) == []
    assert len(result.counters) == N_IMAGES
    assert result.traffic["packets"] > N_IMAGES


def test_pauses_change_nothing_but_the_time(network, models):
    build, inputs = network
    quiet, paused = (fast.run(build, inputs, build_root=models, pause=pause, machines=1)
                     for pause in (0.0, 0.4))
    assert rtl.compare(build, quiet.outputs, paused.outputs) == []
    assert paused.cycles > 1.05 * quiet.cycles


@pytest.mark.parametrize("instance", ["pe_1.spmat", "pe_1.ptr_odd", "pe_1.codebook", "pe_1.act",
                                      "ccu.program"])
def test_a_flipped_bit_of_an_image_is_seen(network, models, instance):
    build, inputs = network
    expected = infer(build, inputs, engine="golden").outputs
    image = build.images[instance].copy()
    image[1 if instance == "pe_1.codebook" else 0, 0] ^= np.uint64(16)
    changed = dataclasses.replace(build, images={**build.images, instance: image})
    result = fast.run(changed, inputs, build_root=models)
    assert rtl.compare(build, result.outputs, expected) != []


def test_a_machine_that_does_not_answer_is_given_up(network, models):
    build, _ = network
    bus = VerilatedBus(fast.make_library(build.config, models), patience=1)
    with pytest.raises(BusError, match=r"(?s)^read of 0x000 must end\nirq \d; s_axis valid \d .*"
                                       r"; cycle \d"):
        bus.read(0)
    bus.close()


def test_an_access_that_is_refused_is_told(network, models):
    build, _ = network
    bus = VerilatedBus(fast.make_library(build.config, models))
    with pytest.raises(BusError, match=r"(?s)^read of 0x3fc must be answered OKAY\nirq"):
        bus.read(0x3FC)
    with pytest.raises(BusError, match=r"(?s)^write of 0x00000001 to 0x000 must be answered OKAY"):
        bus.write(0, 1)
    bus.close()


def test_a_program_that_takes_too_long_is_told(network, models, monkeypatch):
    build, inputs = network
    monkeypatch.setattr(fast, "deadline", lambda build: 60)
    with pytest.raises((DriverTimeout, BusError), match="must (come|be taken|end)"):
        fast.run(build, inputs, build_root=models)
