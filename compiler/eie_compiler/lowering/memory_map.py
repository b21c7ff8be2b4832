"""Placement of biases and vectors in the activation SRAM."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from eie_hdl.config import ACTS_PER_WORD, EIEConfig

from ..network import Layer
from .row_mapping import n_slots

__all__ = ["ActMap", "count_bias_words", "count_region_words", "n_words", "place_activations",
           "vector_sizes", "widest_vectors"]


@dataclasses.dataclass(frozen=True)
class ActMap:
    """First rows of biases and vectors, the same in all PEs.

    Attributes
    ----------
    biases : :class:`tuple` of :class:`int`
        First row of the biases of each layer.
    vectors : :class:`tuple` of :class:`int`
        First row of the input, then of the results of each layer, for a program of buffer 0.
    input_stride : :class:`int`
        Rows from input buffer 0 to buffer 1; 0 if the SRAM has no room for the next input while a
        program runs.
    in_regions : :class:`bool`
        True if all vectors, not only the input, are this far apart for programs of buffers 0 and 1.
    overwrites_result : :class:`tuple` of :class:`bool`
        For each layer, true if its results share rows with results that go to the host.
    n_words : :class:`int`
        Rows from the first to the last that is used.
    """

    biases: tuple[int, ...]
    vectors: tuple[int, ...]
    input_stride: int
    in_regions: bool
    overwrites_result: tuple[bool, ...]
    n_words: int


def n_words(n_elements: int, n_pe: int) -> int:
    """Compute the rows of a vector in the activation SRAM of each PE."""
    return -(-n_slots(n_elements, n_pe) // ACTS_PER_WORD)


def vector_sizes(layers: Sequence[Layer]) -> list[int]:
    """List the elements of the input, and of the results of each layer."""
    return [layers[0].n_cols, *(layer.n_rows for layer in layers)]


def count_bias_words(config: EIEConfig, layers: Sequence[Layer]) -> int:
    """Compute the rows of the biases of all layers."""
    return sum(n_words(layer.n_rows, config.n_pe) for layer in layers)


def widest_vectors(config: EIEConfig, layers: Sequence[Layer], vectors: Sequence[int]
                   ) -> tuple[int, str]:
    """Compute the least rows that the vectors need; return them and the layer that needs them.

    Vectors are numbers of elements, as from :func:`vector_sizes`.
    """
    rows = [n_words(elements, config.n_pe) for elements in vectors]
    pairs = [source + results for source, results in zip(rows, rows[1:])]
    return max(pairs), layers[int(np.argmax(pairs))].name


def count_region_words(config: EIEConfig, vectors: Sequence[int], sent: Sequence[bool]) -> int:
    """Compute the rows of a region: the input and results, those that are `sent` apart.

    Vectors are numbers of elements, as from :func:`vector_sizes`.
    """
    n_input, *results = [n_words(elements, config.n_pe) for elements in vectors]
    return n_input + _set_apart(0, results, sent)[1]


def place_activations(config: EIEConfig, layers: Sequence[Layer], sent: Sequence[bool],
                      vectors: Sequence[int], *, first_bias: int = 0,
                      first_vector: int | None = None) -> ActMap:
    """Place the biases first, then the vectors from both ends of the space after them.

    A vector is live from the layer that computes it to the layer that reads it, so only successive
    vectors must not overlap. They alternate between the bottom and the top of a space as large as
    the largest successive pair, which is the minimum.

    If there is room, the input has two separate buffers at the top instead: one is filled while a
    program uses the other. If there is still room, results for the host are apart from all other
    vectors, so that the next program need not wait until they have been sent. If there is room for
    two such sets of vectors with one input each, the program of each buffer has a region of its
    own, so that two programs can run at a time.

    Parameters
    ----------
    sent : sequence of :class:`bool`
        For each layer, true if its results go to the host.
    vectors : sequence of :class:`int`
        Elements of the input, and of the results of each layer.
    first_bias : :class:`int`
        First row of the biases.
    first_vector : :class:`int`, optional
        First row of the vectors, after the biases of all programs of the load. Default: after the
        biases of this one.

    Returns
    -------
    :class:`ActMap`
        Placement, which exceeds the SRAM if this has fewer rows than the biases and
        :func:`widest_vectors` need.
    """
    biases, base = [], first_bias
    for layer in layers:
        biases.append(base)
        base += n_words(layer.n_rows, config.n_pe)
    base = base if first_vector is None else first_vector
    sizes = [n_words(count, config.n_pe) for count in vectors]
    n_input, results = sizes[0], sizes[1:]
    region = count_region_words(config, vectors, sent)

    def make_map(vectors: tuple[int, ...], top: int, *, input_stride: int = 0,
                 in_regions: bool = False) -> ActMap:
        return ActMap(tuple(biases), vectors, input_stride, in_regions,
                      _overlaps(vectors[1:], results, sent), top)

    apart = _set_apart(base, results, sent)
    vectors, top = apart
    if base + 2 * region <= config.act_depth:
        return make_map((top, *vectors), base + 2 * region, input_stride=region, in_regions=True)
    for vectors, top in (apart, _alternate(base, results)):
        if top + 2 * n_input <= config.act_depth:
            return make_map((top, *vectors), top + 2 * n_input, input_stride=n_input)

    vectors, top = _alternate(base, sizes)
    return make_map(vectors, top)


def _alternate(base: int, sizes: list[int]) -> tuple[tuple[int, ...], int]:
    """Place vectors, of which successive ones must not overlap; return first rows and the end."""
    top = base + max(a + b for a, b in zip(sizes, [*sizes[1:], 0]))
    return tuple(top - size if number % 2 else base for number, size in enumerate(sizes)), top


def _set_apart(base: int, sizes: list[int], sent: Sequence[bool]) -> tuple[tuple[int, ...], int]:
    """Place vectors as :func:`_alternate` does, but those that are `sent` in rows of their own."""
    kept = [0 if apart else size for size, apart in zip(sizes, sent)]
    vectors, top = _alternate(base, kept)
    places = []
    for first, size, apart in zip(vectors, sizes, sent):
        places.append(top if apart else first)
        top += size if apart else 0
    return tuple(places), top


def _overlaps(first: tuple[int, ...], sizes: list[int], sent: Sequence[bool]) -> tuple[bool, ...]:
    """Check for each vector whether it shares rows with one that is `sent`."""
    rows = [range(begin, begin + size) for begin, size in zip(first, sizes)]
    apart = [each for each, is_sent in zip(rows, sent) if is_sent]
    return tuple(any(max(each.start, other.start) < min(each.stop, other.stop) for other in apart)
                 for each in rows)
