"""Error and warning of the front ends, their context, and a limit on repeated use of weights."""

import contextlib
import re
from collections import Counter
from collections.abc import Container, Hashable, Iterator, Sequence

from ..files.untrusted_npz import ArchiveError
from ..graph.operation import GraphError
from ..model import ModelError
from ..network import MAX_NAME
from ..patches import PatchError

__all__ = ["FrontEndError", "FrontEndWarning", "ReuseLimit", "at", "plain_name"]

#: Most weights that layers may use beyond those in the file.
_MAX_REPEATED = 1 << 24

#: Most rows and columns of sparse matrices beyond their numbers; compression takes 100 bytes each.
_MAX_EMPTY = 1 << 22


class FrontEndError(ValueError):
    """Unreadable model; the message names the file and the layer or node."""


class FrontEndWarning(UserWarning):
    """Assumption about a model, or part of a file that is not used."""


@contextlib.contextmanager
def at(place: object) -> Iterator[None]:
    """Prefix error messages with a place, such as a file or a node, unless already present."""
    try:
        yield
    except (FrontEndError, GraphError, ModelError, PatchError, ArchiveError) as error:
        message = str(error)
        raise FrontEndError(message if message.startswith(f"{place}: ") else f"{place}: {message}"
                            ) from error


def plain_name(name: str, taken: Container[str], otherwise: str) -> str:
    """Make a short, printable name without slashes that is not `taken`, since it names files.

    `otherwise` replaces a name that has nothing printable.
    """
    name = ".".join(re.findall(r"[^/\\]+", name)[-2:]).lstrip(".")
    if name.isprintable():
        # The end differs most; leave room for a number. A character may have several bytes.
        name = name.encode()[10 - MAX_NAME:].decode(errors="ignore").lstrip(".")
    if not name or not name.isprintable():
        name = otherwise
    count = 2
    plain = name
    while plain in taken:
        plain, count = f"{name}_{count}", count + 1
    return plain


class ReuseLimit:
    """Limit of the numbers that layers use repeatedly, such as shared weights, and of rows and
    columns without numbers.

    It keeps a small file from expanding to a model of any size.
    """

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()
        self._repeated = self._empty = 0

    def take(self, source: Hashable, count: int, size: int) -> None:
        """Count the use of `count` numbers of a `source` that has `size` of them.

        Raises
        ------
        FrontEndError
            If too many numbers are used repeatedly.
        """
        unused = max(size - self._taken[source], 0)
        self._taken[source] += count
        self._repeated += max(count - unused, 0)
        if self._repeated > _MAX_REPEATED:
            raise FrontEndError(f"numbers used repeatedly must be at most {_MAX_REPEATED}, not "
                                f"{self._repeated}: share fewer weights between layers")

    def reserve(self, shape: Sequence[int], size: int) -> None:
        """Count the rows and columns of a sparse matrix of `size` numbers, before it is made.

        Raises
        ------
        FrontEndError
            If there are too many without numbers.
        """
        self._empty += max(sum(shape) - size, 0)
        if self._empty > _MAX_EMPTY:
            raise FrontEndError(f"rows and columns of sparse matrices must be at most {_MAX_EMPTY} "
                                f"more than their numbers, not {self._empty}")
