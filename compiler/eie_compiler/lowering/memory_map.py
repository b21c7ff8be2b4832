"""Placement of biases and vectors in the activation SRAM."""

import dataclasses

from eie_hdl.config import ACTS_PER_WORD, EIEConfig

from ..errors import require_words
from ..network import CompressedNetwork
from .row_mapping import n_slots

__all__ = ["ActMap", "n_words", "place_activations"]


@dataclasses.dataclass(frozen=True)
class ActMap:
    """First rows of biases and vectors, the same in all PEs.

    Attributes
    ----------
    biases : :class:`tuple` of :class:`int`
        First row of the biases of each layer.
    vectors : :class:`tuple` of :class:`int`
        First row of the input (of its first buffer), then of the results of each layer.
    input_buffers : :class:`int`
        2 if the SRAM has room for the next input while a program runs, else 1.
    n_words : :class:`int`
        Number of rows used.
    """

    biases: tuple[int, ...]
    vectors: tuple[int, ...]
    input_buffers: int
    n_words: int


def n_words(n_elements: int, n_pe: int) -> int:
    """Compute the rows of a vector in the activation SRAM of each PE."""
    return -(-n_slots(n_elements, n_pe) // ACTS_PER_WORD)


def place_activations(config: EIEConfig, network: CompressedNetwork) -> ActMap:
    """Place the biases first, then the vectors from both ends of the space after them.

    A vector is live from the layer that computes it to the layer that reads it, so only successive
    vectors must not overlap. They alternate between the bottom and the top of a space as large as
    the largest successive pair, which is the minimum.

    If there is room, the input has two separate buffers at the top instead: one is filled while a
    program uses the other.

    Raises
    ------
    CompileError
        If the SRAM is too small.
    """
    biases, base = [], 0
    for layer in network.layers:
        biases.append(base)
        base += n_words(layer.n_rows, config.n_pe)
    elements = [network.layers[0].n_cols, *(layer.n_rows for layer in network.layers)]
    sizes = [n_words(count, config.n_pe) for count in elements]

    vectors, top = _alternate(base, sizes[1:])
    if top + 2 * sizes[0] <= config.act_depth:
        return ActMap(tuple(biases), (top, *vectors), 2, top + 2 * sizes[0])

    pairs = [a + b for a, b in zip(sizes, sizes[1:])]
    widest = network.layers[pairs.index(max(pairs))].name
    vectors, top = _alternate(base, sizes)
    require_words("activation SRAM", top, config.act_depth, "act_depth",
                  where=f" ({base} of biases, {max(pairs)} of inputs and outputs of layer "
                        f"{widest!r})", instead=", or n_pe")
    return ActMap(tuple(biases), vectors, 1, top)


def _alternate(base: int, sizes: list[int]) -> tuple[tuple[int, ...], int]:
    """Place vectors, of which successive ones must not overlap; return first rows and the end."""
    top = base + max(a + b for a, b in zip(sizes, [*sizes[1:], 0]))
    return tuple(top - size if number % 2 else base for number, size in enumerate(sizes)), top
