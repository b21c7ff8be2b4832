"""Step of the C driver, and the tensors in the arena that it reads and writes."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from eie_compiler.graph.operation import Shape
from eie_compiler.graph.operations.arithmetic import Scaling

from .c_arena import Tensor
from .c_elements import elements

__all__ = ["Operand", "Step", "copy"]


class Operand(NamedTuple):
    """Tensor of a graph in the arena.

    Attributes
    ----------
    tensor : :class:`~.c_arena.Tensor`
        Its words.
    shape : :data:`~eie_compiler.graph.operation.Shape`
        Shape.
    frac : :class:`int`
        Fraction bits.
    offset : :class:`int`
        Word at which a part of it begins.
    """

    tensor: Tensor
    shape: Shape
    frac: int = 0
    offset: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def place(self) -> int:
        """First word in the arena."""
        return self.tensor.place + self.offset

    def part(self, offset: int) -> "Operand":
        """Return the part that begins at a word."""
        return self._replace(offset=self.offset + offset)


@dataclasses.dataclass
class Step:
    """Step of the driver: ``struct eie_step``.

    Attributes
    ----------
    run : :class:`str`
        Name of its function, without the prefix.
    of : :class:`str`
        Initialiser of its structure; ``{scalings}`` is the table of `scaling`.
    operands : sequence of :class:`Operand`
        Tensors that it reads; of layers with patches, room for a vector, too.
    result : :class:`Operand`, optional
        Tensor that it writes.
    scaling : :class:`~eie_compiler.graph.operations.arithmetic.Scaling`, optional
        Constants.
    in_place : :class:`bool`
        True if the result may replace an operand with as many elements.
    """

    run: str
    of: str
    operands: Sequence[Operand] = ()
    result: Operand | None = None
    scaling: Scaling | None = None
    in_place: bool = False

    @property
    def tensors(self) -> list[Tensor]:
        """Tensors that it reads or writes."""
        return [each.tensor for each in (*self.operands, *([self.result] if self.result else []))]

    def text(self, scalings: str) -> str:
        """Initialiser in C, with the name of the table of constants."""
        places = [each.place for each in self.operands]
        fracs = [each.frac for each in self.operands]
        result = self.result.place if self.result else 0
        return (f"{{eie_run_{self.run}, {{{', '.join(map(str, places or [0]))}}}, {result}, "
                f"{{{', '.join(map(str, fracs or [0]))}}}, "
                f"{self.result.frac if self.result else 0}, "
                f"{{{self.of.replace('{scalings}', scalings)}}}}}")


def copy(source: Operand, to: Operand, shape: Shape, strides: Sequence[tuple[int, ...]], *,
         advance: tuple[int, int] = (0, 0), loop: int = 0) -> Step:
    """Make the step that copies elements of a shape, between places of these strides.

    Parameters
    ----------
    advance
        Words by which the operand and the result advance in each iteration of a loop.
    loop : :class:`int`
        Number of loops around that loop.
    """
    return Step("copy", f".copy = {{{elements(shape, *strides)}, {{{advance[0]}, {advance[1]}}}, "
                        f"{loop}}}", [source], to)
