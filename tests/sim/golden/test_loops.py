"""`eie_sim.golden.loops`: the pseudocode of the definition of loops, one pixel at a time."""

import dataclasses
import types

import numpy as np
import pytest
from amaranth.hdl import Shape

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, n_elements
from eie_sim.golden.model import GoldenModel
from eie_sim.golden.tile import GoldenError
from support.convolutions import CONFIGS as CONFIGS_OF_CONVOLUTIONS, random_program
from support.loop_machine import LoopMachine
from support.random_loops import place_width, random_machine

CONFIGS = {
    "tiny": dataclasses.replace(PRESETS["tiny"], loops=True, spmat_depth=2048),
    "one PE, no power of two": EIEConfig(
        n_pe=1, v_width=2, z_width=2, act_width=24, codebook_width=8, acc_width=40, acc_depth=8,
        act_depth=61, loops=True),
    "short runs": EIEConfig(n_pe=16, z_width=2, acc_depth=32, act_width=8, acc_width=26,
                            act_depth=64, loops=True),
}


def wrapped(value, width):
    return (value + (1 << width - 1)) % (1 << width) - (1 << width - 1)


def interpret(machine, codes, codebooks, activations):
    """Run the tile as the pseudocode does; return all activations, and what was counted."""
    config, step = machine.config, machine.program[0]
    loop, end, n_pe = types.SimpleNamespace(**step["loop"]), step["end"], machine.config.n_pe
    weights = codebooks[step["start"]["codebook"]][codes] * (codes != 0)
    n_rows, last = len(codes) // n_pe, n_elements(config, step["start"]) - 1
    width = place_width(config)
    first, limit = end["destination"] * machine.group, 1 << config.act_width - 1
    found, masks, saturated = activations.copy(), [], 0
    slot, y = 0, loop.y
    while True:
        x = loop.x
        for _ in range(loop.last_x + 1):
            mask = np.zeros(loop.columns, bool)
            acc = [0] * len(codes)
            for s in range(loop.columns // loop.length):
                row = wrapped(y + s * loop.segment_step, width)
                if not 0 <= row <= last + 1 - loop.width:
                    continue
                for c in range(max(x, 0), min(x + loop.length, loop.width)):
                    value, column = int(activations[row + c]), s * loop.length + c - x
                    mask[column] = value != 0
                    for r, weight in enumerate(weights[:, column].tolist()):
                        acc[r] += weight * value
            masks.append(mask)
            for r, total in enumerate(acc):
                bias = int(activations[end["bias"] * machine.group + r])
                total = wrapped(total + (bias << end["bias_shift"]), config.acc_width)
                result = (total + (1 << end["shift"] >> 1)) >> end["shift"]
                result = max(result, 0) if end["relu"] else result
                found[first + slot * n_pe + r] = min(max(result, -limit), limit - 1)
                saturated += not -limit <= result < limit
            slot += n_rows
            if slot + n_rows > loop.last_slot + 1:
                filled = slice(first + slot * n_pe, first + -(-slot // 4) * machine.group)
                found[filled] = 0
                return found, np.array(masks), saturated
            x = wrapped(x + loop.x_step, width)
        y = wrapped(y + loop.y_step, width)


def n_entries(config, codes):
    """Entries of each column and PE, with padding, by walking down the rows of the PE."""
    counts = np.zeros((codes.shape[1], config.n_pe), int)
    for column in range(codes.shape[1]):
        for pe in range(config.n_pe):
            previous = -1
            for row in np.flatnonzero(codes[pe::config.n_pe, column]):
                counts[column, pe] += (row - previous - 1) // (config.max_run + 1) + 1
                previous = row
    return counts


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(12))
def test_loops_do_what_their_pseudocode_does(name, seed):
    config, rng = CONFIGS[name], np.random.default_rng(seed)
    machine, codes = random_machine(config, rng)
    limit = 1 << config.act_width - 1
    n_source = machine.program[0]["end"]["destination"] * machine.group
    inputs = rng.integers(-limit, limit, (2, n_source)) * (rng.random((2, n_source)) < 0.6)
    model = GoldenModel(config, machine.images())
    (outputs,), statistics = model.run_counted(inputs)
    masks, whole = model.broadcasts(inputs)
    entries = n_entries(config, codes)
    for image, vector in enumerate(inputs):
        activations = machine.activations.copy()
        activations[:n_source] = vector
        found, mask, saturated = interpret(machine, codes, machine.codebooks, activations)
        assert outputs[image].tolist() == found.tolist()
        assert masks[image].tolist() == mask.tolist()
        assert (whole[image] == (found != 0)).all()
        assert statistics.broadcasts[image] == mask.sum()
        assert statistics.macs[image] == (mask @ (codes != 0).sum(axis=0)).sum()
        assert statistics.entries[image].tolist() == (mask @ entries).sum(axis=0).tolist()
        assert statistics.saturated[image].tolist() == [saturated]
    assert (statistics.entries.sum(axis=1) == statistics.macs + statistics.paddings).all()


SMALL = dataclasses.replace(CONFIGS["tiny"], n_pe=2, acc_depth=8)
ONE_TO_EIGHT = (1, 2, 3, 4, 5, 6, 7, 8)


def sums(*, n_columns=4, n_rows=2, **changes):
    """Machine that adds up windows of a map of four columns, two rows of it, in each PE."""
    machine = LoopMachine(SMALL, np.ones((SMALL.n_codebooks, 1 << SMALL.v_width), np.int64))
    machine.tile(
        np.ones((n_rows * SMALL.n_pe, n_columns), np.int64), result_barrier=1,
        start={"last_word": 0, "last_lane": 3, "last_pe": 1},
        end={"destination": 4, "bias": 16},
        loop={"x": -1, "x_step": 1, "last_x": 3, "y": 0, "y_step": 4, "segment_step": 4, "width": 4,
              "length": 2, "last_slot": 4 * n_rows - 1, **changes})
    machine.send(4, 2 * machine.group)
    return machine


def run(machine, inputs=ONE_TO_EIGHT):
    return GoldenModel(SMALL, machine.images()).run(np.array([inputs]))[0].tolist()


def test_a_window_ends_at_the_borders_of_a_map():
    """Rows 1 2 3 4 and 5 6 7 8; windows of two columns in two rows, from one left of the map."""
    assert run(sums()) == [[6] * 4 + [14] * 4 + [18] * 4 + [22] * 4]
    assert run(sums(y=4)) == [[5] * 4 + [11] * 4 + [13] * 4 + [15] * 4]
    assert run(sums(y=-4)) == [[1] * 4 + [3] * 4 + [5] * 4 + [7] * 4]
    assert run(sums(y=8)) == [[0] * 16]


def test_the_last_word_is_filled_with_zeros_and_no_word_after_it():
    machine = sums(n_rows=3, last_slot=5)
    machine.activations[machine.group * 5:machine.group * 7] = 9
    machine.program[1]["start"]["last_word"] = 2
    assert run(machine) == [[6] * 6 + [14] * 6 + [0] * 4 + [9] * 8]


def test_slots_in_which_no_pixel_fits_are_left_alone():
    machine = sums(n_rows=3, last_slot=7)
    machine.activations[machine.group * 5:machine.group * 7] = 9
    assert run(machine) == [[6] * 6 + [14] * 6 + [0] * 4]
    assert run(sums(n_rows=3, last_slot=8)) == [[6] * 6 + [14] * 6 + [18] * 4]


def test_a_large_loop_is_run_in_parts(monkeypatch):
    config, rng = CONFIGS["tiny"], np.random.default_rng(5)
    machine, _ = random_machine(config, rng)
    n_source = machine.program[0]["end"]["destination"] * machine.group
    inputs = rng.integers(-99, 99, (3, n_source))
    model = GoldenModel(config, machine.images())
    (whole,), statistics = model.run_counted(inputs)
    masks = model.broadcasts(inputs)[0]
    assert masks.shape[1] > 4
    monkeypatch.setattr("eie_sim.golden.model._CHUNK", 2 * masks.shape[2] * 3)
    (parts,), parted = model.run_counted(inputs)
    assert (parts == whole).all()
    for one, other in zip(statistics, parted, strict=True):
        assert (one == other).all()
    assert (model.broadcasts(inputs)[0] == masks).all()


def test_an_empty_batch_has_masks_of_the_right_shape():
    model = GoldenModel(SMALL, sums().images())
    none = np.zeros((0, 8), np.int64)
    assert model.run(none)[0].shape == (0, 16)
    assert model.broadcasts(none)[0].shape == (0, 4, 4)


@pytest.mark.parametrize("changes, message", [
    ({"width": 0}, r"loop\.width must be at least 1, not 0"),
    ({"length": 0}, r"loop\.length must be from 1 to loop\.columns = 4, not 0"),
    ({"length": 5}, r"loop\.length must be from 1 to loop\.columns = 4, not 5"),
    ({"columns": 33}, r"loop\.length must be from 3 to loop\.columns = 33, not 2"),
    ({"columns": 0}, r"loop\.length must be from 1 to loop\.columns = 0, not 2"),
    ({"length": 128, "columns": 255, "ptr_base": 1}, r"ptr_base must leave its 256 pointers below "
                                                     r"256, not begin at 1"),
    ({"last_slot": 0}, r"loop\.last_slot must be at least 1, that of the first pixel, not 0"),
    ({"last_slot": 240}, r"end\.destination must leave its 61 rows below act_depth = 64, not begin "
                         r"at 4"),
    ({"last_slot": 48}, r"end\.destination must not overlap the biases, at 16, but is at 4"),
])
def test_invalid_loop_is_rejected(changes, message):
    machine, loop = sums(), dict(changes)
    machine.program[0]["ptr_base"] = loop.pop("ptr_base", 0)
    machine.program[0]["loop"] |= loop
    with pytest.raises(GoldenError, match=f"^Descriptor 0: {message}$"):
        run(machine)


def test_most_pointers_and_segments_are_accepted():
    for changes in ({"length": 2, "columns": 32}, {"length": 255, "columns": 255}):
        machine = sums()
        machine.program[0]["loop"] |= changes
        GoldenModel(SMALL, machine.images())


def test_destination_of_all_pixels_must_not_overlap_the_source():
    machine = sums(last_slot=3)
    machine.program[0] |= {"start": {"source": 5, "last_word": 0, "last_lane": 3, "last_pe": 1}}
    GoldenModel(SMALL, machine.images())
    machine.program[0]["loop"]["last_slot"] = 4
    with pytest.raises(GoldenError, match=(
            r"^Descriptor 0: end\.destination must not overlap its source, at 5, but is at 4$")):
        run(machine)


def test_entry_after_the_last_lane_is_rejected_if_it_is_broadcast():
    machine = sums()
    machine.program[0]["end"]["last_lane"] = 0
    with pytest.raises(GoldenError, match=(
            r"^Descriptor 0: PE 0 cannot walk column 0: it has an entry for a row after 1 - 1, the "
            r"last one that the descriptor writes$")):
        run(machine)
    assert run(machine, [0] * 8) == [[0] * 16]


@pytest.mark.parametrize("barrier", [0, 1])
def test_rows_of_any_pixel_may_be_scanned_only_after_a_barrier(barrier):
    machine = sums()
    first, send = machine.program
    second = {**first, "start": {**first["start"], "source": 5},
              "end": {**first["end"], "destination": 8}, "barrier": barrier}
    machine.program[:] = [first, second, send]
    first["loop"] = {**first["loop"], "last_slot": 7}
    if barrier:
        GoldenModel(SMALL, machine.images())
        return
    with pytest.raises(GoldenError, match=r"^Descriptor 1: barrier must be set, as it scans rows "
                                          r"that descriptor 0 writes$"):
        run(machine)


def test_rows_of_any_pixel_that_are_sent_need_a_result_barrier():
    machine = sums()
    machine.program[0]["result_barrier"] = 0
    machine.program[1]["start"]["source"] = 5
    with pytest.raises(GoldenError, match=r"^Descriptor 0: result_barrier must be set, as it "
                                          r"writes rows that descriptor 1 sends$"):
        run(machine)


SEEDS = range(40)


@pytest.mark.parametrize("name", CONFIGS_OF_CONVOLUTIONS)
@pytest.mark.parametrize("seed", SEEDS)
def test_convolutions_have_the_results_of_direct_computation(name, seed):
    program = random_program(CONFIGS_OF_CONVOLUTIONS[name], seed)
    (outputs,) = GoldenModel(program.config, program.images).run(program.inputs, program.base)
    assert outputs.tolist() == program.expected.tolist()


@pytest.mark.parametrize("name", CONFIGS_OF_CONVOLUTIONS)
def test_convolutions_are_of_all_kinds(name):
    config = CONFIGS_OF_CONVOLUTIONS[name]
    programs = [random_program(config, seed) for seed in SEEDS]
    geometries = [geometry for program in programs for geometry in program.geometries]
    for kind, least in [
            (lambda each: each.kernel[0] > each.source.height, 5),
            (lambda each: each.kernel[1] > each.source.width, 5),
            (lambda each: each.stride[1] > each.kernel[1], 5),
            (lambda each: each.kernel[1] > each.stride[1] and each.strip > 1, 5),
            (lambda each: each.dilation[1] > 1 and each.kernel[1] > 1, 5),
            (lambda each: min(each.padding) > 0, 5),
            (lambda each: each.result.row_pixels > each.result.width, 5),
            (lambda each: each.result.row_pixels > each.strip and each.output[0] > 1, 5),
            (lambda each: each.source.height == each.source.width == 1, 1),
            *((lambda each, strip=strip: each.strip == strip, 5) for strip in (1, 2, 4))]:
        assert sum(map(kind, geometries)) >= least
    steps = [len(GoldenModel(config, program.images).broadcasts(program.inputs, program.base))
             - len(program.geometries) for program in programs]
    assert {steps.count(n) >= 5 for n in (1, 2, 3)} == {True}    # no, one and two dense tiles
    assert sum(program.expected.any() for program in programs) > 30


def test_runs_of_zeros_are_padded_in_some_convolutions():
    for name, config in CONFIGS_OF_CONVOLUTIONS.items():
        paddings = 0
        for program in (random_program(config, seed) for seed in SEEDS):
            _, statistics = GoldenModel(config, program.images).run_counted(program.inputs,
                                                                            program.base)
            paddings += statistics.paddings.sum()
        assert (paddings > 0) == (config.max_run + 1 < config.acc_depth), name


def test_a_seed_always_makes_the_same_program():
    for config in CONFIGS_OF_CONVOLUTIONS.values():
        one, other = (random_program(config, 3) for _ in range(2))
        assert (one.inputs == other.inputs).all() and (one.expected == other.expected).all()
        assert all((one.images[name] == other.images[name]).all() for name in one.images)
    assert one.inputs.tolist() != random_program(config, 4).inputs.tolist()


@pytest.fixture(scope="module")
def program():
    """Program whose first convolution has several strips in a row, rows, segments, and padding."""
    return random_program(CONFIGS_OF_CONVOLUTIONS["4 PEs, runs of 3"], 118)


def is_seen(program, name, address, bit):
    """Flip a bit of an image; return whether the program is rejected or sends something else."""
    flipped = program.images[name].copy()
    flipped[address, bit // 64] ^= np.uint64(1 << bit % 64)
    try:
        (outputs,) = GoldenModel(program.config, program.images | {name: flipped}).run(
            program.inputs, program.base)
    except GoldenError:
        return True
    return outputs.tolist() != program.expected.tolist()


def test_each_bit_of_a_loop_matters(program):
    """Except those that change the columns after the last segment, and add a strip at the end."""
    loop = Layouts.of(program.config).descriptor["loop"]
    unseen = [(name, bit) for name, field in loop.shape
              for bit in range(Shape.cast(field.shape).width)
              if not is_seen(program, "ccu.program", 0, loop.offset + field.offset + bit)]
    assert unseen == [("columns", 0), ("last_slot", 0)]


@pytest.mark.parametrize("field", ["last_word", "last_lane"])
def test_each_bit_of_the_rows_of_a_pixel_matters(program, field):
    end = Layouts.of(program.config).descriptor["end"]
    place = end.shape[field]
    assert all(is_seen(program, "ccu.program", 0, end.offset + place.offset + bit)
               for bit in range(Shape.cast(place.shape).width))


@pytest.mark.parametrize("name, address", [
    ("pe_0.spmat", 0), ("pe_3.ptr_even", 5), ("pe_1.ptr_odd", 5)])
def test_flipped_bits_of_entries_and_pointers_are_seen(program, name, address):
    shape = {instance: image.shape
             for instance, *_, image in Layouts.of(program.config).images(program.config)}[name]
    assert [is_seen(program, name, address, bit)
            for bit in range(Shape.cast(shape).width)].count(False) <= 1
