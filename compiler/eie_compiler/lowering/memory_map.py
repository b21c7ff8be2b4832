"""Placement of biases and vectors in the activation SRAM."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from eie_hdl.config import ACTS_PER_WORD, EIEConfig

from ..network import Layer
from .row_mapping import n_slots
from .scaled_layer import ScaledLayer

__all__ = ["ActMap", "Sources", "count_bias_words", "count_region_words", "n_words",
           "order_vectors", "place_activations", "vector_sizes", "widest_vectors"]


#: Vectors that each layer reads: 0 is the input, `i` the result of the `i`-th layer.
Sources = Sequence[Sequence[int]]

#: First rows of vectors, and the row after the last one.
Placed = tuple[tuple[int, ...], int]


@dataclasses.dataclass(frozen=True)
class ActMap:
    """First rows of biases and vectors, the same in all PEs.

    Attributes
    ----------
    biases : :class:`tuple` of :class:`int`
        First row of the biases of each layer, which scales of rows follow, if it has any.
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
    """Compute the rows of the biases of all layers, and of the scales of their rows."""
    return sum(_bias_words(config, layer) for layer in layers)


def _bias_words(config: EIEConfig, layer: Layer) -> int:
    """Compute the rows of the biases of a layer, and of the scales after them, if it has any.

    Scales take two rows for each row of biases: the fractions of factors, and shifts.
    """
    return n_words(layer.n_rows, config.n_pe) * (3 if isinstance(layer, ScaledLayer) else 1)


def widest_vectors(config: EIEConfig, layers: Sequence[Layer], vectors: Sequence[int],
                   sent: Sequence[bool], sources: Sources) -> tuple[int, str]:
    """Compute the least rows that the vectors need; return them and the layer that needs them.

    Parameters are those of :func:`place_activations`.
    """
    rows = _count_rows(config, vectors)
    pairs = [sum(rows[number] for number in read) + results
             for read, results in zip(sources, rows[1:])]
    return _place_alone(0, rows, sent, sources)[1], layers[int(np.argmax(pairs))].name


def count_region_words(config: EIEConfig, vectors: Sequence[int], sent: Sequence[bool],
                       sources: Sources) -> int:
    """Compute the rows of a region: the input and results, those that are `sent` apart.

    Parameters are those of :func:`place_activations`.
    """
    return _set_apart(0, _count_rows(config, vectors), sent, sources)[1]


def order_vectors(config: EIEConfig, vectors: Sequence[int], sources: Sources) -> list[int]:
    """List the vectors by their places, as far as layers read some of them together.

    Results of the last layer go to the host.
    """
    sent = [at == len(sources) - 1 for at in range(len(sources))]
    places, _ = _set_apart(0, _count_rows(config, vectors), sent, sources)
    return sorted(range(len(vectors)), key=lambda number: places[number])


