"""Convolution loops on the Verilog, through the AXI buses: random ones, and named extremes."""

import contextlib
import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.convolution import Convolution, FeatureMap, channel_pitch
from eie_compiler.vectors import memory_packets, result_order, result_type
from eie_driver.accelerator import Accelerator
from eie_driver.errors import MachineError
from eie_driver.machine import POLL_INTERVAL
from eie_hdl.config import ACTS_PER_WORD
from eie_hdl.format import LOCAL_MULTIPLES, N_SEGMENTS, Layouts, Memory, Table
from eie_hdl.numeric import limits
from eie_hdl.packing import pack, unpack
from eie_hdl.registers import Error
from eie_sim.golden.host_model import HostModel
from eie_sim.golden.model import GoldenModel
from eie_sim.pauses import Pauses
from eie_sim.rtl import cocotb_engine, verilator_engine
from eie_sim.rtl.simulators import CLOCK_PERIOD
from eie_sim.rtl.verilator_bus import VerilatorBus
from eie_sim.rtl.verilator_engine import make_library
from support.convolutions import (
    CONFIGS,
    LOCAL_CONFIGS,
    Finish,
    Reduction,
    make_program,
    random_program,
)

MACHINES = CONFIGS | LOCAL_CONFIGS
FOUR_PES = "4 PEs, runs of 3"

#: Machines that compile fast, without and with local mode.
FAST = FOUR_PES, f"{FOUR_PES}, local"


def on(names):
    """Parametrise a test by machines, of which the fast ones run in short."""
    return pytest.mark.parametrize("config", [
        pytest.param(MACHINES[name], id=name, marks=[] if name in FAST else [pytest.mark.full])
        for name in names])


machines = on(MACHINES)
with_maxima = on(name for name, config in MACHINES.items() if config.maximum)


def check(program, result):
    """Compare results with the direct computation, and counters with the golden model."""
    (outputs,) = result.outputs
    assert outputs.tolist() == program.expected.tolist()
    _, statistics = GoldenModel(program.config, program.images).run_counted(program.inputs,
                                                                            program.base)
    for image, counters in enumerate(result.counters):
        for name in ("broadcasts", "macs", "paddings"):
            assert counters[name] == getattr(statistics, name)[image], name
        assert counters["cycles"] == sum(counters[name] for name in (
            "phase_control", "phase_compute", "phase_output", "stall_barrier"))


@machines
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.full)
                                          for seed in range(2, 30))])
@pytest.mark.parametrize("pause", [0, 0.4])
def test_random_convolutions_give_the_results_of_direct_ones(config, seed, pause, verilator,
                                                             simulators):
    program = random_program(config, seed, n_images=3)
    check(program, verilator_engine.run(program.build, program.inputs, cache=simulators,
                                        pause=pause, machines=1))


@machines
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.full)
                                          for seed in range(2, 30))])
@pytest.mark.parametrize("pause", [0, 0.4])
def test_two_programs_in_flight_do_not_disturb_each_other(config, seed, pause, verilator,
                                                          simulators):
    program = random_program(config, seed, n_images=6, n_buffers=2)
    check(program, verilator_engine.run(program.build, program.inputs, cache=simulators,
                                        pause=pause, read_counters=False, machines=1))


@on(LOCAL_CONFIGS)
@pytest.mark.parametrize("local", [(0, 1, 0), (1, 0, 1)])
@pytest.mark.parametrize("pauses", [(0,), (300,), (1, 90)])
def test_local_and_other_loops_alternate_in_two_programs(config, local, pauses, verilator,
                                                         simulators):
    """The host delays results, for which the loops that overwrite them wait."""
    program = three(config, local=local)
    check(program, verilator_engine.run(program.build, program.inputs, cache=simulators,
                                        read_counters=False, machines=1,
                                        pauses=Pauses(results=pauses)))


