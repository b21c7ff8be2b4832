"""`eie_sim.golden.loops`: pseudocode and convolutions, one pixel at a time; local mode; maxima."""

import dataclasses
import types
from typing import NamedTuple

import numpy as np
import pytest
from amaranth.hdl import Shape
from numpy.typing import NDArray

from eie_compiler.graph.operations import Sigmoid, Tanh
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, Table, last_element, n_elements
from eie_hdl.numeric import relu, round_shift, saturate
from eie_sim.golden.model import GoldenModel
from eie_sim.golden.tile import GoldenError
from support.convolutions import (
    CONFIGS as CONFIGS_OF_CONVOLUTIONS,
    LOCAL_CONFIGS,
    random_program,
)
from support.loop_machine import LoopMachine
from support.random_loops import place_width, random_machine
from support.row_scales import exceeds_range, scale_row, split_entry

LOCAL = dataclasses.replace(PRESETS["tiny"], loops=True, local=True, spmat_depth=2048)
CONFIGS = {
    "tiny": dataclasses.replace(PRESETS["tiny"], loops=True, spmat_depth=2048),
    "one PE, no power of two": EIEConfig(
        n_pe=1, v_width=2, z_width=2, act_width=24, codebook_width=8, acc_width=40, acc_depth=8,
        act_depth=61, loops=True),
    "short runs": EIEConfig(n_pe=16, z_width=2, acc_depth=32, act_width=8, acc_width=26,
                            act_depth=64, loops=True),
    "local": LOCAL,
    "local, one PE": EIEConfig(n_pe=1, acc_depth=8, act_depth=61, loops=True, local=True),
    "local, short runs": EIEConfig(n_pe=16, z_width=2, acc_depth=32, act_width=8, acc_width=26,
                                   act_depth=64, loops=True, local=True),
    "maximum": dataclasses.replace(LOCAL, maximum=True),
    "maximum, 24 bits": EIEConfig(
        n_pe=2, v_width=2, z_width=2, act_width=24, codebook_width=8, acc_width=48, acc_depth=8,
        act_depth=61, mac_stages=5, loops=True, maximum=True),
    "products": dataclasses.replace(LOCAL, codebook_width=8, products=True),
    "tables": dataclasses.replace(LOCAL, tables=True),
    "products and tables, 24 bits": EIEConfig(
        n_pe=2, v_width=2, z_width=2, act_width=24, codebook_width=24, acc_width=50, acc_depth=8,
        act_depth=61, loops=True, maximum=True, products=True, tables=True),
    "scales": dataclasses.replace(LOCAL, act_width=9, codebook_width=12, acc_width=24, scales=True),
    "products, tables and scales": EIEConfig(
        n_pe=2, acc_depth=8, act_depth=61, loops=True, products=True, tables=True, scales=True),
    "scales, 24 bits": EIEConfig(
        n_pe=1, v_width=2, z_width=2, act_width=24, codebook_width=13, acc_width=60, acc_depth=8,
        act_depth=61, loops=True, scales=True),
}


def wrapped(value, width):
    return (value + (1 << width - 1)) % (1 << width) - (1 << width - 1)


