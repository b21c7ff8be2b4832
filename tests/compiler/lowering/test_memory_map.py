import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_compiler.errors import CompileError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.memory_map import n_words, order_vectors, place_activations
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack

ROOMY = EIEConfig(n_pe=4, act_depth=1 << 12, ptr_depth=1 << 14, spmat_depth=1 << 12)


def network_of(sizes, seed=21, **options):
    return random_network(np.random.default_rng(seed), sizes, **options)


def program_of(build):
    return unpack(Layouts.of(build.config).descriptor, build.images["ccu.program"])


def chain(sizes):
    """Vectors that layers read if each reads the one before."""
    return [(at,) for at in range(len(sizes) - 1)]


def tighten(config, places):
    """A machine without room for these places."""
    return dataclasses.replace(config, act_depth=places.n_words - 1)


@settings(max_examples=100)
@given(sizes=st.lists(st.integers(1, 400), min_size=2, max_size=6), data=st.data())
def test_no_layer_overwrites_its_source_or_a_bias_or_a_result(sizes, data):
    """Nor does it touch the region of the other buffer, or the other input."""
    network = network_of(sizes, density=0.01)
    sent = data.draw(st.lists(st.booleans(), min_size=len(sizes) - 1, max_size=len(sizes) - 1))
    places = place_activations(ROOMY, network.layers, sent, sizes, chain(sizes))
    in_regions = data.draw(st.booleans())
    if not in_regions:
        places = place_activations(tighten(ROOMY, places), network.layers, sent, sizes,
                                   chain(sizes))
    assert places.in_regions == in_regions and places.input_stride
    vectors = [set(range(base, base + n_words(size, ROOMY.n_pe)))
               for base, size in zip(places.vectors, sizes)]
    biases = [set(range(base, base + n_words(size, ROOMY.n_pe)))
              for base, size in zip(places.biases, sizes[1:])]
    for source, destination in zip(vectors, vectors[1:]):
        assert not source & destination
    used = set.union(*vectors)
    others = {row + places.input_stride for row in (used if in_regions else vectors[0])}
    assert not set.union(*biases) & (used | others) and not used & others
    assert sum(map(len, biases)) == len(set.union(*biases))
    assert max(set.union(*biases, used, others)) < places.n_words
    kept = [() if is_sent else rows for rows, is_sent in zip(vectors[1:], sent)]
    largest = max(len(a) + len(b) for a, b in zip(kept, [*kept[1:], ()]))
    results = [rows for rows, is_sent in zip(vectors[1:], sent) if is_sent]
    computed = sum(map(len, results)) + largest
    assert places.n_words == sum(map(len, biases)) + (1 + in_regions) * computed \
        + 2 * len(vectors[0])
    for number, rows in enumerate(results):
        assert not rows & set.union(vectors[0], *kept, *results[:number])
    assert list(places.overwrites_result) == sent


def test_vectors_share_rows_with_others_if_they_must():
    """With those of the other buffer, then hidden vectors with results, at last with the input."""
    sizes = [8, 64, 64, 64]
    network = network_of(sizes, density=0.1)
    sent = [False, False, True]
    config, shapes = ROOMY, []
    for _ in range(4):
        places = place_activations(config, network.layers, sent, sizes, chain(sizes))
        shapes.append((places.in_regions, places.input_stride > 0, places.overwrites_result))
        config = tighten(config, places)
    assert shapes == [
        (True, True, (False, False, True)), (False, True, (False, False, True)),
        (False, True, (True, False, True)), (False, False, (True, False, True))]
    assert place_activations(config, network.layers, sent, sizes, chain(sizes)).n_words \
        == config.act_depth + 1


@pytest.mark.parametrize("spare", [0, -1])
def test_the_input_has_a_second_buffer_if_it_fits(spare):
    sizes = [64, 40, 64, 64]
    network = network_of(sizes, density=0.1)
    sent = [False, False, False]    # as if there is no room for results of their own
    in_regions = place_activations(ROOMY, network.layers, sent, sizes, chain(sizes))
    roomy = place_activations(tighten(ROOMY, in_regions), network.layers, sent, sizes, chain(sizes))
    config = dataclasses.replace(ROOMY, act_depth=roomy.n_words + spare)
    places = place_activations(config, network.layers, [False, False, True], sizes, chain(sizes))
    build = compile_network(network, config)
    assert build.input_words == 4
    assert build.input_buffers == (1 if spare else 2)
    assert build.input_stride == places.input_stride == (0 if spare else 4)
    program = program_of(build)
    assert program["offset_source"].tolist() == [1, 0, 0, 0]
    assert program["offset_destination"].tolist() == [0, 0, 0, 0]
    assert program["alone"].tolist() == [1, 0, 0, 0]
    buffers = range(places.vectors[0], places.vectors[0] + places.input_stride + 4)
    assert buffers.stop <= config.act_depth
    if not spare:
        # A program must not touch the other buffer.
        for base, size in zip(places.vectors[1:], [40, 64, 64]):
            assert not set(buffers) & set(range(base, base + n_words(size, config.n_pe)))