def place_activations(config: EIEConfig, layers: Sequence[Layer], sent: Sequence[bool],
                      vectors: Sequence[int], sources: Sources, *, first_bias: int = 0,
                      first_vector: int | None = None) -> ActMap:
    """Place the biases first, then the vectors in the space after them.

    A vector is live from the layer that computes it to the last one that reads it. If each layer
    reads the vector before it alone, vectors alternate between the bottom and the top of a space
    as large as the largest successive pair, which is the minimum.

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
    sources : sequence of sequences of :class:`int`
        Vectors that each layer reads. Those that it reads together are in the order of
        :func:`order_vectors`, so that each of them comes after the one before.
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
        base += _bias_words(config, layer)
    base = base if first_vector is None else first_vector
    sizes = _count_rows(config, vectors)

    def make_map(placed: Placed, *, input_stride: int = 0, in_regions: bool = False) -> ActMap:
        first, top = placed
        top += input_stride
        return ActMap(tuple(biases), first, input_stride, in_regions,
                      _overlaps(first[1:], sizes[1:], sent), top)

    apart = _set_apart(base, sizes, sent, sources)
    if 2 * apart[1] - base <= config.act_depth:
        return make_map(apart, input_stride=apart[1] - base, in_regions=True)
    if not _joins_input(sources):    # it would not be at one distance from others
        for placed in (apart, _share(base, sizes, sent, sources)):
            if placed[1] + sizes[0] <= config.act_depth:
                return make_map(placed, input_stride=sizes[0])
    return make_map(_place_alone(base, sizes, sent, sources))


def _count_rows(config: EIEConfig, vectors: Sequence[int]) -> list[int]:
    """Compute the rows of vectors of these numbers of elements."""
    return [n_words(elements, config.n_pe) for elements in vectors]


def _place_alone(base: int, sizes: Sequence[int], sent: Sequence[bool], sources: Sources
                 ) -> Placed:
    """Place all vectors in the fewest rows; return first rows and the end."""
    if _is_chain(sources):
        return _alternate(base, sizes)
    placed = _set_apart(base, sizes, sent, sources)
    if _joins_input(sources):
        return placed
    # Results that are computed when the input has been read may overwrite it.
    last = max(at for at, read in enumerate(sources) if 0 in read)
    rows = list(zip(placed[0], sizes))[1:]
    ends = sorted({base, *(first + size for first, size in rows)})
    first_input = next(place for place in ends if not any(
        place < first + size and first < place + sizes[0] for first, size in rows[:last + 1]))
    return (first_input, *placed[0][1:]), max(first_input + sizes[0],
                                              *(first + size for first, size in rows))


def _share(base: int, sizes: Sequence[int], sent: Sequence[bool], sources: Sources) -> Placed:
    """Place results in the fewest rows, and the input after them."""
    if not _is_chain(sources):
        return _set_apart(base, sizes, sent, sources)
    places, top = _alternate(base, sizes[1:])
    return (top, *places), top + sizes[0]


def _is_chain(sources: Sources) -> bool:
    """True if each layer reads the result of the one before alone."""
    return all(tuple(read) == (at,) for at, read in enumerate(sources))


def _joins_input(sources: Sources) -> bool:
    """True if a layer reads the input together with a result."""
    return any(0 in read and len(read) > 1 for read in sources)


def _alternate(base: int, sizes: Sequence[int]) -> Placed:
    """Place vectors, of which successive ones must not overlap; return first rows and the end."""
    top = base + max(a + b for a, b in zip(sizes, [*sizes[1:], 0]))
    return tuple(top - size if number % 2 else base for number, size in enumerate(sizes)), top


def _set_apart(base: int, sizes: Sequence[int], sent: Sequence[bool], sources: Sources) -> Placed:
    """Place results in the fewest rows, then those that are `sent`, then the input.

    An input that is read together with results is before all of them instead.
    """
    is_first = _joins_input(sources)
    kept = [0 if apart else size for size, apart in zip(sizes[1:], sent)]
    first = base + sizes[0] * is_first
    vectors, top = _alternate(first, kept) if _is_chain(sources) else \
        min((placed for order in (
            sorted(range(len(kept)), key=lambda number: -kept[number]), range(len(kept)))
            if (placed := _fit(base, first, kept, sources, order))), key=lambda placed: placed[1])
    places = []
    for row, size, apart in zip(vectors, sizes[1:], sent):
        places.append(top if apart else row)
        top += size if apart else 0
    return ((base, *places), top) if is_first else ((top, *places), top + sizes[0])


def _fit(first_input: int, base: int, sizes: Sequence[int], sources: Sources,
         order: Iterable[int]) -> Placed | None:
    """Place results in an order, each in the lowest rows that are free while it is live.

    A layer reads from the first row of its sources to the last, and must write none of them: a
    result is not between sources that are read together. In the order of the layers, a place above
    all others is always possible; in another order there may be none.
    """
    last = [max([at, *(reader for reader, read in enumerate(sources) if at + 1 in read)])
            for at in range(len(sizes))]
    places: dict[int, int] = {}

    def is_free(at: int, place: int) -> bool:
        tried = places | {at: place}
        clashes = any(place < places[other] + sizes[other] and places[other] < place + sizes[at]
                      for other in places if at <= last[other] and other <= last[at])
        return not clashes and not any(
            _is_between(first_input, tried, sizes, read, result)
            for result, read in enumerate(sources) if len(read) > 1)

    for at in order:
        ends = sorted({base, *(place + sizes[other] for other, place in places.items())})
        found = next((place for place in ends if is_free(at, place)), None)
        if found is None:
            return None
        places[at] = found
    return tuple(places[at] for at in range(len(sizes))), \
        max(base, *(place + sizes[at] for at, place in places.items()))


def _is_between(first_input: int, places: Mapping[int, int], sizes: Sequence[int],
                read: Sequence[int], result: int) -> bool:
    """True if a result is within the rows from the first source to the end of the last.

    Places are those of results, the first of which is vector 1.
    """
    if not {result, *(number - 1 for number in read if number)} <= places.keys():
        return False    # not all are placed
    begin = min(places[number - 1] if number else first_input for number in read)
    end = max(places[number - 1] + sizes[number - 1] for number in read if number)
    return places[result] < end and begin < places[result] + sizes[result]


def _overlaps(first: Sequence[int], sizes: Sequence[int], sent: Sequence[bool]) -> tuple[bool, ...]:
    """Check for each vector whether it shares rows with one that is `sent`."""
    rows = [range(begin, begin + size) for begin, size in zip(first, sizes)]
    apart = [each for each, is_sent in zip(rows, sent) if is_sent]
    return tuple(any(max(each.start, other.start) < min(each.stop, other.stop) for other in apart)
                 for each in rows)
