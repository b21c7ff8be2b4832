"""Memory images as text: one word a line in hexadecimal, what ``$readmemh`` loads."""

import numpy as np
from amaranth.hdl import Shape, ShapeLike
from numpy.typing import NDArray

from eie_hdl.format import BEAT_WIDTH, Image, n_beats

__all__ = ["ImageError", "from_hex", "to_hex"]

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_INVALID = 255
_VALUES = np.full(256, _INVALID, np.uint8)
_VALUES[_DIGITS] = range(16)


class ImageError(ValueError):
    """Text that is no image of a memory; the message names the line, not the file."""


def n_digits(shape: ShapeLike) -> int:
    """Hexadecimal digits of a word."""
    return -(-Shape.cast(shape).width // 4)


def to_hex(shape: ShapeLike, words: NDArray[np.uint64]) -> bytes:
    """Write words as text.

    Parameters
    ----------
    words : uint64, n_words × n_beats
        As from :func:`~eie_hdl.format.pack`.
    """
    digits = n_digits(shape)
    text = np.full((len(words), digits + 1), ord("\n"), np.uint8)
    for place in range(digits):
        beat, low = divmod(4 * place, BEAT_WIDTH)
        text[:, digits - 1 - place] = _DIGITS[(words[:, beat] >> np.uint64(low)) & np.uint64(15)]
    return text.tobytes()


def from_hex(image: Image, text: bytes) -> NDArray[np.uint64]:
    """Read what :func:`to_hex` wrote, and nothing else: no comments, addresses or capitals.

    Raises
    ------
    ImageError
        If a line is no word of the memory, or there are more lines than words.
    """
    digits, width = n_digits(image.shape), Shape.cast(image.shape).width
    lines = np.frombuffer(text, np.uint8)
    if len(lines) % (digits + 1) or (lines[digits::digits + 1] != ord("\n")).any():
        raise ImageError(_find_bad_line(text, digits))
    values = _VALUES[lines.reshape(-1, digits + 1)[:, :digits]]
    wrong = (values == _INVALID).any(axis=1)
    wrong |= values[:, 0] >> (width - 4 * (digits - 1)) > 0    # bits above the word
    if wrong.any():
        line = int(np.argmax(wrong))
        raise ImageError(f"line {line + 1} must be {width} bits in {digits} lower-case hexadecimal "
                         f"digits, not {text.splitlines()[line][:80]!r}")
    if len(values) > image.depth:
        raise ImageError(f"line {image.depth + 1} is one too many: the memory has {image.depth} "
                         f"words, the image {len(values)}")
    words = np.zeros((len(values), n_beats(image.shape)), np.uint64)
    for place in range(digits):
        beat, low = divmod(4 * place, BEAT_WIDTH)
        words[:, beat] |= values[:, digits - 1 - place].astype(np.uint64) << np.uint64(low)
    return words


def _find_bad_line(text: bytes, digits: int) -> str:
    for number, line in enumerate(text.split(b"\n"), 1):
        if len(line) != digits:
            return f"line {number} must have {digits} digits, not be {line[:80]!r}"
    return "last line must end in a line feed"
