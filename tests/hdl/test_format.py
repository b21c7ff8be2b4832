"""Words: ranges of their fields, and the memories that hold them."""

import pytest
from amaranth.hdl import Shape, unsigned

from eie_hdl.config import EIEConfig
from eie_hdl.format import (
    BEAT_WIDTH,
    Kind,
    Layouts,
    Memory,
    image_file,
    last_element,
    n_beats,
    n_elements,
    n_result_beats,
    reads_factors,
)


def test_values_stay_in_place_from_message_to_operation(config):
    layouts = Layouts.of(config)
    bodies = {name: getattr(layouts, name).members["body"]
              for name in ("message", "column", "work", "operation")}
    for name, body in bodies.items():
        activation, end = body.members["activation"], body.members["end"]
        assert activation["value"].offset == 0, name
        assert end is layouts.end, name
    for name in ("message", "column", "work"):
        assert bodies[name].members["start"]["codebook"].offset == 0, name


def test_fields_hold_all_values_of_a_configuration(config):
    layouts = Layouts.of(config)

    def holds(shape, greatest):
        assert Shape.cast(shape).width == greatest.bit_length()

    holds(layouts.count, config.acc_depth)
    holds(layouts.ptr, config.n_entries - 1)
    holds(layouts.scan.members["column"], config.act_depth * 4 * config.n_pe - 1)
    holds(layouts.result.members["last_lane"], 4 - 1)
    holds(layouts.start.members["last_lane"], 4 - 1)
    holds(layouts.start.members["last_pe"], config.n_pe - 1)
    holds(layouts.activation.members["pointer"], config.n_pointers - 1)
    holds(layouts.descriptor.members["ptr_base"], config.n_pointers - 1)
    for name in ("source", "last_word"):
        holds(layouts.start.members[name], config.act_depth - 1)
    for name in ("destination", "bias"):
        holds(layouts.end.members[name], config.act_depth - 1)
    holds(layouts.start.members["codebook"], config.n_codebooks - 1)
    holds(layouts.end.members["last_word"], config.acc_depth // 4 - 1)
    holds(layouts.end.members["shift"], config.max_shift)
    holds(layouts.operand.members["row"], config.acc_depth - 1)
    holds(layouts.operand.members["code"], (config.n_codebooks << config.v_width) - 1)


def test_loads_reach_every_word_of_every_memory(config):
    layouts = Layouts.of(config)
    assert set(layouts.memories) == set(Memory) - {Memory.INPUT}    # a region of ACT
    for shape, depth in layouts.memories.values():
        assert 1 << layouts.load.members["address"].width >= depth
        assert layouts.load.members["data"] >= Shape.cast(shape).width
        assert 1 << layouts.load_header.members["address"] >= depth
        assert 1 << layouts.load_header.members["count"] > depth
    assert 1 << layouts.load_header.members["pe"] >= config.n_pe
    assert layouts.load_header.size == BEAT_WIDTH


def test_starts_and_reads_reach_every_word(config):
    layouts = Layouts.of(config)
    assert 1 << layouts.run.members["descriptor"] >= config.program_depth
    assert layouts.run.members["offset"] == layouts.start.members["source"]
    for _, depth in layouts.memories.values():
        assert 1 << layouts.read.members["address"].width >= depth
        assert 1 << layouts.read.members["count"] > depth
    assert 1 << layouts.read.members["pe"].width >= config.n_pe
    assert 1 << layouts.start.members["watched"].width >= config.n_pe


def test_loads_have_a_read_flag_only_with_readback(config):
    assert ("read" in Layouts.of(config).load.members) == config.readback


def test_a_descriptor_starts_a_tile_with_the_bits_that_are_broadcast(config):
    """Except for the watched PE and tiles to wait for, which the program does not select."""
    layouts = Layouts.of(config)
    start, sent = layouts.descriptor.members["start"], layouts.start
    assert [(name, field.offset) for name, field in start] \
        == [(name, field.offset) for name, field in sent if name not in ("watched", "unwritten")]
    assert sent["watched"].offset == start.size


def test_a_start_keeps_its_maximum_beside_its_codebook():
    """In all bodies along the path, so that none multiplexes it."""
    layouts, without = (Layouts.of(EIEConfig(loops=True, maximum=maximum))
                        for maximum in (True, False))
    starts = [getattr(layouts, name).members["body"].members["start"]
              for name in ("message", "column", "work")]
    starts.append(layouts.descriptor.members["start"])
    for start in starts:
        assert start["maximum"].offset == start["codebook"].width
    assert "zeros" in starts[0].members and "zeros" in starts[-1].members
    for name in ("start", "operation", "operand"):
        assert not {"maximum", "zeros"} & getattr(without, name).members.keys()


@pytest.mark.parametrize("name, fields", [
    ("products", {"factor", "multiply"}), ("tables", {"table"}), ("scales", {"factor", "scale"})])
def test_an_end_has_the_fields_of_results_only_with_their_parameter(name, fields):
    """In all bodies along the path, behind the others."""
    layouts, without = (Layouts.of(EIEConfig(loops=True, **{name: value}))
                        for value in (True, False))
    for end, other in [(layouts.end, without.end),
                       (layouts.descriptor.members["end"], without.descriptor.members["end"])]:
        assert end.members.keys() - other.members.keys() == fields
    assert layouts.end.size - without.end.size == (2 if name == "tables" else 10)
    for flag, parameter in (("multiply", "products"), ("scale", "scales")):
        assert (flag in layouts.operand.members) == (name == parameter)
        assert flag not in without.operand.members


def test_products_and_scales_share_the_row_of_factors():
    layouts = Layouts.of(EIEConfig(loops=True, products=True, scales=True))
    assert [*layouts.end.members][-5:-2] == ["factor", "multiply", "scale"]


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("scales", [False, True])
@pytest.mark.parametrize("multiply, scale", [(0, 0), (0, 1), (1, 0)])
def test_factors_are_read_for_products_and_scales(products, scales, multiply, scale):
    config = EIEConfig(loops=True, products=products, scales=scales)
    end = {"multiply": multiply, "scale": scale}
    assert reads_factors(config, end) == (products and multiply or scales and scale)


def test_the_quantiser_is_in_the_low_bits_of_a_weight():
    quantiser = Layouts.of(EIEConfig(loops=True, scales=True)).quantiser
    assert quantiser.const({"rounding": 7, "zero": -128}).as_bits() == 0x80 << 4 | 7


def test_every_instance_has_an_image(config):
    images = list(Layouts.of(config).images(config))
    assert len({name for name, *_ in images}) == len(images) == 1 + 5 * config.n_pe
    of_last = {name: (memory, image.depth) for name, memory, pe, image in images
               if pe == config.n_pe - 1}
    pe = f"pe_{config.n_pe - 1}"
    assert of_last == {
        f"{pe}.ptr_even": (Memory.PTR, config.ptr_depth),
        f"{pe}.ptr_odd": (Memory.PTR, config.ptr_depth),
        f"{pe}.spmat": (Memory.SPMAT, config.spmat_depth),
        f"{pe}.act": (Memory.ACT, config.act_depth),
        f"{pe}.codebook": (Memory.CODEBOOK, config.n_codebooks << config.v_width),
    }
    assert images[0][:3] == ("ccu.program", Memory.PROGRAM, None)
    assert images[0][3].depth == config.program_depth


def test_image_files_are_named_after_their_instance():
    assert image_file("pe_3.spmat") == "pe_3.spmat.hex"


@pytest.mark.parametrize("width, beats", [(1, 1), (64, 1), (65, 2), (128, 2), (256, 4)])
def test_words_take_as_many_beats_as_they_need(width, beats):
    assert n_beats(unsigned(width)) == beats


def test_the_last_element_of_a_vector_is_that_of_its_last_column(config):
    places = ((word, lane, pe) for word in range(3) for lane in range(4)
              for pe in range(config.n_pe))
    for n, place in enumerate(places, 1):
        fields = last_element(config, n)
        assert tuple(fields[name] for name in ("last_word", "last_lane", "last_pe")) == place
        assert n_elements(config, fields) == n


@pytest.mark.parametrize(("width", "beats"), [(8, [1, 1, 2, 3]), (16, [1, 2, 3, 5]),
                                              (24, [1, 4, 5, 9])])
def test_results_take_as_many_beats_as_they_need(width, beats):
    config = EIEConfig(act_width=width)
    assert [n_result_beats(config, n) for n in (1, 8, 9, 17)] == beats


def test_kinds_and_memories_have_the_numbers_that_the_host_sends():
    assert [kind.name for kind in sorted(Kind, key=lambda kind: kind.value)] == [
        "ACTIVATION", "START", "END", "LOCAL_END"]
    assert {memory.name: memory.value for memory in Memory} == {
        "SPMAT": 0, "PTR": 1, "ACT": 2, "CODEBOOK": 3, "PROGRAM": 4, "INPUT": 5}
