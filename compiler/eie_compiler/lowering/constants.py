"""Elements of the tensors of a graph that are the same for all inputs."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from eie_hdl.numeric import saturate

from ..graph.graph import Graph, Node
from ..graph.operation import Operation, Shape, Words
from ..network import CompressedNetwork
from ..patches import Patches
from ..vectors import dequantise
from .arithmetic import IntegerNetwork
from .element_masks import Mask, is_known

__all__ = ["Constants", "find_constants"]


@dataclasses.dataclass(frozen=True, eq=False)
class Constants:
    """Elements of a tensor, or of a vector, that are constant.

    Attributes
    ----------
    mask : bool array
        Those that are.
    words : int64 array
        Their words; of the others, 0.
    """

    mask: Mask
    words: Words

    @classmethod
    def none(cls, shape: Shape) -> "Constants":
        """Make those of a tensor without any."""
        return cls(np.zeros(shape, bool), np.zeros(shape, np.int64))

    @classmethod
    def of(cls, mask: Mask, exact: Words, width: int) -> "Constants":
        """Make those of a result before it saturates; a word that would saturate is none."""
        mask = mask & (saturate(exact, width) == exact)
        return cls(mask, np.where(mask, exact, 0))


def find_constants(graph: Graph, networks: Mapping[str, IntegerNetwork], width: int
                   ) -> dict[str, list[Constants]]:
    """Find the constants that layers of a graph read and compute, but for bodies of scans.

    A row of layers without weights is constant, and what is computed from constants alone.

    Parameters
    ----------
    networks : mapping of :class:`str` to :class:`~.arithmetic.IntegerNetwork`
        Layers of each node, by its name.
    width : :class:`int`
        Width of a word in bits.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`list` of :class:`Constants`
        Of the inputs of layers, and of the results of each layer, by the name of the node.
    """
    tensors = {name: Constants.none(shape) for name, shape in graph.inputs.items()}
    vectors = {}
    for node in graph.nodes:
        shape = graph.shapes[node.name]
        operands = [tensors[name] for name in node.inputs]
        if node.name in networks:
            found = vectors[node.name] = _find_in_layers(networks[node.name], operands[0])
            tensors[node.name] = _as_tensor(found[-1], networks[node.name].network, shape)
        else:
            tensors[node.name] = _find_in_operation(graph, node, operands, width) \
                or Constants.none(shape)
    return vectors


def _find_in_layers(integers: IntegerNetwork, operand: Constants) -> list[Constants]:
    """Find those of vectors: columns that are constant in all vectors, and rows of each layer."""
    network = integers.network
    columns = _as_columns(operand, network.patches)
    if len(columns.mask) != network.layers[0].n_cols:    # strips
        columns = Constants.none((network.layers[0].n_cols,))
    found = [columns]
    for layer, words in zip(network.layers, integers.layers):
        varying = ~np.repeat(found[-1].mask, np.diff(layer.codes.indptr))
        mask = np.bincount(layer.codes.indices[varying], minlength=layer.n_rows) == 0
        found.append(Constants.of(mask, words.exact(found[-1].words[np.newaxis])[0],
                                  words.act_width))
    return found


def _as_columns(operand: Constants, patches: Patches | None) -> Constants:
    """Find the elements of vectors that are constant: those of channels, or of the last axis."""
    if patches is None:
        last = operand.mask.shape[-1]
        mask, words = operand.mask.reshape(-1, last), operand.words.reshape(-1, last)
        return Constants(mask.all(0) & (words == words[0]).all(0), words[0])
    channels = len(operand.mask)
    mask, words = operand.mask.reshape(channels, -1), operand.words.reshape(channels, -1)
    same = mask.all(1) & (words == words[:, :1]).all(1)
    if any(patches.padding):    # zeros around are another constant
        same &= words[:, 0] == 0
    elements = patches.n_inputs // channels
    return Constants(np.repeat(same, elements), np.repeat(np.where(same, words[:, 0], 0), elements))


def _as_tensor(rows: Constants, network: CompressedNetwork, shape: Shape) -> Constants:
    """Repeat those of a vector for all vectors of a result."""
    mask, words = rows.mask, rows.words
    if network.patches is not None:
        if network.patches.pixels > 1:
            return Constants.none(shape)
        mask, words = (mask[:, np.newaxis, np.newaxis], words[:, np.newaxis, np.newaxis])
    return Constants(np.broadcast_to(mask, shape), np.broadcast_to(words, shape))


def _find_in_operation(graph: Graph, node: Node, operands: Sequence[Constants], width: int
                       ) -> Constants | None:
    """Find those of a known operation: a number that is unknown makes results unknown."""
    operation = node.computation
    assert graph.fracs is not None
    if not isinstance(operation, Operation) or not any(one.mask.any() for one in operands) \
            or not is_known(operation, [one.mask.shape for one in operands]):
        return None
    fracs = [graph.fracs[name] for name in node.inputs]
    with np.errstate(invalid="ignore"):
        numbers = operation.real(*(
            np.where(one.mask, dequantise(one.words, frac), np.nan)[np.newaxis]
            for one, frac in zip(operands, fracs)))
    exact = operation.words(*(one.words[np.newaxis] for one in operands), fracs=fracs,
                            frac=graph.fracs[node.name])
    return Constants.of(~np.isnan(numbers[0]), exact[0], width)
