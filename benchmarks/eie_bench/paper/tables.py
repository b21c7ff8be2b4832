"""Tables as data and as Markdown, in files or within documents."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["DocumentError", "Table", "refresh", "to_markdown"]

#: Markers around a table in a document.
_PLACE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class DocumentError(ValueError):
    """A table in a document cannot be replaced; the message names it."""


class Table(NamedTuple):
    """A table of text.

    Attributes
    ----------
    title : :class:`str`
        Title.
    columns : sequence of :class:`str`
        Headings.
    rows : sequence of sequences of :class:`str`
        Cells.
    note : :class:`str`
        Note below the table; may be empty.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def to_markdown(table: Table) -> str:
    """Format the table without its title."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{text}\n{table.note}\n" if table.note else text


def refresh(document: str, tables: Mapping[str, Table]) -> str:
    """Replace every table of a document, between ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises
    ------
    DocumentError
        If the document has a table with an unknown name.
    """
    def replace(place: re.Match[str]) -> str:
        if (name := place["name"]) not in tables:
            raise DocumentError(f"table must be one of {', '.join(tables)}, not {name}")
        return f"{place[1]}{to_markdown(tables[name])}{place[3]}"

    return _PLACE.sub(replace, document)
