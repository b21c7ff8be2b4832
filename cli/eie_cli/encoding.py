"""Output in encodings that lack some of the characters used."""

import codecs
import io
import sys

__all__ = ["tolerate_encoding"]

_HANDLER = "eie"

#: Closest ASCII form of the characters in tables and help texts.
_ASCII = {"×": "x", "·": "*", "–": "-", "─": "-", "→": "->", "►": ">", "≥": ">=", "≤": "<=",
          "…": "...", "µ": "u"}


def tolerate_encoding() -> None:
    """Make both outputs replace characters that they cannot encode, instead of raising."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle one character, as :func:`codecs.register_error` describes."""
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":    # undecodable byte of a file name
        return bytes([ord(character) - 0xdc00]), error.start + 1
    if character in _ASCII:
        return _ASCII[character], error.start + 1
    return character.encode("ascii", "backslashreplace").decode("ascii"), error.start + 1
