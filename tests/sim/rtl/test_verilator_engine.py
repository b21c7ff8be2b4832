"""Engine verilator: agreement with engine cocotb, and error reports.

Machines are compiled by `eie_sim.rtl.verilator_host`.
"""

import contextlib
import dataclasses
import itertools
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import input_packets, packet
from eie_driver.accelerator import Accelerator
from eie_driver.bus import BusError
from eie_driver.errors import DriverTimeout
from eie_driver.registers import Registers
from eie_hdl.config import PRESETS
from eie_hdl.format import Memory
from eie_sim.cycles.model import predict_back_to_back
from eie_sim.inference import infer
from eie_sim.pauses import Pauses
from eie_sim.rtl import cocotb_engine, verilator_engine, verilator_host
from eie_sim.rtl.verilator_bus import VerilatorBus
from support.dead_inputs import clear_inputs

N_IMAGES = 5


@pytest.fixture
def network(verilator):
    """Build and inputs; the engine needs Verilator."""
    rng = np.random.default_rng(5)
    build = compile_network(random_network(rng, [24, 40, 9], density=0.3, v_width=3, frac=4),
                            PRESETS["tiny"], outputs="all")
    return build, rng.integers(-128, 128, (N_IMAGES, 24)) * rng.integers(0, 2, (N_IMAGES, 24))


def test_outputs_counters_and_traffic_are_those_of_cocotb(network, simulators):
    build, inputs = network
    one, other = (engine.run(build, inputs, cache=simulators, **options)
                  for engine, options in ((cocotb_engine, {}), (verilator_engine, {"machines": 1})))
    assert cocotb_engine.compare(build, one.outputs, other.outputs) == []
    assert one.counters == other.counters
    assert one.overflow.tolist() == other.overflow.tolist()
    # The number of polls depends on the latency of accesses.
    traffic = {"packets", "beats", "result_packets", "result_beats"}
    assert {name: one.traffic[name] for name in traffic} == {
        name: other.traffic[name] for name in traffic}


@pytest.mark.parametrize("dead", [[0, 3, 4, 17], list(range(24))], ids=["some", "all"])
def test_inputs_that_are_not_sent_change_no_bit(verilator, simulators, dead):
    network = clear_inputs(random_network(np.random.default_rng(5), [24, 40, 9], density=0.3,
                                          v_width=3, frac=4), dead)
    build, whole = (compile_network(network, PRESETS["tiny"], keep_dead_rows=keep)
                    for keep in (False, True))
    inputs = np.random.default_rng(6).integers(-128, 128, (N_IMAGES, 24))
    expected = infer(whole, inputs, words=True, engine="golden").outputs
    result = verilator_engine.run(build, inputs, cache=simulators)
    assert cocotb_engine.compare(build, result.outputs, expected) == []


def test_the_interval_excludes_loading_and_is_about_that_of_cocotb(network, simulators):
    build, inputs = network
    one, other = (engine.run(build, inputs, cache=simulators, read_counters=False, alone=True,
                             **options)
                  for engine, options in ((cocotb_engine, {}), (verilator_engine, {"machines": 1})))
    # Register accesses of the two take different times.
    assert abs(one.interval - other.interval) < 10 * N_IMAGES
    assert abs(one.latency - other.latency) < 10
    assert other.interval < other.cycles / 2


def test_an_inference_takes_longer_by_the_pauses_before_its_beats(network, simulators):
    build, inputs = network
    plain, slow_inputs, slow_results = (
        verilator_engine.run(build, inputs[:1], cache=simulators, read_counters=False,
                             pauses=pauses)
        for pauses in (Pauses(), Pauses(inputs=(9, 1, 3)), Pauses(results=(20,))))
    pauses = itertools.islice(itertools.cycle((9, 1, 3)), build.input_packets(inputs[:1]).size)
    assert slow_inputs.interval == plain.interval + sum(pauses) - 9    # it begins with a beat
    assert slow_results.interval >= plain.interval + 20    # before the last beat


def test_the_deadline_includes_the_pauses_before_beats(network, simulators):
    build, inputs = network
    expected = infer(build, inputs[:1], words=True, engine="golden").outputs
    longer = cocotb_engine.deadline(build) + 1
    for pauses in (Pauses(inputs=(longer,)), Pauses(results=(longer,))):
        result = verilator_engine.run(build, inputs[:1], cache=simulators, pauses=pauses)
        assert cocotb_engine.compare(build, result.outputs, expected) == []
        assert result.interval > longer


@pytest.mark.parametrize("machines", [1, 2])
def test_the_first_input_runs_again_alone_after_the_others(network, simulators, machines):
    build, inputs = network
    expected = infer(build, [*inputs, inputs[0]], words=True, engine="golden").outputs
    result = verilator_engine.run(build, inputs, cache=simulators, read_counters=False, alone=True,
                                  machines=machines)
    assert cocotb_engine.compare(build, result.outputs, expected) == []
    assert result.latency == predict_back_to_back(build, inputs[:1]).latency


