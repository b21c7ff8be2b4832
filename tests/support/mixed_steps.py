"""Random steps of recurrent networks whose vectors have any sizes, for tests."""

import math

import numpy as np

from eie_compiler.graph.graph import Scan
from eie_compiler.graph.operations import (
    Add,
    Affine,
    Clip,
    Concat,
    Multiply,
    Reshape,
    Sigmoid,
    Slice,
    Subtract,
    Tanh,
)

from .recurrences import StepBody

__all__ = ["MIXED", "random_mixed_step"]

#: Seeds of steps that the machine can compute.
MIXED = (0, 1, 6, 7, 8, 13, 20, 24, 27, 33, 36, 41, 44, 45, 54, 59)

_CONVERSION = Clip(-math.inf, math.inf)


def random_mixed_step(seed: int, *, most: int = 40, width: int = 16, v_width: int = 4) -> Scan:
    """Make a step of random operations on vectors of random sizes, slices and concatenations.

    Parameters
    ----------
    most : :class:`int`
        Elements of an input or state.
    width, v_width : :class:`int`
        Width of activations and of codes of the machine.
    """
    return _Mixed(seed, most, width, v_width).make()


class _Mixed:
    """Body of a random step."""

    def __init__(self, seed: int, most: int, width: int, v_width: int) -> None:
        self._rng, self._width, self._most = np.random.default_rng(seed), width, most
        states = {f"s{number}": self._size() for number in range(self._rng.integers(0, 4))}
        sizes = {"x": self._size(), **states}
        self._states = states
        self._body = StepBody(seed, sizes, {name: self._frac() for name in sizes}, v_width=v_width)

    def make(self) -> Scan:
        body, rng = self._body, self._rng
        body.layer(["x"] if rng.random() < 0.3 or not self._states else ["x", "s0"],
                   self._size(), frac=self._frac())
        for _ in range(rng.integers(3, 14)):
            self._add()
        following = {state: self._next(state, size) for state, size in self._states.items()}
        computed = [node.name for node in body.nodes]
        output = str(rng.choice(computed if rng.random() < 0.9 else list(body.sizes)))
        if output == "x":
            output = computed[-1]
        return body.scan(output, following, reverse=bool(rng.random() < 0.3))

    def _size(self) -> int:
        return int(self._rng.choice([1, self._rng.integers(1, self._most + 1)], p=[0.1, 0.9]))

    def _frac(self) -> int:
        return int(self._rng.integers(self._width - 9, self._width - 2))

    def _pick(self, size: int | None = None) -> str | None:
        names = [name for name, each in self._body.sizes.items() if size in (None, each)]
        return str(self._rng.choice(names[-9:])) if names else None

    def _add(self) -> None:
        """Add a random node, unless its operands do not match."""
        body, rng = self._body, self._rng
        one = self._pick()
        size, frac = body.sizes[one], self._frac()
        other = self._pick(size)
        kind = rng.choice(["sum", "product", "function", "clip", "scale", "layer", "two", "slice",
                           "concat", "reshape"])
        if kind == "sum" and one != other:
            body.add(Add() if rng.random() < 0.5 else Subtract(), one, other, frac=frac, size=size)
        elif kind == "product":
            body.add(Multiply(), one, other, size=size,
                     frac=int(rng.integers(self._width - 9, self._width)))
        elif kind == "function":
            body.add(Sigmoid() if rng.random() < 0.5 else Tanh(), one, size=size,
                     frac=self._width - 2 - int(rng.choice([0, 0, 1, -1])))
        elif kind == "clip":
            body.add(Clip(0.0, math.inf) if rng.random() < 0.3 else _CONVERSION, one, frac=frac,
                     size=size)
        elif kind == "scale":
            body.add(Affine(rng.normal(0, 0.5, size), 0.0), one, frac=frac, size=size)
        elif kind in ("layer", "two"):
            operands = [one] if kind == "layer" else [
                one, *(self._pick() for _ in range(rng.choice([1, 2], p=[.9, .1])))]
            body.layer(operands, self._size() * int(rng.integers(1, 3)), frac=frac)
        elif kind == "slice" and size > 1 and one != "x" and rng.random() < 0.5:
            start = int(rng.integers(0, size - 1))
            stop = int(rng.integers(start + 1, size + 1))
            body.add(Slice(0, start, stop), one, frac=body.fracs[one], size=stop - start)
        elif kind == "concat":
            names = [one, *(self._pick() for _ in range(rng.choice([0, 1, 2], p=[.6, .3, .1])))]
            body.add(Concat(0), *names, frac=frac, size=sum(body.sizes[name] for name in names))
        elif kind == "reshape":
            body.add(Reshape((size,)), one, frac=body.fracs[one], size=size)

    def _next(self, state: str, size: int) -> str:
        """Choose or make the next value of a state."""
        body, wanted = self._body, self._body.fracs[state]
        names = [node.name for node in body.nodes
                 if (body.sizes[node.name], body.fracs[node.name]) == (size, wanted)]
        if names:
            return str(self._rng.choice(names))
        names = [node.name for node in body.nodes if body.sizes[node.name] == size]
        if names and self._rng.random() < 0.6:
            return body.add(_CONVERSION, str(self._rng.choice(names)), frac=wanted, size=size)
        return body.layer([self._pick()], size, frac=wanted)
