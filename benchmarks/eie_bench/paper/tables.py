"""Tables as data, and as Markdown: in a file, or in a document about them."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["DocumentError", "Table", "refresh", "to_markdown"]

#: What surrounds a table in a document.
_PLACE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class DocumentError(ValueError):
    """A document whose tables cannot be replaced; the message says which."""


class Table(NamedTuple):
    """A table of text.

    Attributes
    ----------
    title : :class:`str`
        What it is about.
    columns : sequence of :class:`str`
        Headings.
    rows : sequence of sequences of :class:`str`
        Cells.
    note : :class:`str`
        What a reader must know; may be empty.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def to_markdown(table: Table) -> str:
    """The table without its title."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{text}\n{table.note}\n" if table.note else text


def refresh(document: str, tables: Mapping[str, Table]) -> str:
    """Replace every table of a document, between ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises
    ------
    DocumentError
        If it has a table that there is not.
    """
    def replace(place: re.Match[str]) -> str:
        if (name := place["name"]) not in tables:
            raise DocumentError(f"table must be one of {', '.join(tables)}, not {name}")
        return f"{place[1]}{to_markdown(tables[name])}{place[3]}"

    return _PLACE.sub(replace, document)
