"""Arena of a network in C: places of tensors in memory, by their lifetimes."""

import dataclasses
from collections.abc import Sequence

__all__ = ["ALWAYS", "Tensor", "join", "place"]

#: Step after all others.
ALWAYS = 1 << 30


@dataclasses.dataclass(eq=False)
class Tensor:
    """Words in the arena.

    Attributes
    ----------
    size : :class:`int`
        Number of words.
    first, last : :class:`int`
        Steps from the one that writes the first word to the last one that reads any.
    place : :class:`int`
        First word, once :func:`place` has chosen it.
    """

    size: int
    first: int
    last: int
    _place: int = -1
    _within: "Tensor | None" = None

    def use(self, step: int) -> None:
        """Extend the lifetime to a step."""
        self.first, self.last = min(self.first, step), max(self.last, step)

    @property
    def place(self) -> int:
        """First word."""
        return self._within.place if self._within else self._place

    @property
    def owner(self) -> "Tensor":
        """Tensor whose words these are."""
        return self._within.owner if self._within else self


def join(operand: Tensor, result: Tensor, step: int) -> None:
    """Let a result have the words of an operand, if the step that computes it reads it last."""
    owner = operand.owner
    if owner.last == result.first == step and owner.size == result.size \
            and result.owner is result:
        owner.use(result.last)
        result._within = owner


def place(tensors: Sequence[Tensor]) -> int:
    """Choose the places of tensors, so that those that live at the same time do not overlap.

    The largest is placed first, each at the first place that is free for all of its life.

    Returns
    -------
    :class:`int`
        Number of words of the arena.
    """
    placed: list[Tensor] = []
    owners = [tensor for tensor in tensors if tensor.owner is tensor]
    for tensor in sorted(owners, key=lambda tensor: (-tensor.size, tensor.first)):
        at = 0
        for other in sorted(placed, key=lambda other: other.place):
            if other.first <= tensor.last and tensor.first <= other.last \
                    and other.place < at + tensor.size:
                at = max(at, other.place + other.size)
        tensor._place = at
        placed.append(tensor)
    return max((tensor.place + tensor.size for tensor in placed), default=0)
