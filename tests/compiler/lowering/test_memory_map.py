import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.memory_map import n_words, place_activations
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack

ROOMY = EIEConfig(n_pe=4, act_depth=1 << 12, ptr_depth=1 << 14, spmat_depth=1 << 12)


def network_of(sizes, seed=21, **options):
    return random_network(np.random.default_rng(seed), sizes, **options)


def program_of(build):
    return unpack(Layouts.of(build.config).descriptor, build.images["ccu.program"])


@settings(max_examples=100)
@given(sizes=st.lists(st.integers(1, 400), min_size=2, max_size=6), data=st.data())
def test_no_layer_overwrites_its_source_or_a_bias_or_a_result(sizes, data):
    config, network = ROOMY, network_of(sizes, density=0.01)
    sent = data.draw(st.lists(st.booleans(), min_size=len(sizes) - 1, max_size=len(sizes) - 1))
    places = place_activations(config, network, sent)
    vectors = [set(range(base, base + n_words(size, config.n_pe)))
               for base, size in zip(places.vectors, sizes)]
    biases = [set(range(base, base + n_words(size, config.n_pe)))
              for base, size in zip(places.biases, sizes[1:])]
    for source, destination in zip(vectors, vectors[1:]):
        assert not source & destination
    assert not set.union(*biases) & set.union(*vectors)
    assert sum(map(len, biases)) == len(set.union(*biases))
    assert max(set.union(*biases, *vectors)) < places.n_words
    kept = [() if is_sent else rows for rows, is_sent in zip(vectors[1:], sent)]
    largest = max(len(a) + len(b) for a, b in zip(kept, [*kept[1:], ()]))
    results = [rows for rows, is_sent in zip(vectors[1:], sent) if is_sent]
    assert places.n_words == sum(map(len, [*biases, *results])) + largest + 2 * len(vectors[0])
    for number, rows in enumerate(results):
        assert not rows & set.union(vectors[0], *kept, *results[:number])
    assert list(places.overwrites_result) == sent


def test_results_share_rows_with_other_vectors_if_they_must():
    network = network_of([8, 64, 64, 64], density=0.1)
    sent = [False, False, True]
    roomy = place_activations(ROOMY, network, sent)
    assert roomy.overwrites_result == (False, False, True)
    tight = place_activations(dataclasses.replace(ROOMY, act_depth=roomy.n_words - 1), network,
                              sent)
    assert tight.input_buffers == 2
    assert tight.vectors[1] == tight.vectors[3]
    assert tight.overwrites_result == (True, False, True)
    assert place_activations(dataclasses.replace(ROOMY, act_depth=tight.n_words - 1), network,
                             sent).input_buffers == 1


@pytest.mark.parametrize("spare", [0, -1])
def test_the_input_has_a_second_buffer_if_it_fits(spare):
    network = network_of([64, 40, 64, 64], density=0.1)
    sent = [False, False, False]    # as if there is no room for results of their own
    roomy = place_activations(ROOMY, network, sent)
    config = dataclasses.replace(ROOMY, act_depth=roomy.n_words + spare)
    places = place_activations(config, network, [False, False, True])
    build = compile_network(network, config)
    assert build.input_words == 4
    assert build.input_buffers == places.input_buffers == (1 if spare else 2)
    assert program_of(build)["input"].tolist() == [1, 0, 0, 0]
    buffers = range(places.vectors[0], places.vectors[0] + 4 * places.input_buffers)
    assert buffers.stop <= config.act_depth
    if places.input_buffers == 2:
        # A program must not touch the other buffer.
        for base, size in zip(places.vectors[1:], [40, 64, 64]):
            assert not set(buffers) & set(range(base, base + n_words(size, config.n_pe)))
