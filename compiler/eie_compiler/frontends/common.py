"""What all front ends share: their error, the place that it speaks of, and a limit."""

import contextlib
from collections import Counter
from collections.abc import Hashable, Iterator

from ..files.untrusted_npz import ArchiveError
from ..model import ModelError
from ..patches import PatchError

__all__ = ["FrontEndError", "Repeats", "at"]

#: Most numbers that layers may take out of a file beyond those that are in it.
_MAX_REPEATED = 1 << 24


class FrontEndError(ValueError):
    """A model that cannot be read; the message names the file and the layer or node."""


@contextlib.contextmanager
def at(place: object) -> Iterator[None]:
    """Put a place, such as a file or a node, in front of a message, unless it begins with it."""
    try:
        yield
    except (FrontEndError, ModelError, PatchError, ArchiveError) as error:
        message = str(error)
        raise FrontEndError(message if message.startswith(f"{place}: ") else f"{place}: {message}"
                            ) from error


class Repeats:
    """Numbers that are used more often than they are in a file, as by layers that share weights.

    There may be some, but a small file must not become as large a model as it likes.
    """

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()
        self._repeated = 0

    def take(self, source: Hashable, count: int, there: int) -> None:
        """Count numbers taken out of a `source` that has `there` of them.

        Raises
        ------
        FrontEndError
            If too many have been taken again.
        """
        unused = max(there - self._taken[source], 0)
        self._taken[source] += count
        self._repeated += max(count - unused, 0)
        if self._repeated > _MAX_REPEATED:
            raise FrontEndError(f"numbers must be those that are there, and at most {_MAX_REPEATED}"
                                f" be used again, not {self._repeated}: layers must not "
                                "share so many")