@pytest.mark.parametrize("outputs", ["last", "all"])
def test_programs_of_both_buffers_have_a_region_each_if_they_fit(outputs):
    network = network_of([64, 40, 64, 64], density=0.1)
    roomy = compile_network(network, ROOMY, outputs=outputs)
    for spare in (0, -1):
        depth = roomy.report["memory"]["act"]["words_used"] + spare
        build = compile_network(network, dataclasses.replace(ROOMY, act_depth=depth),
                                outputs=outputs)
        program = program_of(build)
        assert build.input_buffers == 2
        assert (build.input_stride > build.input_words) == (spare == 0)
        is_tile = program["start"]["send"] == 0
        assert (program["offset_source"] == 1).sum() == (1 if spare else len(is_tile))
        assert (program["offset_destination"] == (is_tile & (spare == 0))).all()
        assert program["alone"].tolist() == [-spare] + [0] * (len(is_tile) - 1)


def test_the_input_is_free_after_the_last_tile_that_reads_it():
    config = dataclasses.replace(ROOMY, acc_depth=8)
    program = program_of(compile_network(network_of([10, 70, 5]), config, outputs="all"))
    assert program["start"]["send"].tolist() == [0, 0, 0, 1, 0, 1]
    assert program["frees_input"].tolist() == [0, 0, 1, 0, 0, 0]


def test_a_single_input_buffer_is_not_freed_as_later_vectors_may_be_in_its_rows():
    network = network_of([64, 40, 64, 64], density=0.1)
    depth = compile_network(network, ROOMY).report["memory"]["act"]["words_used"]
    seen = set()
    for act_depth in range(8, depth + 1):
        try:
            build = compile_network(network, dataclasses.replace(ROOMY, act_depth=act_depth))
        except CompileError:
            continue
        seen.add(build.input_buffers)
        assert program_of(build)["frees_input"].sum() == (build.input_buffers == 2)
    assert seen == {1, 2}


@settings(max_examples=300)
@given(data=st.data())
def test_vectors_of_branches_share_no_rows_while_they_are_live(data):
    """A result is not between sources that are read together, either."""
    n_layers = data.draw(st.integers(1, 7))
    sizes = data.draw(st.lists(st.integers(1, 300), min_size=n_layers + 1, max_size=n_layers + 1))
    sources = [(0,)]
    for at in range(1, n_layers):
        sources.append(tuple(data.draw(st.lists(st.integers(0, at), min_size=1, max_size=2,
                                                unique=True))))
    order = order_vectors(ROOMY, sizes, sources)
    sources = [tuple(sorted(read, key=order.index)) for read in sources]
    layers = network_of(sizes, density=0.01).layers
    sent = [at == n_layers - 1 for at in range(n_layers)]
    places = place_activations(ROOMY, layers, sent, sizes, sources)
    config = data.draw(st.sampled_from([ROOMY, tighten(ROOMY, places)]))
    places = place_activations(config, layers, sent, sizes, sources)
    rows = [range(first, first + n_words(size, config.n_pe))
            for first, size in zip(places.vectors, sizes)]
    last = {number: max([number, *(at for at, read in enumerate(sources, 1) if number in read)])
            for number in range(len(sizes))}
    base = sum(n_words(size, config.n_pe) for size in sizes[1:])
    for number, each in enumerate(rows):
        assert base <= each.start and each.stop <= places.n_words
        for other in range(number):    # live from the layer that computes it to its last reader
            assert last[other] < number or not set(rows[other]) & set(each)
    for number, read in enumerate(sources, 1):
        assert [rows[one].start for one in read] == sorted(rows[one].start for one in read)
        assert not set(range(rows[read[0]].start, rows[read[-1]].stop)) & set(rows[number])
    if places.in_regions:
        assert places.n_words == places.input_stride + max(each.stop for each in rows)
    elif places.input_stride:    # the second input is in rows of its own
        second = {row + places.input_stride for row in rows[0]}
        assert not any(second & set(each) for each in rows)
    elif any(0 in read for read in sources[1:]):    # nor is the input overwritten
        assert not any(set(rows[0]) & set(each) for number, each in enumerate(rows[1:], 1)
                       if number <= last[0])