@pytest.mark.parametrize("machines", [1, 2, 9])
def test_machines_share_the_inputs_in_order(network, simulators, machines):
    build, inputs = network
    expected = infer(build, inputs, words=True, engine="golden").outputs
    result = verilator_engine.run(build, inputs, cache=simulators, machines=machines)
    assert cocotb_engine.compare(build, result.outputs, expected) == []
    assert len(result.counters) == N_IMAGES
    assert result.traffic["packets"] > N_IMAGES


def test_pauses_change_nothing_but_the_time(network, simulators):
    build, inputs = network
    quiet, paused = (verilator_engine.run(build, inputs, cache=simulators, pause=pause, machines=1)
                     for pause in (0.0, 0.4))
    assert cocotb_engine.compare(build, quiet.outputs, paused.outputs) == []
    assert paused.cycles > 1.05 * quiet.cycles


@pytest.mark.parametrize("instance", ["pe_1.spmat", "pe_1.ptr_odd", "pe_1.codebook", "pe_1.act",
                                      "ccu.program"])
def test_a_flipped_bit_of_an_image_is_seen(network, simulators, instance):
    build, inputs = network
    expected = infer(build, inputs, words=True, engine="golden").outputs
    image = build.images[instance].copy()
    image[1 if instance == "pe_1.codebook" else 0, 0] ^= np.uint64(16)
    changed = dataclasses.replace(build, images={**build.images, instance: image})
    result = verilator_engine.run(changed, inputs, cache=simulators)
    assert cocotb_engine.compare(build, result.outputs, expected) != []


@pytest.fixture
def bus(network, simulators):
    """Bus to a machine of the network's configuration."""
    library = verilator_engine.make_library(network[0].config, simulators)
    with contextlib.closing(VerilatorBus(library)) as bus:
        yield bus


@pytest.fixture
def machine(network, bus):
    machine = Accelerator(bus, timeout=1e-3)
    machine.load(network[0])
    return machine


@pytest.mark.parametrize("read_counters", [False, True])
@pytest.mark.parametrize("buffers", [1, 2])
def test_programs_with_several_long_vectors_run_back_to_back(machine, buffers, read_counters):
    """A program ends only when the host has taken all vectors but the last two: the one that a
    transfer was offered for, and the one that may leave after the end.
    """
    rng = np.random.default_rng(6)
    build = compile_network(random_network(rng, [24, 60, 60, 90], density=0.1, v_width=3, frac=4),
                            PRESETS["tiny"], outputs="all")
    build = dataclasses.replace(build, input_stride=build.input_stride if buffers == 2 else 0)
    inputs = rng.integers(-128, 128, (N_IMAGES, 24))
    expected = infer(build, inputs, words=True, engine="golden").outputs
    machine.load(build)
    run = machine.run(inputs, words=True, read_counters=read_counters)
    assert cocotb_engine.compare(build, run.outputs, expected) == []
    assert len(run.counters) == (N_IMAGES if read_counters else 0)


def read_activations(machine, *, expected):
    """Read two rows of activations with `expected` bytes armed; return the packet."""
    machine.bus.expect(expected)
    machine.registers.write("READ_PLACE", memory=Memory.ACT.value)
    machine.registers.write("READ", count=2)
    for _ in range(3):
        machine.bus.wait(1e-6)
    return machine.bus.receive()


def test_a_packet_that_is_longer_than_expected_loses_its_end_only(machine):
    whole = read_activations(machine, expected=32)
    assert len(whole) == 32 and whole[8:].any()
    cut = read_activations(machine, expected=8)
    assert cut.tolist() == [*whole[:8], *[0] * 24]


def test_the_interval_begins_with_the_first_beat_and_ends_with_the_last(network, bus, machine):
    build, inputs = network
    (packet,) = input_packets(build.config, build.input, inputs[:1])
    intervals, latencies = [], []
    for idle in (0, 300):
        bus.take_interval()
        begin = bus.cycles
        for _ in range(idle):
            bus.read(0)
        machine.bus.send(packet)
        assert len(read_activations(machine, expected=32)) == 32
        used = bus.cycles - begin
        for _ in range(idle):
            bus.read(0)
        latencies.append(bus.latency)
        intervals.append(bus.take_interval())
        assert len(packet) < intervals[-1] <= used
        assert latencies[-1] == intervals[-1] - len(packet)
    assert intervals[0] == intervals[1]
    assert bus.take_interval() == 0
    machine.bus.send(packet)
    assert (bus.latency, bus.take_interval()) == (0, 0)