@with_maxima
@pytest.mark.parametrize("maximum", [(0, 1, 0), (1, 0, 1), (1, 1, 0)])
@pytest.mark.parametrize("local", [(0, 0, 0), (1, 1, 1), (0, 1, 1)])
@pytest.mark.parametrize("pause", [0, 0.4])
def test_maxima_and_sums_alternate_in_two_programs(config, maximum, local, pause, verilator,
                                                   simulators):
    """A tile is started while the one before it takes maxima, or sums, of another codebook."""
    program = three(config, local=local, reductions=[
        Reduction(which, zeros) for which, zeros in zip(maximum, (1, 0, 1))])
    check(program, verilator_engine.run(program.build, program.inputs, cache=simulators,
                                        pause=pause, read_counters=False, machines=1))


def three(config, **more):
    """Program of three convolutions, for two input buffers."""
    n = 2 * config.n_pe
    first = convolve(config, packed(config, 3, 4, n), n, **padded(2))
    second = convolve(config, first.result, n, kernel=(2, 3), padding=(1, 1), after=(0, 1))
    third = convolve(config, second.result, n, kernel=(1, 2), strip=2)
    return make_program(config, np.random.default_rng(1), [first, second, third], [n] * 4,
                        n_images=6, n_buffers=2, **more)


@pytest.mark.parametrize("name, seed, n_buffers, pause, load", [
    ("2 PEs, products fill an accumulator, local", 21, 2, 0.3, "stream"), *(
        pytest.param(*case, marks=pytest.mark.full) for case in [
            ("2 PEs, products fill an accumulator", 0, 2, 0.3, "stream"),
            ("1 PE, runs of 3", 1, 1, 0, "images"), ("1 PE, runs of 3", 2, 2, 0.5, "stream"),
            (FOUR_PES, 3, 2, 0, "images"), (FOUR_PES, 4, 1, 0.3, "stream"),
            ("16 PEs, no column dropped", 5, 2, 0, "images"),
            ("1 PE, runs of 3, local", 1, 1, 0, "images"),
            (f"{FOUR_PES}, local", 0, 1, 0.3, "images"),
            ("16 PEs, no column dropped, local", 5, 2, 0, "stream")])])
def test_random_convolutions_in_icarus_have_no_unknown_values(name, seed, n_buffers, pause, load,
                                                              icarus, simulators):
    program = random_program(MACHINES[name], seed, n_images=4, n_buffers=n_buffers)
    check(program, cocotb_engine.run(
        program.build, program.inputs, simulator=icarus, cache=simulators, pause=pause, load=load,
        read_counters=n_buffers == 1))


def convolve(config, source, n_out, *, kernel=(1, 1), stride=(1, 1), dilation=(1, 1),
             padding=(0, 0), after=(0, 0), strip=1):
    """Convolution of a map, with padding before and after it."""
    output = tuple(1 + (sum(sizes) - reach * (taps - 1) - 1) // step for *sizes, reach, taps, step
                   in zip((source.height, source.width), padding, after, dilation, kernel, stride))
    return Convolution(source=source, kernel=kernel, stride=stride, dilation=dilation,
                       padding=padding, output=output, strip=strip,
                       pitch=whole_slots(config, channel_pitch(config, n_out, strip)))


def packed(config, height, width, channels):
    """Map without surplus columns but those that local mode needs."""
    return FeatureMap(height=height, width=width, pitch=whole_slots(config, channels),
                      row_pixels=width)