def interpret(machine, codes, codebooks, activations):
    """Run the tile as the pseudocode does; return all activations, and what was counted."""
    config, step = machine.config, machine.program[0]
    loop, end, n_pe = types.SimpleNamespace(**step["loop"]), step["end"], machine.config.n_pe
    weights = codebooks[step["start"]["codebook"]][codes] * (codes != 0)
    takes_maximum, sends_zeros = (step["start"].get(name, 0) for name in ("maximum", "zeros"))
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
                    mask[column] = value != 0 or sends_zeros
                    if not mask[column]:
                        continue
                    for r in np.flatnonzero(codes[:, column]):
                        acc[r] = (max(acc[r], value + limit) if takes_maximum else
                                  acc[r] + int(weights[r, column]) * value)
            masks.append(mask)
            for r, total in enumerate(acc):
                bias = int(activations[end["bias"] * machine.group + r])
                weight = (int(activations[end["factor"] * machine.group + r])
                          if end.get("multiply") else 1 << end["bias_shift"])
                total = wrapped(total + bias * weight, config.acc_width)
                result = (total + (1 << end["shift"] >> 1)) >> end["shift"]
                result = max(result, 0) if end["relu"] else result
                word = min(max(result, -limit), limit - 1)
                if end.get("scale"):
                    quantiser = split_entry(config, int(codebooks[step["start"]["codebook"], 0]))
                    place = (end["factor"] + r // machine.group) * machine.group + r
                    scale = [int(activations[place + n]) for n in (0, machine.group)]
                    row = {"shift": end["shift"], "relu": end["relu"]}
                    word = scale_row(config, total, *scale, **row, **quantiser)
                    exceeds = (not quantiser["rounding"]
                               and exceeds_range(config, total, *scale, **row))
                else:
                    exceeds = not -limit <= result < limit
                found[first + slot * n_pe + r] = apply(end.get("table", 0), word, config.act_width)
                saturated += not end.get("table", 0) and exceeds
            slot += n_rows
            if slot + n_rows > loop.last_slot + 1:
                filled = slice(first + slot * n_pe, first + -(-slot // 4) * machine.group)
                found[filled] = 0
                return found, np.array(masks), saturated
            x = wrapped(x + loop.x_step, width)
        y = wrapped(y + loop.y_step, width)


def apply(table, word, width):
    """Apply the function of a table to an activation, as the operations of graphs define it."""
    if table == Table.NONE.value:
        return word
    operation = Tanh() if table == Table.TANH.value else Sigmoid()
    return int(operation.words(np.array([word]), fracs=[width - 5], frac=width - 2)[0])


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
        is_local = machine.program[0]["loop"].get("local", 0)
        assert statistics.broadcasts[image] == (0 if is_local else mask.sum())
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
    return GoldenModel(machine.config, machine.images()).run(np.array([inputs]))[0].tolist()


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


@pytest.mark.parametrize("name", CONFIGS_OF_CONVOLUTIONS | LOCAL_CONFIGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_convolutions_have_the_results_of_direct_computation(name, seed):
    program = random_program((CONFIGS_OF_CONVOLUTIONS | LOCAL_CONFIGS)[name], seed)
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


@pytest.fixture(scope="module", params=["4 PEs, runs of 3", "4 PEs, runs of 3, local"])
def program(request):
    """Program whose first convolution has several strips in a row, rows, segments, and padding."""
    if request.param in LOCAL_CONFIGS:
        # With maxima or tables, weights and most activations would not matter.
        return random_program(dataclasses.replace(LOCAL_CONFIGS[request.param], maximum=False,
                                                  products=False, tables=False), 203)
    return random_program(CONFIGS_OF_CONVOLUTIONS[request.param], 118)


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
    """Except those that only add columns after the last segment, or a strip at the end."""
    loop = Layouts.of(program.config).descriptor["loop"]
    unseen = [(name, bit) for name, field in loop.shape
              for bit in range(Shape.cast(field.shape).width)
              if not is_seen(program, "ccu.program", 0, loop.offset + field.offset + bit)]
    assert unseen == ([("columns", 2), ("columns", 4)] if program.local[0] else
                      [("columns", 0), ("last_slot", 0)])


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


#: Without padding, so that entries are weights.
DEPTHWISE_CONFIGS = {
    "1 PE": EIEConfig(n_pe=1, z_width=4, acc_depth=16, act_depth=800, loops=True, local=True),
    "4 PEs": EIEConfig(n_pe=4, z_width=4, acc_depth=16, act_depth=800, loops=True, local=True),
    "32 PEs": EIEConfig(n_pe=32, z_width=3, acc_depth=8, act_depth=800, loops=True, local=True),
}
DEPTHWISE_SHIFT = 6


class Depthwise(NamedTuple):
    """Depthwise convolution of a map at row 0, with its results after it."""

    machine: LoopMachine
    source: NDArray[np.int64]     # height, width, channels
    weights: NDArray[np.int64]    # kernel height, kernel width, channels
    bias: NDArray[np.int64]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    output: tuple[int, int]       # with surplus pixels

    def run(self, source):
        """Results (height, width, channels) by the golden model, and its counts."""
        model = GoldenModel(self.machine.config, self.machine.images())
        (outputs,), statistics = model.run_counted(source.reshape(1, -1))
        return outputs.reshape(*self.output, -1), statistics

    def compute(self):
        """Results, and products of each channel, pixel by pixel and channel by channel."""
        height, width, n_channels = self.source.shape
        results = np.zeros((*self.output, n_channels), np.int64)
        products = [0] * n_channels
        for row, pixel, channel in np.ndindex(results.shape):
            total = int(self.bias[channel])
            for tap_y, tap_x in np.ndindex(self.weights.shape[:2]):
                y = row * self.stride[0] + tap_y * self.dilation[0] - self.padding[0]
                x = pixel * self.stride[1] + tap_x * self.dilation[1] - self.padding[1]
                if 0 <= y < height and 0 <= x < width:
                    weight, value = self.weights[tap_y, tap_x, channel], self.source[y, x, channel]
                    total += int(weight * value)
                    products[channel] += int(weight != 0 and value != 0)
            results[row, pixel, channel] = total
        act_width = self.machine.config.act_width
        return saturate(relu(round_shift(results, DEPTHWISE_SHIFT)), act_width), products


def draw_depthwise(config, seed):
    """Draw a convolution in local mode, whose fields are written out by hand."""
    rng = np.random.default_rng(seed)
    n_channels = config.n_pe * int(rng.integers(1, 3))
    (height, width), kernel, output = rng.integers(1, [[7], [4], [5]], (3, 2)).tolist()
    stride, dilation = rng.integers(1, 3, (2, 2)).tolist()
    padding, strip = rng.integers(0, 3, 2).tolist(), int(rng.choice([1, 2, 4]))
    n_strips = -(-output[1] // strip)

    # Codes by tap and channel; a pixel of the strip is a block of rows.
    codes = rng.integers(1, 1 << config.v_width, (*kernel, n_channels))
    codes *= rng.random(codes.shape) < 0.8
    pixels = (strip - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1
    matrix = np.zeros((strip, n_channels, kernel[0], pixels, n_channels), np.int64)
    for number, tap_y, tap_x, channel in np.ndindex(strip, *codes.shape):
        place = number * stride[1] + tap_x * dilation[1]
        matrix[number, channel, tap_y, place, channel] = codes[tap_y, tap_x, channel]

    # No weight of the codebook is 0.
    codebooks = rng.integers(1, 50, (config.n_codebooks, 1 << config.v_width))
    codebooks *= rng.choice([-1, 1], codebooks.shape)
    machine = LoopMachine(config, codebooks)
    bias = rng.integers(-999, 999, n_channels)
    n_rows = -(-height * width * n_channels // machine.group)
    biases = config.act_depth - config.tile_words
    machine.activations[biases * machine.group:][:strip * n_channels] = np.tile(bias, strip)
    machine.tile(
        matrix.reshape(strip * n_channels, -1), barrier=1, result_barrier=1,
        start=last_element(config, height * width * n_channels),
        end={"destination": n_rows, "bias": biases, "shift": DEPTHWISE_SHIFT, "relu": 1},
        loop={"x": -padding[1] * n_channels, "x_step": strip * stride[1] * n_channels,
              "last_x": n_strips - 1, "y": -padding[0] * width * n_channels,
              "y_step": stride[0] * width * n_channels,
              "segment_step": dilation[0] * width * n_channels, "width": width * n_channels,
              "length": pixels * n_channels, "local": 1,
              "last_slot": output[0] * n_strips * strip * n_channels // config.n_pe - 1})
    output = output[0], n_strips * strip
    machine.send(n_rows, output[0] * output[1] * n_channels)
    source = rng.integers(-99, 99, (height, width, n_channels))
    source *= rng.random(source.shape) < 0.6
    weights = np.where(codes == 0, 0, codebooks[0, codes])
    return Depthwise(machine, source, weights, bias, stride, dilation, padding, output)


@pytest.mark.parametrize("name", DEPTHWISE_CONFIGS)
@pytest.mark.parametrize("seed", range(20))
def test_depthwise_convolution_is_computed(name, seed):
    case = draw_depthwise(DEPTHWISE_CONFIGS[name], seed)
    results, statistics = case.run(case.source)
    expected, products = case.compute()
    assert results.tolist() == expected.tolist()
    assert statistics.broadcasts.tolist() == statistics.paddings.tolist() == [0]
    assert statistics.macs.tolist() == [sum(products)]
    entries = np.reshape(products, (-1, DEPTHWISE_CONFIGS[name].n_pe)).sum(axis=0)
    assert statistics.entries.tolist() == [entries.tolist()]


def test_an_activation_changes_results_of_its_own_channel_only():
    case = draw_depthwise(DEPTHWISE_CONFIGS["4 PEs"], 57)
    case.machine.program[0]["end"]["relu"] = 0
    before, _ = case.run(case.source)
    n_changed = 0
    for place in np.ndindex(case.source.shape):
        source = case.source.copy()
        source[place] ^= 1 << 6
        after, _ = case.run(source)
        channels = set(np.nonzero(before != after)[2].tolist())
        assert channels <= {place[-1]}
        n_changed += len(channels)
    assert n_changed > 0.9 * case.source.size


def test_a_machine_with_local_mode_runs_other_loops_as_before():
    """Their numbers of columns need not be multiples of n_pe."""
    without = dataclasses.replace(LOCAL, local=False)
    for seed in range(5):
        machine, _ = random_machine(without, np.random.default_rng(seed))
        expected = GoldenModel(without, machine.images()).run_counted(np.zeros((1, 0), np.int64))
        machine.config = LOCAL
        found = GoldenModel(LOCAL, machine.images()).run_counted(np.zeros((1, 0), np.int64))
        for one, other in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
            assert one.tolist() == other.tolist()


@pytest.mark.parametrize("name", LOCAL_CONFIGS)
def test_only_other_tiles_of_a_program_count_as_broadcast(name):
    config = LOCAL_CONFIGS[name]
    n_mixed = 0
    for seed in range(20):
        program = random_program(config, seed)
        model = GoldenModel(config, program.images)
        _, statistics = model.run_counted(program.inputs, program.base)
        *tiles, _ = model.broadcasts(program.inputs, program.base)
        local = [*program.local] + [False] * (len(tiles) - len(program.local))
        counts = [mask.reshape(len(mask), -1).sum(axis=1)
                  for mask, is_local in zip(tiles, local) if not is_local]
        assert statistics.broadcasts.tolist() == sum(counts, np.zeros(2, np.int64)).tolist()
        n_mixed += 0 < sum(local) < len(local)
    assert n_mixed >= 3


def copies(**changes):
    """Machine of 4 PEs that copies a map of 8 channels, four pixels in a row, by weights of 1."""
    machine = LoopMachine(LOCAL, np.ones((LOCAL.n_codebooks, 1 << LOCAL.v_width), np.int64))
    machine.tile(
        np.eye(8, dtype=np.int64), result_barrier=1, start=last_element(LOCAL, 32),
        end={"destination": 4, "bias": 16},
        loop={"x_step": 8, "last_x": 3, "width": 32, "length": 8, "last_slot": 7, "local": 1})
    machine.send(4, 32)
    machine.program[0]["ptr_base"] = changes.pop("ptr_base", 0)
    machine.program[0]["loop"] |= changes
    return machine


def run_copies(machine, images=None):
    inputs = np.arange(1, 33)[np.newaxis]
    return GoldenModel(LOCAL, images or machine.images()).run(inputs)[0].tolist()


def test_pointers_are_those_of_slots():
    """A tile of two slots has three pointers in each PE, and here an entry for each slot."""
    assert run_copies(copies()) == [[*range(1, 33)]]
    images = copies().images()
    for pe in range(4):
        assert images[f"pe_{pe}.ptr_even"].tolist() == [[0], [2]]
        assert images[f"pe_{pe}.ptr_odd"].tolist() == [[1]]


@pytest.mark.parametrize("name, value", [
    ("x", -2), ("x_step", 1), ("y", 2), ("y_step", 2), ("segment_step", 6), ("width", 33),
    ("length", 6), ("columns", 10)])
def test_numbers_of_columns_must_be_multiples_of_n_pe(name, value):
    machine = copies(**{name: value})
    with pytest.raises(GoldenError, match=rf"^Descriptor 0: loop\.{name} must be a multiple of "
                                          rf"n_pe = 4 in local mode, not {value}$"):
        run_copies(machine)
    machine.program[0]["loop"]["local"] = 0
    GoldenModel(LOCAL, machine.images())


@pytest.mark.parametrize("changes, message", [
    ({"width": 0}, r"loop\.width must be at least 1, not 0"),
    ({"length": 0}, r"loop\.length must be from 1 to loop\.columns = 8, not 0"),
    ({"length": 12}, r"loop\.length must be from 1 to loop\.columns = 8, not 12"),
    ({"columns": 252, "length": 252, "ptr_base": 193},
     r"ptr_base must leave its 64 pointers below 256, not begin at 193"),
    ({"last_slot": 0}, r"loop\.last_slot must be at least 1, that of the first pixel, not 0"),
])
def test_checks_of_other_loops_hold(changes, message):
    with pytest.raises(GoldenError, match=f"^Descriptor 0: {message}$"):
        run_copies(copies(**changes))


def test_most_pointers_are_accepted():
    GoldenModel(LOCAL, copies(columns=252, length=252, ptr_base=192).images())


@pytest.mark.parametrize("extent", [{"last_pe": 1}, {"last_lane": 2, "last_pe": 0}])
def test_a_map_may_end_in_any_pe(extent):
    """A row of which the map has only a part is not scanned."""
    machine = copies()
    machine.program[0]["start"] |= extent
    assert run_copies(machine) == [[0] * 32]


def test_local_mode_is_ignored_where_a_vector_is_sent():
    machine = copies()
    machine.program[1]["loop"] = {"local": 1, "x": 1, "length": 3}
    assert run_copies(machine) == [[*range(1, 33)]]


def test_a_missing_pointer_matters_to_its_own_pe_only():
    """Column 6 is slot 1 of PE 2, with pointers 1 and 2."""
    machine = copies()
    images = machine.images()
    images["pe_2.ptr_even"] = images["pe_2.ptr_even"][:1]
    with pytest.raises(GoldenError, match=(
            r"^Descriptor 0: PE 2 cannot walk column 6: its pointers, 1 and 1 \+ 1, are not in the "
            r"ptr images$")):
        run_copies(machine, images)
    inputs = np.arange(1, 33)[np.newaxis] * (np.arange(32) % 8 != 6)
    assert GoldenModel(LOCAL, images).run(inputs)[0].tolist() == inputs.tolist()


def test_entries_of_a_column_are_explained_by_its_own_pe():
    machine = copies()
    images = machine.images()
    images["pe_3.ptr_odd"][0] = 60
    with pytest.raises(GoldenError, match=(
            r"^Descriptor 0: PE 3 cannot walk column 3: its pointers span entries 0 to 60, 60 "
            r"entries; a column has at most acc_depth = 16$")):
        run_copies(machine, images)


#: Numbers of a map of two rows, of which most are negative.
MIXED = (-5, 0, -7, -3, -128, -2, 0, 127)


def maxima(*, zeros, **changes):
    """Machine that takes the maximum of the windows of :func:`sums`."""
    machine = sums(**changes)
    machine.config = dataclasses.replace(SMALL, maximum=True)
    machine.program[0]["start"] |= {"maximum": 1, "zeros": zeros}
    machine.activations[16 * machine.group:18 * machine.group] = -128
    return machine


@pytest.mark.parametrize("zeros, expected", [
    (0, [[-5] * 4 + [-2] * 4 + [-2] * 4 + [127] * 4]),
    (1, [[-5] * 4 + [0] * 4 + [0] * 4 + [127] * 4])])
def test_a_maximum_is_that_of_a_window(zeros, expected):
    """Rows −5 0 −7 −3 and −128 −2 0 127; the column left of the map does not exist."""
    assert run(maxima(zeros=zeros), MIXED) == expected


@pytest.mark.parametrize("zeros", [0, 1])
def test_the_maximum_of_no_element_is_the_lowest_number(zeros):
    assert run(maxima(zeros=zeros, y=8), MIXED) == [[-128] * 16]
    machine = maxima(zeros=zeros, y=8)
    machine.program[0]["end"]["relu"] = 1
    assert run(machine, MIXED) == [[0] * 16]


def test_zeros_of_a_sum_are_only_counted():
    results, counts = [], []
    for zeros in (0, 1):
        machine = maxima(zeros=zeros)
        machine.program[0]["start"]["maximum"] = 0
        (outputs,), statistics = GoldenModel(machine.config, machine.images()).run_counted(
            np.array([MIXED]))
        results.append(outputs.tolist())
        counts.append((int(statistics.broadcasts[0]), int(statistics.macs[0])))
    assert results[0] == results[1]
    # 14 elements in the windows, two of them 0 in two windows each; four entries in each column.
    assert counts == [(10, 40), (14, 56)]


def test_weights_of_a_maximum_need_not_exist_and_do_not_matter():
    machine = maxima(zeros=1)
    expected = run(machine, MIXED)
    images = machine.images()
    for pe in range(SMALL.n_pe):
        images[f"pe_{pe}.codebook"] = images[f"pe_{pe}.codebook"][:0]
    assert GoldenModel(machine.config, images).run(np.array([MIXED]))[0].tolist() == expected
    machine.codebooks[:] = 0
    assert run(machine, MIXED) == expected


def test_many_maxima_are_found_in_parts(monkeypatch):
    expected = run(maxima(zeros=1), MIXED)
    monkeypatch.setattr("eie_sim.golden.tile._CHUNK", 1)
    assert run(maxima(zeros=1), MIXED) == expected


def test_maxima_are_ignored_where_a_vector_is_sent():
    machine = maxima(zeros=1)
    expected = run(machine, MIXED)
    machine.program[1]["start"] |= {"maximum": 1, "zeros": 1}
    assert run(machine, MIXED) == expected
