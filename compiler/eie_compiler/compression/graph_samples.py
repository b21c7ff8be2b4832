"""Samples of the inputs of a graph, and random samples of the vectors that its layers get."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CompressError
from ..graph.graph import Graph, Node, Scan
from ..graph.operation import Shape
from ..model import Model
from ..network import CompressedNetwork
from ..sampling import spread

__all__ = ["VectorSample", "check_samples", "choose_samples", "largest_tensor", "sample_batches"]

#: Numbers in the largest tensor of a batch, patches included: few enough for the cache.
_BATCH = 1 << 19

#: Numbers in the largest tensor of all samples that are chosen for statistics.
_MAX_NUMBERS_KEPT = 1 << 24

#: Most numbers of a sample of vectors, which still has :data:`_MIN_VECTORS`.
_MAX_NUMBERS = 1 << 24
_MIN_VECTORS = 256

#: Remedies for a sample without an axis of samples, and for images whose channels are last.
_ONE = ": a single sample x needs that axis too, as x[np.newaxis]"
_CHANNELS_LAST = ": images x with the channels last need x.transpose(0, 3, 1, 2)"

Floats = NDArray[np.float64]


def check_samples(graph: Graph, samples: Mapping[str, NDArray[Any]] | None
                  ) -> dict[str, NDArray[Any]]:
    """Check that samples are numbers for each input of a graph, and return them.

    Raises
    ------
    CompressError
        If there are none, or an array does not match the graph.
    """
    if not samples:
        raise CompressError("calibration must be given for a graph, as an array of samples for "
                            f"each input: {_describe_inputs(graph)}")
    if set(samples) != set(graph.inputs):
        raise CompressError(f"calibration must have arrays for {_describe_inputs(graph)}, not for "
                            f"{', '.join(map(repr, samples))}")
    arrays = {name: np.asarray(samples[name]) for name in graph.inputs}
    count = len(next(iter(arrays.values()))) if all(a.ndim for a in arrays.values()) else 0
    for name, array in arrays.items():
        wanted = count, *graph.inputs[name]
        if array.dtype.kind not in "iuf" or array.shape != wanted or not count:
            shape = ", ".join(["samples", *map(str, graph.inputs[name])])
            raise CompressError(f"calibration must be numbers of shape ({shape}) for {name!r}, one "
                                "or more samples, and as many for each input, not "
                                f"{array.dtype} of shape {array.shape}"
                                f"{_advise(array.shape, graph.inputs[name])}")
        if not (finite := np.isfinite(array)).all():
            at = tuple(np.argwhere(~finite)[0].tolist())
            raise CompressError(f"calibration must be finite, but element {list(at)} for "
                                f"{name!r} is {array[at]}")
    return arrays


def _advise(shape: Shape, wanted: Shape) -> str:
    """Advise how to change samples of a shape, if it is known."""
    if shape == wanted:
        return _ONE
    return _CHANNELS_LAST if len(wanted) == 3 and shape[1:] == (*wanted[1:], wanted[0]) else ""


def _describe_inputs(graph: Graph) -> str:
    return ", ".join(f"{name!r} of shape ({', '.join(['samples', *map(str, shape)])})"
                     for name, shape in graph.inputs.items())


def choose_samples(graph: Graph, samples: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """Choose as many samples, evenly, as fit the memory with their tensors."""
    count = len(next(iter(samples.values())))
    most = max(_MAX_NUMBERS_KEPT // largest_tensor(graph, patches=False), 1)
    chosen = spread(count, most)
    return {name: array[chosen].astype(np.float64) for name, array in samples.items()}


def sample_batches(graph: Graph, samples: Mapping[str, NDArray[Any]]
                   ) -> Iterator[tuple[slice, dict[str, Floats]]]:
    """Divide samples into batches whose tensors fit the memory; yield their place and numbers."""
    count = max(_BATCH // largest_tensor(graph), 1)
    n_samples = len(next(iter(samples.values())))
    for first in range(0, n_samples, count):
        some = slice(first, min(first + count, n_samples))
        yield some, {name: array[some].astype(np.float64) for name, array in samples.items()}


def largest_tensor(graph: Graph, *, patches: bool = True) -> int:
    """Numbers in the largest tensor of a graph for one sample, or of those of patches."""
    sizes = [math.prod(shape) for shape in graph.shapes.values()]
    return max(*sizes, *(_inside(graph, node) for node in graph.nodes if patches), 1)


def _inside(graph: Graph, node: Node) -> int:
    computation = node.computation
    if isinstance(computation, Scan):
        return largest_tensor(computation.body)
    if not isinstance(computation, (Model, CompressedNetwork)):
        return 0
    widest = max(computation.layers[0].n_cols, *(layer.n_rows for layer in computation.layers))
    vectors = graph.shapes[node.name][:-1] if computation.patches is None \
        else computation.patches.output_shape
    return widest * math.prod(vectors)


class VectorSample:
    """Random sample of vectors that arrive in parts: all of them, until there are too many.

    Parameters
    ----------
    width : :class:`int`
        Numbers of a vector.
    """

    def __init__(self, width: int) -> None:
        self._most = max(_MAX_NUMBERS // width, _MIN_VECTORS)
        self._rng = np.random.default_rng(0)
        self._keys = np.zeros(0)
        self._vectors = np.zeros((0, width))

    def add(self, vectors: Floats) -> None:
        """Add vectors (count, width)."""
        keys = self._rng.random(len(vectors))
        if self._full:    # of the others, none can stay
            chosen = keys < self._keys.max()
            keys, vectors = keys[chosen], vectors[chosen]
        self._keys = np.concatenate([self._keys, keys])
        self._vectors = np.concatenate([self._vectors, vectors])
        if len(self._keys) > self._most:
            kept = np.argpartition(self._keys, self._most)[:self._most]
            self._keys, self._vectors = self._keys[kept], self._vectors[kept]

    @property
    def _full(self) -> bool:
        return len(self._keys) == self._most

    @property
    def vectors(self) -> Floats:
        """Sample so far (count, width)."""
        return self._vectors