def test_an_unexpected_packet_waits(machine):
    assert read_activations(machine, expected=32) is not None
    machine.registers.write("READ", count=2)
    machine.bus.wait(1e-6)
    assert machine.bus.receive() is None
    assert machine.status()["busy"]
    machine.bus.expect(32)
    machine.bus.wait(1e-6)
    assert len(machine.bus.receive()) == 32


def test_a_machine_that_does_not_respond_is_abandoned(network, simulators):
    build, _ = network
    library = verilator_engine.make_library(build.config, simulators)
    with contextlib.closing(VerilatorBus(library, timeout_cycles=1)) as bus:
        with pytest.raises(BusError, match=r"(?s)^read of 0x000 must end\nirq \d; s_axis valid \d "
                                           r".*; cycle \d"):
            bus.read(0)
        with pytest.raises(BusError, match="^machine must answer, but an earlier access timed out"):
            bus.read(0)


@pytest.mark.parametrize("begin", ["write", "send"])
def test_a_host_may_begin_in_the_cycle_in_which_the_reset_ends(network, bus, begin):
    """Most other tests begin with a read."""
    registers = Registers(bus)
    if begin == "write":
        registers.write("PE_INDEX", value=1)
        assert registers.value("PE_INDEX") == 1
    else:
        beats = packet(network[0].config, Memory.SPMAT, np.ones((1, 1), np.uint64))
        bus.send(beats)
        bus.wait(1e-6)
        assert registers.value("CHECKSUM") == zlib.crc32(beats.tobytes())


def test_all_pes_share_one_code(network, simulators):
    """Shared code is what makes the simulation of many PEs fast."""
    library = verilator_engine.make_library(network[0].config, simulators)
    steps = re.findall(rb"Vtop_eie_pe___nba_\w*?(pe_\d+)", library.read_bytes())
    assert len(set(steps)) == 1 < network[0].config.n_pe


def test_a_refused_access_is_reported_and_the_next_one_answered(bus):
    known = bus.read(0)
    for _ in range(2):
        with pytest.raises(BusError, match=r"(?s)^read of 0x3fc must be answered OKAY\nirq"):
            bus.read(0x3FC)
        assert bus.read(0) == known
        with pytest.raises(BusError, match="^write of 0x00000001 to 0x000 must be answered OKAY"):
            bus.write(0, 1)
        assert bus.read(0) == known


def test_a_bus_that_is_closed_is_an_error(network, simulators):
    bus = VerilatorBus(verilator_engine.make_library(network[0].config, simulators))
    bus.close()
    bus.close()
    with pytest.raises(BusError, match="^Bus must be open, but was closed$"):
        bus.read(0)


@pytest.mark.parametrize("machines", [1, 2])
def test_a_program_that_takes_too_long_is_reported(network, simulators, monkeypatch, machines):
    build, inputs = network
    monkeypatch.setattr(verilator_engine, "deadline", lambda build: 60)
    with pytest.raises((DriverTimeout, BusError), match="must (come|be taken|end)"):
        verilator_engine.run(build, inputs, cache=simulators, machines=machines)


def test_inferences_run_without_cocotb():
    script = ("import sys; sys.modules['cocotb'] = sys.modules['cocotbext'] = None; "
              "import eie_sim.inference")
    subprocess.run([sys.executable, "-c", script], check=True)


def test_no_inputs_have_no_outputs(network, simulators):
    build, inputs = network
    result = verilator_engine.run(build, inputs[:0], cache=simulators)
    assert [output.shape for output in result.outputs] == [(0, 40), (0, 9)]


def test_a_fatal_error_of_the_verilog_is_an_error_of_the_bus(verilator, simulators, monkeypatch):
    """A beat makes two ports of a memory meet, in a machine that has nothing else."""
    texts = verilator_host.verilog

    def collide(config, cache, *, bridge):
        files = texts(config, cache, bridge=bridge)
        (top,) = re.findall(r"^module eie #.*?^endmodule", files["eie.v"], re.DOTALL | re.MULTILINE)
        ports = "\n".join([top[:top.index(";") + 1],
                           *re.findall(r"^  (?:in|out)put .*", top, re.MULTILINE)])
        return {**files, "eie.v": ports + """
            eie_sram act(.clk(aclk), .r_en(s_axis_tvalid), .r_addr(1'b0), .w_en(s_axis_tvalid),
                         .w_addr(1'b0), .w_data(1'b0));
            assign s_axis_tready = 1'b1;
            endmodule
            """}

    monkeypatch.setattr(verilator_host, "verilog", collide)
    config = dataclasses.replace(PRESETS["tiny"], n_pe=1)
    with contextlib.closing(VerilatorBus(verilator_engine.make_library(config, simulators))) as bus:
        with pytest.raises(BusError, match="simulation must not end with the error above"):
            bus.send(packet(config, Memory.CODEBOOK, np.ones((1, 1), np.uint64)))
