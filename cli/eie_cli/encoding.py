"""Output in locales whose encoding lacks some of our characters."""

import codecs
import io
import sys

__all__ = ["tolerate_encoding"]

_HANDLER = "eie"

#: Closest ASCII of what tables and help texts are written in.
_ASCII = {"×": "x", "·": "*", "–": "-", "─": "-", "→": "->", "►": ">", "≥": ">=", "≤": "<=",
          "…": "...", "µ": "u"}


def tolerate_encoding() -> None:
    """Let both outputs replace what they cannot encode, instead of ending the command."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """Handle one character, as :func:`codecs.register_error` describes."""
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":    # a byte of a file name that is no text
        return bytes([ord(character) - 0xdc00]), error.start + 1
    if character in _ASCII:
        return _ASCII[character], error.start + 1
    return character.encode("ascii", "backslashreplace").decode("ascii"), error.start + 1
