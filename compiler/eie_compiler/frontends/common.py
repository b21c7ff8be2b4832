"""What all front ends share: their error, the place that it speaks of, and a limit."""

import contextlib
from collections.abc import Iterator

from ..archive import ArchiveError
from ..model import ModelError
from ..patches import PatchError

__all__ = ["MAX_LENGTH", "FrontEndError", "at"]

#: Most rows or columns of a matrix, where a file may promise more than it has numbers.
MAX_LENGTH = 1 << 24


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
