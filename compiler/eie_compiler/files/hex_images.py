"""Memory images as text for ``$readmemh``: one hexadecimal word per line."""

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
    """Invalid image of a memory; the message names the line, not the file."""


def n_digits(shape: ShapeLike) -> int:
    """Return the number of hexadecimal digits of a word."""
    return -(-Shape.cast(shape).width // 4)


def to_hex(shape: ShapeLike, words: NDArray[np.uint64]) -> bytes:
    """Convert words to text.

    Parameters
    ----------
    words : uint64, n_words × n_beats
        As from :func:`~eie_hdl.packing.pack`.
    """
    digits = n_digits(shape)
    text = np.full((len(words), digits + 1), ord("\n"), np.uint8)
    for digit in range(digits):
        beat, low = divmod(4 * digit, BEAT_WIDTH)
        text[:, digits - 1 - digit] = _DIGITS[(words[:, beat] >> np.uint64(low)) & np.uint64(15)]
    return text.tobytes()


def from_hex(image: Image, text: bytes) -> NDArray[np.uint64]:
    """Parse text from :func:`to_hex`. Comments, addresses and capitals are refused.

    Raises
    ------
    ImageError
        If a line is not a word of the memory, or there are more lines than words.
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
        raise ImageError(f"line {line + 1} must have {width} bits in {digits} lower-case "
                         f"hexadecimal digits, not {text.splitlines()[line][:80]!r}")
    if len(values) > image.depth:
        raise ImageError(f"image must have at most {image.depth} lines, the words of the memory, "
                         f"not {len(values)}")
    words = np.zeros((len(values), n_beats(image.shape)), np.uint64)
    for digit in range(digits):
        beat, low = divmod(4 * digit, BEAT_WIDTH)
        words[:, beat] |= values[:, digits - 1 - digit].astype(np.uint64) << np.uint64(low)
    return words


def _find_bad_line(text: bytes, digits: int) -> str:
    for number, line in enumerate(text.split(b"\n"), 1):
        if len(line) != digits:
            return f"line {number} must have {digits} digits, not {line[:80]!r}"
    return "last line must end in a line feed"