def whole_slots(config, columns):
    """Columns of a pixel; in local mode, they fill whole slots."""
    return -(-columns // config.n_pe) * config.n_pe if config.local else columns


def make(config, rng, geometries, n_channels, **more):
    """Make a program of convolutions, in local mode if the machine has it.

    Then there are channels in each PE.
    """
    if config.local:
        n_channels = [max(number, config.n_pe) for number in n_channels]
    return make_program(config, rng, geometries, n_channels,
                        local=[config.local] * len(geometries), **more)


def one(config, rng, n_buffers, height, width, channels, n_out, *, inputs=None, **geometry):
    """Program of one convolution."""
    return make(config, rng, [convolve(config, packed(config, height, width, channels), n_out,
                                       **geometry)],
                [channels, n_out], n_images=4, n_buffers=n_buffers, inputs=inputs)


def zero_map(config, rng, n_buffers):
    inputs = rng.integers(-9, 9, (4, 4, 5, packed(config, 4, 5, 3).pitch))
    inputs[[0, 2]] = 0
    return one(config, rng, n_buffers, 4, 5, 3, 4, inputs=inputs, **padded(2))


def zero_rows(config, rng, n_buffers):
    """Two convolutions: one of which a PE has no weights, and one without any."""
    n_out = 2 * config.n_pe
    geometry = convolve(config, packed(config, 3, 4, 2), n_out, kernel=(2, 2))
    after = convolve(config, geometry.result, 3, kernel=(1, 2))
    codes = np.ones((n_out, 1, 2, 2), np.int64)
    codes[::config.n_pe] = 0
    return make(config, rng, [geometry, after], [2, n_out, 3], n_buffers=n_buffers,
                codes=[codes, np.zeros((1, 1, 1, 2), np.int64)])


def saturated(config, rng, n_buffers):
    geometry = convolve(config, packed(config, 3, 3, 2), 5, kernel=(2, 2))
    program = make(
        config, rng, [geometry], [2, 5], n_buffers=n_buffers,
        finishes=[Finish(0, rng.integers(-9, 9, geometry.pitch), config.max_bias_shift, 0, 0)])
    assert all((program.expected == limit).any() for limit in limits(config.act_width))
    return program


def long_tiles(config, rng, n_buffers):
    """Loop of which more tiles than can wait are started when the vector before is sent."""
    inputs = rng.integers(1, limits(config.act_width)[1],
                          (6, 4, 4, packed(config, 4, 4, 8).pitch))
    return one(config, rng, n_buffers, 4, 4, 8, 4, kernel=(2, 2), inputs=inputs)


def full_memory(config, rng, _):
    """Source of all rows but one for results, biases and factors each, up to the last one.

    The kernel is in its corners. There is no room for a second input buffer.
    """
    height = config.act_depth - 2 - config.products
    width = ACTS_PER_WORD * config.n_pe // whole_slots(config, 2)
    geometry = convolve(config, packed(config, height, width, 2), config.n_pe, kernel=(2, 2),
                        stride=(height - 2, max(1, width - 2)))
    program = make(config, rng, [geometry], [2, config.n_pe], at_end=True)
    assert program.places == [2 + config.products, 0]
    return program


def last_pointers(config, rng, n_buffers):
    """The last pointer of the second convolution is the last one of the memory."""
    geometry = convolve(config, packed(config, 3, 3, 2), 4, kernel=(2, 2))
    after = convolve(config, geometry.result, 2, kernel=(1, 2))
    program = make(config, rng, [geometry, after], [2, 4, 2], n_buffers=n_buffers)
    counts = [each.n_columns // columns_of_a_pointer(config) for each in (geometry, after)]
    first, images = config.n_pointers - sum(counts) - 1, dict(program.images)
    for pe in range(config.n_pe):
        banks = [program.images[f"pe_{pe}.ptr_{bank}"] for bank in ("even", "odd")]
        pointers = np.zeros((config.n_pointers, 1), np.uint64)
        pointers[first::2] = banks[0][:len(pointers[first::2])]
        pointers[first + 1::2] = banks[1][:len(pointers[first + 1::2])]
        images |= {f"pe_{pe}.ptr_even": pointers[0::2], f"pe_{pe}.ptr_odd": pointers[1::2]}
    program = dataclasses.replace(program, images=images)
    for number, base in enumerate((first, first + counts[0])):
        program = changed(program, number, lambda *fields, base=base: [("", "ptr_base", base)])
    return program


def columns_of_a_pointer(config):
    """Columns of a tile for each of its pointers in a PE."""
    return config.n_pe if config.local else 1


def padded(taps, **more):
    """Kernel of taps × taps at all places where it overlaps the map."""
    around = taps - 1, taps - 1
    return {"kernel": (taps, taps), "padding": around, "after": around, **more}


def changed(program, number, change):
    """Change fields of a descriptor."""
    shape = Layouts.of(program.config).descriptor
    fields = unpack(shape, program.images["ccu.program"])
    for place, name, value in change(program.config, *(
            {name: int(column[number]) for name, column in fields[part].items()}
            for part in ("start", "end", "loop"))):
        (fields[place] if place else fields)[name][number] = value
    return dataclasses.replace(program, images=program.images | {
        "ccu.program": pack(shape, fields)})


#: Name -> function of a machine, a generator of random numbers and the number of input buffers
#: that makes a program.
CASES = {
    "a map of one pixel": lambda *to: one(*to, 1, 1, 3, 4),
    "a map of one pixel under a padded kernel": lambda *to: one(*to, 1, 1, 2, 3, **padded(3)),
    "a kernel larger than the map": lambda *to: one(*to, 2, 3, 2, 3, kernel=(5, 4),
                                                    padding=(2, 2), after=(2, 1)),
    "a kernel larger than the map on all sides": lambda *to: one(*to, 2, 1, 3, 2, kernel=(4, 3),
                                                                 padding=(1, 1), after=(1, 1)),
    "a stride larger than the kernel": lambda *to: one(*to, 7, 8, 2, 5, kernel=(2, 1),
                                                       stride=(3, 4)),
    "a stride larger than the kernel, in strips": lambda *to: one(*to, 4, 9, 2, 2, stride=(2, 3),
                                                                  strip=2),
    "dilation": lambda *to: one(*to, 7, 7, 2, 3, kernel=(3, 2), dilation=(2, 3), padding=(1, 2)),
    "pixels outside of the map": lambda *to: one(*to, 3, 3, 2, 3, padding=(2, 3), after=(3, 2)),
    "pixels outside of the map, of many segments": lambda *to: one(
        *to, 2, 2, 1, 2, **padded(3) | {"padding": (4, 4), "after": (4, 4)}),
    "a map of zeros": zero_map,
    "rows of weights that are zero": zero_rows,
    "one channel": lambda *to: one(*to, 5, 5, 1, 1, **padded(2)),
    "channels that are no multiple of anything": lambda *to: one(*to, 3, 3, 7, 5, **padded(2)),
    "strips longer than a row": lambda config, *to: one(
        config, *to, 3, 2, 3, 2, **padded(2, strip=min(8, config.acc_depth))),
    "the most segments of a pixel": lambda *to: one(
        *to, N_SEGMENTS + 1, 1, 1, 2, kernel=(N_SEGMENTS, 1), padding=(3, 0), after=(3, 0)),
    "results that saturate": saturated,
    # Columns from −2048 on, the least number on the machines of up to 4 PEs.
    "kernels far outside of the map": lambda *to: one(
        *to, 2, 4, 8, 3, padding=(64, 256), after=(31, 124), stride=(32, 128)),
    "long tiles": long_tiles,
    "a source that fills the memory": full_memory,
    "pointers up to the last one": last_pointers,
    **{f"pixels of {rows} rows in each PE": lambda config, *to, rows=rows: one(
        config, *to, 2, 3, 2, rows * config.n_pe, kernel=(1, 2)) for rows in (1, 3, 4)},
    "pixels of all rows of a tile": lambda config, *to: one(
        config, *to, 2, 3, 2, config.acc_depth * config.n_pe, kernel=(1, 2)),
}


@pytest.mark.parametrize("case", CASES)
@machines
def test_extremes(config, case, verilator, simulators):
    """Inferences one after another, and two in flight."""
    for n_buffers, pause in ((1, 0), (1, 0.4), (2, 0), (2, 0.4)):
        program = CASES[case](config, np.random.default_rng(1), n_buffers)
        check(program, verilator_engine.run(
            program.build, program.inputs, cache=simulators, pause=pause,
            read_counters=n_buffers == 1, machines=1))


def pool(config, draw, *, zeros, local, n_buffers=1, codes=1, **geometry):
    """Program of the maximum under a kernel of 2 × 3, with stride 1, of each channel."""
    rng, n, (low, _) = np.random.default_rng(1), 2 * config.n_pe, limits(config.act_width)
    geometry = convolve(config, packed(config, 4, 5, n), n, kernel=(2, 3), **geometry)
    diagonal = np.eye(n, dtype=int)[..., np.newaxis, np.newaxis]
    return make_program(
        config, rng, [geometry], [n, n], inputs=draw(rng, (4, 4, 5, n), *limits(config.act_width)),
        n_buffers=n_buffers, codes=[diagonal * np.ones(geometry.kernel, int) * codes],
        finishes=[Finish(0, np.full(geometry.pitch, low), 0, 0, 0)], local=[local],
        reductions=[Reduction(1, zeros)])


#: Name -> how to draw maps with numbers from the lowest to the greatest one.
MAXIMA = {
    "negative numbers": lambda rng, shape, low, high: rng.integers(low, 0, shape),
    "negative numbers and zeros": lambda rng, shape, low, high: (
        rng.integers(low, 0, shape) * rng.integers(0, 2, shape)),
    "zeros": lambda rng, shape, low, high: np.zeros(shape, int),
    "equal numbers": lambda rng, shape, low, high: np.full(shape, -5),
    "neighbours": lambda rng, shape, low, high: rng.integers(-2, 3, shape),
    "lowest and greatest numbers": lambda rng, shape, low, high: rng.choice([low, high], shape),
    "lowest numbers": lambda rng, shape, low, high: np.full(shape, low),
}


@with_maxima
@pytest.mark.parametrize("draw", MAXIMA.values(), ids=MAXIMA)
@pytest.mark.parametrize("zeros", [0, 1])
@pytest.mark.parametrize("local", [0, 1])
def test_extremes_of_maxima(config, draw, zeros, local, verilator, simulators):
    """Some windows of the padded map have no element, and their maximum is the lowest number."""
    for padding in ((0, 0), (2, 3)):
        program = pool(config, draw, zeros=zeros, local=local, padding=padding, after=padding)
        if zeros and not any(padding):
            maps = program.inputs.reshape(4, 4, 5, -1)
            windows = np.lib.stride_tricks.sliding_window_view(maps, (2, 3), axis=(1, 2))
            assert program.expected.tolist() == windows.max(axis=(-2, -1)).reshape(4, -1).tolist()
        if any(padding):
            assert (program.expected[:, :2 * config.n_pe] == limits(config.act_width)[0]).all()
        check(program, verilator_engine.run(program.build, program.inputs, cache=simulators,
                                            machines=1))


@with_maxima
@pytest.mark.parametrize("local", [0, 1])
def test_a_row_without_entries_has_the_lowest_number_as_maximum(config, local, verilator,
                                                                simulators):
    n = 2 * config.n_pe
    codes = (np.arange(n) % 3 > 0)[:, np.newaxis, np.newaxis, np.newaxis]
    program = pool(config, MAXIMA["neighbours"], zeros=1, local=local, codes=codes)
    pixels = program.expected.reshape(4, -1, n)
    assert (pixels[..., ::3] == limits(config.act_width)[0]).all()
    assert (np.abs(pixels[..., 1::3]) <= 2).all()
    check(program, verilator_engine.run(program.build, program.inputs, cache=simulators,
                                        machines=1))


@machines
@pytest.mark.parametrize("n_buffers", [1, 2])
def test_results_are_not_overwritten_before_they_have_left(config, n_buffers, verilator,
                                                           simulators):
    """The host takes them more slowly than the next programs would write theirs."""
    program = one(config, np.random.default_rng(1), n_buffers, 3, 3, 1, 2 * config.n_pe)
    check(program, verilator_engine.run(
        program.build, program.inputs, cache=simulators, read_counters=n_buffers == 1, machines=1,
        pauses=Pauses(results=(300,))))


# Products of the other machines would need more columns.
@on(name for name, config in MACHINES.items() if config.n_pe <= 4)
def test_an_overflow_is_reported_with_the_number_of_its_loop(config, verilator, simulators):
    """The tiles of a loop count as one. In the second loop, only the middle one overflows."""
    low, high = 2, limits(config.act_width)[1]
    n = 8 * columns_of_a_pointer(config)    # channels, of which 8 are multiplied for a result
    first = convolve(config, packed(config, 5, 5, n), n, kernel=(3, 3))
    second = convolve(config, first.result, n, kernel=(3, 3), padding=(1, 1), after=(1, 1))
    assert first.output == second.output == (3, 3)
    maps = np.zeros((5, 5, 5, n), np.int64)
    maps[1], maps[2], maps[3, 0, 0], maps[4] = high, low, low, high
    program = make(
        config, np.random.default_rng(1), [first, second], [n, n, n], inputs=maps,
        codebooks=np.full((config.n_codebooks, 1 << config.v_width),
                          limits(config.codebook_width)[1]),
        codes=[np.ones((n, n, 3, 3), np.int64)] * 2,
        finishes=[Finish(0, np.zeros(n, np.int64), 0, 0, 0)] * 2)
    result = verilator_engine.run(program.build, program.inputs, cache=simulators, machines=1)
    check(program, result)
    assert [int(tile) if any_ else None for any_, tile
            in zip(result.overflow, result.overflow_tile)] == [None, 0, 1, None, 0]


@pytest.fixture(params=FAST)
def machine(request, verilator, simulators):
    library = make_library(MACHINES[request.param], simulators)
    with contextlib.closing(VerilatorBus(library)) as bus:
        yield Accelerator(bus, timeout=0.01)


def pair(config, n_buffers):
    """Program of two convolutions, with several rows, segments and pixels.

    With ``maximum``, the first one takes maxima and sends zeros.
    """
    source = convolve(config, packed(config, 4, 5, 2), 8, kernel=(3, 2), padding=(1, 1),
                      after=(1, 0))
    return make(
        config, np.random.default_rng(1),
        [source, convolve(config, source.result, 7, kernel=(2, 2), padding=(1, 0))], [2, 8, 7],
        n_images=3, n_buffers=n_buffers,
        reductions=[Reduction(1, 1), Reduction()] if config.maximum else None)


def expect_error(machine, program, code, number):
    """Run the program, which must fail, and clear its error."""
    with pytest.raises(MachineError) as error:
        machine.run(program.inputs, words=True, read_counters=False)
    assert (error.value.code, error.value.address) == (code, number)
    machine.clear()


def expect_results(machine, program, **options):
    """Run the program, which must give the right results."""
    check(program, machine.run(program.inputs, words=True, **options))


def dump(machine):
    """Read the activation SRAMs (n_pe, act_depth, n_beats)."""
    return np.array([machine.read(Memory.ACT, 0, machine.config.act_depth, pe=pe)
                     for pe in range(machine.config.n_pe)])


@pytest.mark.parametrize("case", CASES)
def test_loops_write_their_results_and_nothing_else(machine, case):
    program = CASES[case](machine.config, np.random.default_rng(2), 1)
    # The model sends all rows after the program, so that any tile could overwrite them.
    for number in range(len(program.geometries)):
        program = changed(program, number, lambda *fields: [("", "result_barrier", 1)])
    machine.load(program.build)
    expect_results(machine, program)

    model = HostModel(program.config)
    model.input_base, model.input_words = program.base, program.build.input_words
    for packet in (*memory_packets(program.config, program.images),
                   program.build.input_packets(program.inputs)[-1]):
        assert model.take(packet) is None
    model.run()
    assert dump(machine).tolist() == model.words[Memory.ACT].tolist()


@pytest.mark.parametrize("name, program_seed", [*zip(FAST, (118, 19))])
@pytest.mark.parametrize("seed", range(5))
def test_no_value_at_power_up_reaches_results_or_counters(name, program_seed, seed, verilator,
                                                          simulators):
    program = random_program(MACHINES[name], program_seed)
    runs = [verilator_engine.run(program.build, program.inputs, cache=simulators, seed=number,
                                 machines=1) for number in (100, seed)]
    for each in runs:
        check(program, each)
    assert runs[0].counters == runs[1].counters


#: Name -> function of a machine and fields of a descriptor that makes it invalid: the fields to
#: change.
INVALID = {
    "a map without columns": lambda config, start, end, loop: [("loop", "width", 0)],
    "segments without columns": lambda config, start, end, loop: [("loop", "length", 0)],
    "a segment longer than all columns": lambda config, start, end, loop: [
        ("loop", "length", loop["columns"] + columns_of_a_pointer(config))],
    "too many segments": lambda config, start, end, loop: [
        ("loop", "columns", N_SEGMENTS * loop["length"] + columns_of_a_pointer(config))],
    "pointers beyond the last one": lambda config, start, end, loop: [
        ("", "ptr_base", config.n_pointers - loop["columns"] // columns_of_a_pointer(config))],
    "a first pixel beyond the last slot": lambda config, start, end, loop: [
        ("loop", "last_slot", end["last_word"] * ACTS_PER_WORD + end["last_lane"] - 1)],
    "results beyond the memory": lambda config, start, end, loop: [
        ("loop", "last_slot", (config.act_depth - end["destination"]) * ACTS_PER_WORD)],
    "results in the source": lambda config, start, end, loop: [
        ("loop", "last_slot", (start["source"] - end["destination"]) * ACTS_PER_WORD)
        if end["destination"] < start["source"] else
        ("start", "last_word", end["destination"] - start["source"])],
    "a source beyond the memory": lambda config, start, end, loop: [
        ("start", "last_word", config.act_depth - start["source"])],
    "biases beyond the memory": lambda config, start, end, loop: [
        ("end", "bias", config.act_depth)],
    "no codebook": lambda config, start, end, loop: [("start", "codebook", config.n_codebooks)],
    "too large a shift": lambda config, start, end, loop: [
        ("end", "bias_shift", config.max_bias_shift + 1)],
}

#: Such functions for machines with products and tables.
INVALID_RESULTS = {
    "factors beyond the memory": lambda config, start, end, loop: [
        ("end", "multiply", 1), ("end", "factor", config.act_depth)],
    "the last factors beyond the memory": lambda config, start, end, loop: [
        ("end", "multiply", 1), ("end", "factor", config.act_depth - end["last_word"])],
    "no table": lambda config, start, end, loop: [("end", "table", len(Table))],
}

#: Such functions for local mode.
INVALID_LOCALLY = {
    f"{name} not of whole slots": lambda config, start, end, loop, name=name: [
        ("loop", name, loop[name] + 1)] for name in LOCAL_MULTIPLES}


@pytest.mark.parametrize("machine, kind", [
    *((name, kind) for name in FAST for kind in INVALID),
    *((name, kind) for name in FAST if MACHINES[name].local
      for kind in INVALID_LOCALLY | INVALID_RESULTS)],
    indirect=["machine"])
def test_an_invalid_loop_is_reported_and_writes_nothing(machine, kind):
    program = pair(machine.config, 1)
    for number, written in enumerate([slice(0, 0), slice(program.places[1], None)]):
        bad = changed(program, number, (INVALID | INVALID_LOCALLY | INVALID_RESULTS)[kind])
        assert bad.images["ccu.program"].tolist() != program.images["ccu.program"].tolist()
        machine.load(bad.build)
        machine.bus.send(bad.build.input_packets(program.inputs[:1])[0])
        machine.wait_until(lambda: machine.status()["idle"] or None, "Idle", every=POLL_INTERVAL)
        before = dump(machine)
        expect_error(machine, bad, Error.BAD_DESCRIPTOR, number)
        changes = np.argwhere((dump(machine) != before).any(axis=(0, 2))).ravel()
        assert set(changes) <= set(range(*written.indices(program.places[1] + 20)))
        assert bool(len(changes)) == bool(number)
        machine.load(program.build)
        expect_results(machine, program)


def load_and_time(machine, n_buffers):
    """Load two loops, and run them. Return the program and its cycles."""
    program = pair(machine.config, n_buffers)
    machine.load(program.build)
    expect_results(machine, program)
    return program, machine.counters()["cycles"]


@pytest.mark.parametrize("n_buffers", [1, 2])
def test_the_machine_works_after_the_time_limit_in_any_cycle_of_a_loop(machine, n_buffers):
    program, n_cycles = load_and_time(machine, n_buffers)
    rng = np.random.default_rng(1)
    for limit in rng.integers(5, n_cycles - 5, 20).tolist():
        machine.registers.write("WATCHDOG", value=limit)
        expect_error(machine, program, Error.TIMEOUT, 0)
        machine.registers.write("WATCHDOG", value=0)
        expect_results(machine, program, read_counters=bool(limit % 2))


@pytest.mark.parametrize("n_buffers", [1, 2])
def test_the_machine_works_after_a_soft_reset_in_any_cycle_of_a_loop(machine, n_buffers):
    program, n_cycles = load_and_time(machine, n_buffers)
    rng = np.random.default_rng(1)
    for n in rng.integers(n_cycles * n_buffers, size=10).tolist():
        for buffer in range(n_buffers):
            machine.bus.send(program.build.input_packets(program.inputs[:1], buffer=buffer)[0])
            machine.registers.write("START", buffer=buffer)
        machine.bus.wait((n + 1) * CLOCK_PERIOD)
        machine.reset()
        assert not dump(machine).any()
        machine.load(program.build)
        expect_results(machine, program, read_counters=bool(n % 2))


def test_an_invalid_loop_of_the_younger_of_two_programs_leaves_the_older_one_alone(machine):
    program = pair(machine.config, 2)
    n = len(program.images["ccu.program"])
    bad = changed(program, 1, INVALID["segments without columns"])
    build = dataclasses.replace(program, images=program.images | {"ccu.program": np.concatenate(
        [each.images["ccu.program"] for each in (program, bad)])}).build
    machine.load(build)
    for first in (0, 1):
        machine.expect(program.expected.shape[1])
        for buffer, descriptor in ((first, 0), (1 - first, n)):
            machine.bus.send(build.input_packets(program.inputs[:1], buffer=buffer)[0])
            machine.registers.write("START", buffer=buffer, descriptor=descriptor)
        with pytest.raises(MachineError) as error:
            machine.wait_until(lambda: None, "The error")
        assert (error.value.code, error.value.address) == (Error.BAD_DESCRIPTOR, n + 1)
        machine.registers.write("IRQ_STATUS", done=1, error=1)    # the bus would not wait
        machine.bus.wait(POLL_INTERVAL)
        assert machine.bus.receive().view(result_type(program.config)).tolist() == \
            program.expected[0, result_order(program.config, program.expected.shape[1])].tolist()
        machine.clear()
        expect_results(machine, program, read_counters=False)
