"""Golden model against a sequential interpreter of a few lines.

Programs that `eie_sim.golden.descriptors` must reject are here, too.
"""

import dataclasses

import numpy as np
import pytest
from amaranth.hdl import Shape

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import pack
from eie_sim.golden.model import GoldenModel
from eie_sim.golden.tile import GoldenError

SMALL = EIEConfig(n_pe=2, v_width=2, z_width=2, entries_per_word=2, act_width=16, codebook_width=8,
                  acc_width=32, acc_depth=8, spmat_depth=64, ptr_depth=64, act_depth=32,
                  n_codebooks=2, program_depth=8)

#: Flags of a descriptor that most programs of these tests do not use.
NO_FLAGS = dict.fromkeys(("offset_source", "offset_destination", "frees_input", "alone"), 0)


class Machine:
    """Program and memory images, built entry by entry.

    Vectors are in order of column number and fill whole rows of the activation SRAMs.
    """

    def __init__(self, config, *, activations=0, codebooks=0):
        self.config = config
        self.layouts = Layouts.of(config)
        self.entries = [[] for _ in range(config.n_pe)]
        self.pointers = [[] for _ in range(config.n_pe)]
        self.activations = np.zeros((config.n_pe, config.act_depth, 4), np.int64) + activations
        shape = config.n_pe, config.n_codebooks << config.v_width
        self.codebooks = np.zeros(shape, np.int64) + codebooks
        self.program = []

    def tile(self, codes, *, source, destination, **fields):
        """Add a tile; row and column of `codes` are column numbers of its result and source."""
        n_pe = self.config.n_pe
        ptr_base = len(self.pointers[0])
        for pe in range(n_pe):
            for column in codes[pe::n_pe].T.tolist():
                self.pointers[pe].append(len(self.entries[pe]))
                zeros = 0
                for code in column:
                    if code or zeros == self.config.max_run:
                        self.entries[pe].append((code, zeros))
                        zeros = 0
                    else:
                        zeros += 1
                # Padding at the end of a column is superfluous.
                while self.entries[pe] and len(self.entries[pe]) > self.pointers[pe][-1] and \
                        self.entries[pe][-1][0] == 0:
                    self.entries[pe].pop()
            self.pointers[pe].append(len(self.entries[pe]))
        defaults = {"codebook": 0, "bias": 0, "shift": 0, "bias_shift": 0, "relu": 0, "barrier": 1,
                    "result_barrier": 1, "final": 0, "valid": 1, **NO_FLAGS}
        assert fields.keys() <= defaults.keys()
        self.program.append({
            **defaults, **fields, "send": 0, "last": 0, "ptr_base": ptr_base, "source": source,
            "words": codes.shape[1] // n_pe // 4, "destination": destination,
            "results": codes.shape[0] // n_pe // 4})

    def output(self, source, words, *, final=1, missing=0):
        """Send whole rows of the activation SRAMs without the last `missing` elements."""
        self.program.append({
            "codebook": 0, "bias": 0, "shift": 0, "bias_shift": 0, "relu": 0, "barrier": 1,
            "result_barrier": 0, "final": final, "valid": 1, **NO_FLAGS, "send": 1, "ptr_base": 0,
            "source": source, "words": words, "last": words * 4 * self.config.n_pe - 1 - missing,
            "destination": 0, "results": 1})

    def images(self):
        config, layouts = self.config, self.layouts
        program = {name: np.array([step[name] for step in self.program])
                   for name in self.program[0]}
        images = {"ccu.program": pack(layouts.descriptor, {
            "start": {"source": program["source"], "last_word": program["words"] - 1,
                      "codebook": program["codebook"], "send": program["send"],
                      "last_lane": program["last"] // config.n_pe % 4,
                      "last_pe": program["last"] % config.n_pe},
            "end": {"destination": program["destination"], "bias": program["bias"],
                    "last_word": program["results"] - 1, "shift": program["shift"],
                    "bias_shift": program["bias_shift"], "relu": program["relu"]},
            **{name: program[name] for name in (
                "ptr_base", "barrier", "result_barrier", "final", "valid", *NO_FLAGS)}})}
        for pe in range(config.n_pe):
            lanes = config.entries_per_word
            entries = np.zeros((-(-len(self.entries[pe]) // lanes) * lanes, 2), np.int64)
            entries[:len(self.entries[pe])] = np.array(self.entries[pe]).reshape(-1, 2)
            entries = entries.reshape(-1, lanes, 2)
            pointers = np.array(self.pointers[pe], np.int64) % (1 << layouts.ptr.width)
            images |= {
                f"pe_{pe}.spmat": pack(layouts.spmat_word,
                                       {"v": entries[..., 0], "z": entries[..., 1]}),
                f"pe_{pe}.ptr_even": pack(layouts.ptr, pointers[0::2]),
                f"pe_{pe}.ptr_odd": pack(layouts.ptr, pointers[1::2]),
                f"pe_{pe}.act": pack(layouts.act_word, self.activations[pe]),
                f"pe_{pe}.codebook": pack(layouts.weight, self.codebooks[pe])}
        return images


def interpret(config, images, inputs, base=0):
    """Run a program on one input vector, one entry and one addition at a time."""
    layouts = Layouts.of(config)

    def word(name, address, shape):
        bits = sum(int(beat) << 64 * i for i, beat in enumerate(images[name][address]))
        if not isinstance(shape, Shape):
            return shape.from_bits(bits)
        return bits - (1 << shape.width) if shape.signed and bits >> shape.width - 1 else bits

    def pointer(pe, address):
        return word(f"pe_{pe}.ptr_{'odd' if address % 2 else 'even'}", address // 2, layouts.ptr)

    def wrapped(value):
        return (value + (1 << config.acc_width - 1)) % (1 << config.acc_width) \
            - (1 << config.acc_width - 1)

    act = [[word(f"pe_{pe}.act", row, layouts.act_word)[lane]
            for row in range(config.act_depth) for lane in range(4)] for pe in range(config.n_pe)]
    for column, value in enumerate(inputs):
        act[column % config.n_pe][base * 4 + column // config.n_pe] = int(value)
    outputs, counts, number = [], {"broadcasts": 0, "macs": 0, "paddings": 0}, 0
    while True:
        step = word("ccu.program", number, layouts.descriptor)
        start, end = step.start, step.end
        slots = range(4 * start.source, 4 * (start.source + start.last_word + 1))
        source = [act[pe][slot] for slot in slots for pe in range(config.n_pe)]
        if start.send:
            last = (start.last_word * 4 + start.last_lane) * config.n_pe + start.last_pe
            outputs.append(source[:last + 1])
        else:
            acc = [[0] * config.acc_depth for _ in range(config.n_pe)]
            for column, value in enumerate(source):
                if not value:
                    continue
                counts["broadcasts"] += 1
                for pe in range(config.n_pe):
                    entry = pointer(pe, step.ptr_base + column)
                    stop = pointer(pe, step.ptr_base + column + 1)
                    row = -1
                    while entry != stop:
                        lanes = word(f"pe_{pe}.spmat", entry // config.entries_per_word,
                                     layouts.spmat_word)
                        code, zeros = (lanes[entry % config.entries_per_word][x] for x in "vz")
                        row += zeros + 1
                        if code:
                            weight = word(f"pe_{pe}.codebook",
                                          (start.codebook << config.v_width) + code,
                                          layouts.weight)
                            acc[pe][row] = wrapped(acc[pe][row] + weight * value)
                        counts["macs" if code else "paddings"] += 1
                        entry = (entry + 1) % (1 << layouts.ptr.width)
            for pe in range(config.n_pe):
                for slot in range(4 * (end.last_word + 1)):
                    total = wrapped(acc[pe][slot] + (act[pe][4 * end.bias + slot]
                                                     << end.bias_shift))
                    result = (total + (1 << end.shift >> 1)) >> end.shift
                    if end.relu and result < 0:
                        result = 0
                    limit = 1 << config.act_width - 1
                    act[pe][4 * end.destination + slot] = min(max(result, -limit), limit - 1)
        if step.final:
            return outputs, counts
        number += 1


def random_machine(config, rng, first=0):
    """Program of three layers of one or two tiles, with every descriptor field in use.

    Its input begins in row `first`.
    """
    group = 4 * config.n_pe
    limit = 1 << config.act_width - 1
    weights = 1 << config.codebook_width - 1
    machine = Machine(
        config, activations=rng.integers(-limit, limit, (config.n_pe, config.act_depth, 4)),
        codebooks=rng.integers(-weights, weights,
                               (config.n_pe, config.n_codebooks << config.v_width)))
    words = rng.integers(1, 3)
    source = first
    for _ in range(3):
        destination = source + words
        n_words = [config.tile_words] * rng.integers(2) + [rng.integers(1, config.tile_words + 1)]
        for tile, results in enumerate(n_words):
            density = rng.choice([0.02, 0.3, 1])
            shape = results * group, words * group
            codes = rng.integers(1, 1 << config.v_width, shape) * (rng.random(shape) < density)
            machine.tile(codes, source=source, destination=destination + sum(n_words[:tile]),
                         bias=rng.integers(32, config.act_depth - results + 1),
                         shift=rng.integers(config.max_shift + 1), relu=rng.integers(2),
                         bias_shift=rng.integers(config.max_bias_shift + 1),
                         codebook=rng.integers(config.n_codebooks), barrier=int(tile == 0))
        source, words = destination, sum(n_words)
        machine.output(source, words, final=0)
    machine.program[-1]["final"] = 1
    return machine


CONFIGS = {
    "tiny": dataclasses.replace(PRESETS["tiny"], spmat_depth=4096, ptr_depth=512,
                                program_depth=9),
    "small": dataclasses.replace(SMALL, spmat_depth=500, ptr_depth=300, act_depth=50,
                                 program_depth=9),
    "one-pe": EIEConfig(n_pe=1, v_width=8, z_width=8, entries_per_word=1, acc_depth=4,
                        spmat_depth=512, act_depth=64, acc_width=60, act_width=24,
                        codebook_width=24),
    "short-runs": EIEConfig(n_pe=4, z_width=2, acc_depth=16, spmat_depth=2048, act_depth=64,
                            acc_width=32),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(4))
def test_results_and_counts_are_those_of_a_plain_interpreter(name, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng(seed)
    machine = random_machine(config, rng)
    images = machine.images()
    limit = 1 << config.act_width - 1
    n_columns = machine.program[0]["words"] * 4 * config.n_pe
    inputs = rng.integers(-limit, limit, (3, n_columns)) * (rng.random((3, n_columns)) < 0.6)
    outputs, statistics = GoldenModel(config, images).run_counted(inputs)
    for image, vector in enumerate(inputs):
        expected, counts = interpret(config, images, vector)
        assert len(outputs) == len(expected)
        for got, want in zip(outputs, expected):
            assert got[image].tolist() == want
        for name, count in counts.items():
            assert getattr(statistics, name)[image] == count
    assert (statistics.entries.sum(axis=1) == statistics.macs + statistics.paddings).all()
    assert statistics.macs.sum() > 0


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(3))
def test_sources_and_destinations_are_offset_where_the_program_says_so(name, seed):
    """The results are those of the same rows without an offset."""
    config, offset = CONFIGS[name], 3
    rng = np.random.default_rng(seed)
    machine = random_machine(config, rng, first=offset)
    inputs = rng.integers(-9, 9, (2, machine.program[0]["words"] * 4 * config.n_pe))
    expected = GoldenModel(config, machine.images()).run(inputs, base=offset)
    for number, step in enumerate(machine.program):
        for row in ("source", "destination"):
            if step[row] >= offset and (number == 0 or rng.random() < 0.6):
                step |= {row: step[row] - offset, f"offset_{row}": 1}
    outputs = GoldenModel(config, machine.images(), offset=offset).run(inputs, base=offset)
    for output, other in zip(outputs, expected, strict=True):
        assert output.tolist() == other.tolist()


def identity(config=SMALL, *, n_columns=8, weight=1, **fields):
    """Machine that multiplies its inputs by `weight` and outputs the results."""
    machine = Machine(config)
    machine.codebooks[:, 1] = weight
    machine.tile(np.eye(n_columns, dtype=np.int64), source=0, destination=8, bias=16, **fields)
    machine.output(8, n_columns // config.n_pe // 4)
    return machine


def run(machine, inputs, **changes):
    return GoldenModel(machine.config, machine.images() | changes).run(np.asarray(inputs))


def test_results_are_rounded_half_up_and_clipped_at_both_ends():
    inputs = np.array([[3, -3, 1, -1, 32767, -32768, 2, 0]])
    assert run(identity(shift=1), inputs)[0].tolist() == [[2, -1, 1, 0, 16384, -16384, 1, 0]]
    assert run(identity(weight=100), inputs)[0].tolist() == \
        [[300, -300, 100, -100, 32767, -32768, 200, 0]]
    assert run(identity(relu=1), inputs)[0].tolist() == [[3, 0, 1, 0, 32767, 0, 2, 0]]


def test_accumulators_wrap():
    config = EIEConfig(n_pe=1, acc_width=16, act_width=8, codebook_width=8, acc_depth=4)
    machine = Machine(config)
    machine.codebooks[:, 1] = 127
    codes = np.zeros((4, 4), np.int64)
    codes[0] = 1
    machine.tile(codes, source=0, destination=8, bias=16, shift=8)
    machine.output(8, 1)
    assert run(machine, [[127] * 4])[0][0, 0] == ((4 * 127 * 127 - 65536 + 128) >> 8)


def test_bias_is_shifted_and_added():
    machine = identity(bias_shift=3)
    machine.activations[:, 16] = np.arange(8).reshape(4, 2).T    # column number is slot * 2 + PE
    assert run(machine, [[1] * 8])[0].tolist() == [[1 + 8 * column for column in range(8)]]


def test_inputs_begin_at_the_base_row_and_are_padded_with_zeros():
    machine = Machine(SMALL, activations=7)
    machine.output(0, 3)
    (output,) = GoldenModel(SMALL, machine.images()).run(np.array([[1, 2, 3]]), base=1)
    assert output.tolist() == [[7] * 8 + [1, 2, 3, 0, 0, 0, 0, 0] + [7] * 8]


def test_a_batch_is_run_in_chunks(monkeypatch):
    machine, _ = full_machine()
    inputs = np.random.default_rng(3).integers(-99, 99, (7, 8))
    model = GoldenModel(FULL, machine.images())
    whole, whole_statistics = model.run_counted(inputs)
    monkeypatch.setattr("eie_sim.golden.model._CHUNK", 2 * FULL.n_pe * 13 * 4)
    parts, statistics = model.run_counted(inputs)
    for one, other in zip([*whole, *whole_statistics], [*parts, *statistics]):
        assert one.shape[0] == 7
        assert (one == other).all()


def test_an_empty_batch_has_outputs_of_the_right_shape():
    (output,) = run(identity(), np.zeros((0, 8), np.int64))
    assert output.shape == (0, 8)


def test_a_program_can_start_anywhere():
    machine = identity()
    images = machine.images()
    model = GoldenModel(SMALL, images, first=1)
    assert model.run(np.array([[5] * 8]))[0].tolist() == [[0] * 8]


#: Minimal, since the test flips so many of its bits.
FULL = dataclasses.replace(SMALL, act_depth=13)
#: Share of the bits of PE memories that a run flips.
SHARE = 0.25
#: Seed with which no activation is zero and no flip cancels out.
SEED = 0


def full_machine():
    """Machine of two layers and three tiles that outputs all activations, so any change shows."""
    rng = np.random.default_rng(SEED)
    machine = Machine(FULL, activations=rng.integers(1, 9, (2, 13, 4)),
                      codebooks=np.array([0, 3, -5, 7, 0, -2, 4, -6]) * np.ones((2, 1), np.int64))
    mask = [rng.random((16, 8)) < 0.5, rng.random((16, 8)) < 0.3, rng.random((8, 32)) < 0.2]
    for tile, used in enumerate(mask):
        codes = rng.integers(1, 4, used.shape) * used
        machine.tile(codes, source=(0, 0, 1)[tile], destination=(1, 3, 5)[tile], bias=8 + 2 * tile,
                     codebook=int(tile == 2), barrier=int(tile == 2), bias_shift=1 + tile,
                     relu=0)
    machine.output(0, 13)
    return machine, rng.permuted(np.arange(3, 11)[np.newaxis] * rng.choice([-1, 1], 8), axis=1)


def flips(machine):
    """Yield every bit of every image: image, word, bit, and whether it affects the outputs."""
    images = machine.images()
    layouts = machine.layouts
    shapes = {name: image.shape for name, _, _, image in layouts.images(FULL)}
    for name, words in images.items():
        shape = shapes[name]
        for address in range(len(words)):
            for bit in range(Shape.cast(shape).width):
                yield name, address, bit, matters(machine, name, address, bit)


def matters(machine, name, address, bit):
    kind = name.split(".")[1]
    if kind == "spmat":    # lanes after the last entry
        pe = int(name.split(".")[0].removeprefix("pe_"))
        lane = bit // FULL.entry_width
        return address * FULL.entries_per_word + lane < len(machine.entries[pe])
    if kind == "codebook":    # nothing reads entry 0
        return address % (1 << FULL.v_width) != 0
    if kind == "act":    # inputs and results overwrite the rows below
        return address >= 6
    if kind == "program":
        of_tiles = {"ptr_base", "start.codebook", "end.destination", "end.bias", "end.last_word",
                    "end.shift", "end.bias_shift", "end.relu", "result_barrier"}
        of_results = {"start.last_lane", "start.last_pe"}
        return field_of(machine.layouts.descriptor, bit) not in set(NO_FLAGS) | (
            of_tiles if address == 3 else of_results) | ({"barrier"} if address < 2 else set())
    return True


def field_of(layout, bit, prefix=""):
    for name, field in layout:
        if field.offset <= bit < field.offset + Shape.cast(field.shape).width:
            if hasattr(field.shape, "members"):
                return field_of(field.shape, bit - field.offset, f"{prefix}{name}.")
            return prefix + name
    raise AssertionError(f"no field has bit {bit}")


def test_flipped_bits_are_seen(request):
    machine, inputs = full_machine()
    images = machine.images()
    expected = GoldenModel(FULL, images).run(inputs)
    assert expected[0].all()
    seen = {"spmat": 0, "ptr_even": 0, "ptr_odd": 0, "act": 0, "codebook": 0, "program": 0}
    rng = np.random.default_rng(request.config.getoption("seed"))
    for name, address, bit, meaningful in flips(machine):
        # All bits of the program, but a sample of those of the PEs, which are alike.
        if name.startswith("pe_") and rng.random() > SHARE:
            continue
        flipped = images[name].copy()
        flipped[address, bit // 64] ^= np.uint64(1 << bit % 64)
        try:
            got = GoldenModel(FULL, images | {name: flipped}).run(inputs)
            same = len(got) == len(expected) and all(map(np.array_equal, got, expected))
        except GoldenError:
            same = False
        assert same != meaningful, f"{name}, word {address}, bit {bit}"
        seen[name.split(".")[1]] += meaningful
    assert min(seen.values()) > 10


def test_missing_barrier_is_rejected():
    machine = identity()
    machine.program[1]["barrier"] = 0
    with pytest.raises(GoldenError, match=r"^Descriptor 1: barrier must be set, as it scans rows "
                                          r"that descriptor 0 writes$"):
        run(machine, [[1] * 8])


def test_barrier_of_a_vector_does_not_replace_that_of_the_tile_after_it():
    machine = identity()
    tile = machine.program[0]
    machine.program[1]["final"] = 0
    machine.program += [{**tile, "source": tile["destination"], "destination": 0, "barrier": 0},
                        {**machine.program[1], "final": 1}]
    with pytest.raises(GoldenError, match=r"^Descriptor 2: barrier must be set, as it scans rows "
                                          r"that descriptor 0 writes$"):
        run(machine, [[1] * 8])


def test_result_that_may_be_overwritten_while_it_is_sent_is_rejected():
    machine = identity()
    machine.program[0]["result_barrier"] = 0
    with pytest.raises(GoldenError, match=r"^Descriptor 0: result_barrier must be set, as it "
                                          r"writes rows that descriptor 1 sends$"):
        run(machine, [[1] * 8])


def test_results_of_another_program_may_be_overwritten_as_it_has_ended():
    machine = identity()
    machine.program[0]["result_barrier"] = 0
    machine.program[1]["source"] = machine.program[0]["source"]
    machine.output(machine.program[0]["destination"], 1)
    run(machine, [[1] * 8])


def test_program_without_end_is_rejected():
    machine = identity()
    machine.program[1]["final"] = 0
    with pytest.raises(GoldenError, match=r"^Program must have a final descriptor from 0 on, but "
                                          r"none up to 1 is final$"):
        run(machine, [[1] * 8])


def test_word_that_is_no_descriptor_is_rejected():
    machine = identity()
    machine.program[1]["valid"] = 0
    with pytest.raises(GoldenError, match=r"^Descriptor 1: valid must be set, as in all "
                                          r"descriptors$"):
        run(machine, [[1] * 8])


@pytest.mark.parametrize("offset_source", [0, 1])
def test_only_a_source_with_the_flag_is_offset(offset_source):
    machine = identity(offset_source=offset_source)
    model = GoldenModel(SMALL, machine.images(), offset=1)
    inputs = np.arange(1, 9)[np.newaxis]
    assert model.run(inputs, base=offset_source)[0].tolist() == inputs.tolist()
    assert model.run(inputs, base=1 - offset_source)[0].tolist() != inputs.tolist()


def test_destination_that_its_offset_moves_past_the_end_is_rejected():
    machine = identity(offset_destination=1)
    last = SMALL.act_depth - 1
    GoldenModel(SMALL, machine.images(), offset=last - 8)
    with pytest.raises(GoldenError, match=(
            rf"^Descriptor 0: end\.destination must leave its 1 rows below act_depth = "
            rf"{SMALL.act_depth}, not begin at {last + 1}$")):
        GoldenModel(SMALL, machine.images(), offset=last - 7)


def test_destination_that_its_offset_moves_onto_the_biases_is_rejected():
    with pytest.raises(GoldenError, match=(
            r"^Descriptor 0: end\.destination must not overlap the biases, at 16, but is at 16$")):
        GoldenModel(SMALL, identity(offset_destination=1).images(), offset=8)


@pytest.mark.parametrize("source", [8, 12])
def test_result_that_a_program_of_either_buffer_sends_is_not_overwritten(source):
    """Of this buffer from row 8, of the other one from row 12."""
    machine = identity(result_barrier=0, offset_destination=1)
    machine.program[1] |= {"source": source + 1, "offset_source": 1}
    GoldenModel(SMALL, machine.images(), offset=4)
    machine.program[1]["source"] = source
    with pytest.raises(GoldenError, match=(
            r"^Descriptor 0: result_barrier must be set, as it writes rows that descriptor 1 "
            r"sends$")):
        GoldenModel(SMALL, machine.images(), offset=4)


def test_start_after_the_program_is_rejected():
    with pytest.raises(GoldenError, match=r"^Program must start at a descriptor from 0 to 1, "
                                          r"not 2$"):
        GoldenModel(SMALL, identity().images(), first=2)


@pytest.mark.parametrize("changes, message", [
    ({"source": 32 - 1, "words": 2}, r"Descriptor 0: start\.source must leave its 2 rows below "
                                     r"act_depth = 32, not begin at 31"),
    ({"destination": 31, "results": 2}, r"Descriptor 0: end\.destination must leave its 2 rows"),
    ({"bias": 31, "results": 2}, r"Descriptor 0: end\.bias must leave its 2 rows"),
    ({"bias": 8}, r"Descriptor 0: end\.destination must not overlap the biases, at 8, but is at "
                  r"8"),
    ({"bias_shift": 7}, r"Descriptor 0: end\.bias_shift must be at most 6, not 7"),
])
def test_descriptor_that_leaves_its_memory_is_rejected(changes, message):
    machine = identity()
    machine.program[0].update(changes)
    with pytest.raises(GoldenError, match=f"^{message}"):
        run(machine, [[1] * 8])


def test_column_without_pointers_is_rejected_only_if_it_is_broadcast():
    machine = identity()
    machine.pointers[1].pop()
    assert run(machine, [[5] * 7 + [0]])[0].tolist() == [[5] * 7 + [0]]
    with pytest.raises(GoldenError, match=(
            r"^Descriptor 0: PE 1 cannot walk column 7: its pointers, 7 and 7 \+ 1, are not in the "
            r"ptr images$")):
        run(machine, [[5] * 8])


def test_column_that_is_too_long_is_rejected():
    machine = identity()
    machine.pointers[0][3] = 20
    with pytest.raises(GoldenError, match=(
            r"PE 0 cannot walk column 2: its pointers span entries 1 to 20, 19 entries; a column "
            r"has at most acc_depth = 8$")):
        run(machine, [[5] * 8])


def test_entries_that_are_not_loaded_are_rejected():
    machine = identity()
    machine.pointers[0][-1] = 9
    with pytest.raises(GoldenError, match=(
            r"PE 0 cannot walk column 7: its entries, 4 to 9, are not all in the spmat image, "
            r"which has 4$")):
        run(machine, [[5] * 8])


def test_entry_after_the_last_row_is_rejected():
    machine = identity()
    machine.entries[1][-1] = (1, 3)
    machine.entries[1].append((1, 3))
    machine.pointers[1][-1] = 5
    with pytest.raises(GoldenError, match=(
            r"PE 1 cannot walk column 7: it has an entry for a row after 4 - 1, the last one that "
            r"the descriptor writes$")):
        run(machine, [[5] * 8])


def test_weight_that_is_not_loaded_is_rejected():
    machine = identity()
    short = machine.images()["pe_0.codebook"][:1]
    with pytest.raises(GoldenError, match=(
            r"PE 0 cannot walk column 0: it has a code whose weight is not in the codebook "
            r"image$")):
        run(machine, [[5] * 8], **{"pe_0.codebook": short})


@pytest.mark.parametrize("change, message", [
    (lambda images: images.pop("pe_1.act"), "^Image pe_1.act is missing$"),
    (lambda images: images.update({"pe_2.act": images["pe_1.act"]}),
     "^Image pe_2.act matches no memory of this machine$"),
    (lambda images: images.update({"pe_1.act": np.zeros((33, 1), np.uint64)}),
     r"^Image pe_1.act must be uint64 \(words, beats\) of at most 32 words, not uint64 of shape "
     r"\(33, 1\)$"),
])
def test_images_that_do_not_fit_are_rejected(change, message):
    images = identity().images()
    change(images)
    with pytest.raises(GoldenError, match=message):
        GoldenModel(SMALL, images)


@pytest.mark.parametrize("inputs, base, message", [
    (np.zeros(8, np.int64), 0, r"^Inputs must be integers, batch by columns, not int64 of shape"),
    (np.zeros((1, 8)), 0, r"^Inputs must be integers, batch by columns, not float64 of shape"),
    (np.full((1, 8), 32768), 0, r"^Inputs must be from -32768 to 32767, not from 32768 to 32768$"),
    (np.zeros((1, 9), np.int64), 31, r"^Inputs must fit rows 0 to 31 of the activation SRAMs, not "
                                     r"need rows 31 to 32$"),
])
def test_inputs_that_do_not_fit_are_rejected(inputs, base, message):
    with pytest.raises(GoldenError, match=message):
        GoldenModel(SMALL, identity().images()).run(inputs, base)
