"""Version and form of the JSON files that the project writes; docs/python.md lists them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eie_hdl.files import write_file

__all__ = ["SCHEMA_VERSION", "to_json", "write_json"]

#: Version of the keys of every JSON file. It changes when a key changes its name or meaning.
SCHEMA_VERSION = 1


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
