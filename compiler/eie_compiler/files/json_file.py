"""Form of the JSON files that the project writes, listed in docs/python.md, and safe reading."""

import json
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from eie_hdl.files import write_file
from eie_hdl.format import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "JsonError", "check_fields", "parse_json", "to_json", "write_json"]

#: Most objects and arrays inside each other; deeper ones would exhaust the stack of many readers.
_MAX_DEPTH = 32

_TYPES = {str: "text", int: "an integer", float: "a number", bool: "true or false", list: "a list",
          dict: "an object", NoneType: "null"}


class JsonError(ValueError):
    """Invalid JSON, or a wrong field; the message names the field, not the file."""


def to_json(content: Mapping[str, Any], *, indent: int | None = 1) -> str:
    """Convert to the text of a JSON object whose first key is ``schema_version``.

    Parameters
    ----------
    indent : :class:`int`, optional
        Spaces per level; None for a single line, as in a file of JSON lines.

    Raises
    ------
    ValueError
        If a number is not finite, which JSON cannot represent.
    """
    return json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=indent,
                      ensure_ascii=False, allow_nan=False)


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write :func:`to_json` and create the folder of the file if it is missing."""
    write_file(path, to_json(content) + "\n")


def parse_json(content: bytes) -> Any:
    """Parse JSON from any source.

    Raises
    ------
    JsonError
        If it is not JSON in UTF-8, or nested too deeply.
    """
    depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', content, re.S):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > _MAX_DEPTH:
            raise JsonError(f"must have at most {_MAX_DEPTH} objects and lists inside each other")
    try:
        return json.loads(content.decode(), parse_constant=_refuse_constant)
    except ValueError as error:
        raise JsonError(f"must be JSON in UTF-8: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def check_fields(where: str, value: Any, kinds: Mapping[str, Any],
                 optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check that `value` is an object of exactly these fields and types, and return it.

    Parameters
    ----------
    where : :class:`str`
        Name of the object, for messages.
    kinds, optional : mapping of :class:`str` to :class:`type` or :class:`tuple` of types
        Fields that must, and that may be present.

    Raises
    ------
    JsonError
        If a field is missing, unknown or of another type.
    """
    optional = optional or {}
    there = list(value) if type(value) is dict else value
    if type(value) is not dict or not set(kinds) <= set(value) <= {*kinds, *optional}:
        raise JsonError(f"{where} must be an object with the fields {', '.join(kinds)}, "
                        f"not {reprlib.repr(there)}")
    for name, field in value.items():
        kind = kinds[name] if name in kinds else optional[name]
        allowed = kind if type(kind) is tuple else (kind,)
        if type(field) not in allowed:
            expected = " or ".join(_TYPES[each] for each in allowed)
            raise JsonError(f"{where}.{name} must be {expected}, not {reprlib.repr(field)}")
    return value
