"""Widths of the columns of tables on narrow terminals."""

import re
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

__all__ = ["GAP", "fit_columns", "fold"]

#: Spaces between columns, at most.
GAP = 2

#: Places where a line may end: after spaces and slashes, and within dotted names.
_BREAK = re.compile(r"(?<=[\s/])(?=[^\s/])|(?<=\.)(?=[^\W\d])")


def fit_columns(headers: Sequence[str], columns: Sequence[Sequence[str | Text]],
                foldable: Sequence[bool], width: int) -> tuple[list[int], int]:
    """Choose the width of each column, and the gap between them; all exceed `width` if they must.

    Headers may be folded, and the cells of the columns that are `foldable`, if they are strings.
    The columns that are widest are folded first.
    """
    least, widths = [], []
    for header, cells, flag in zip(headers, columns, foldable):
        whole = max((cell_len(str(cell)) for cell in cells), default=0)
        parts = max((_least(cell) for cell in cells), default=0) if flag else whole
        least.append(max(_least(header), parts))
        widths.append(max(cell_len(header), whole))
    # A table that does not fit otherwise has narrow gaps.
    gap = GAP if sum(least) + GAP * (len(least) - 1) <= width else 1
    excess = sum(widths) + gap * (len(widths) - 1) - width
    while excess > 0:
        able = [number for number, each in enumerate(widths) if each > least[number]]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
        excess -= 1
    return widths, gap


def fold(text: str, width: int) -> str:
    """Break a text at spaces, slashes and dots into lines of at most `width` cells, if possible."""
    if cell_len(text) <= width:
        return text
    lines = [""]
    for part in _BREAK.split(text):
        if lines[-1] and cell_len(lines[-1]) + cell_len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _least(cell: str | Text) -> int:
    """Width of the longest part of a cell that is never broken."""
    if isinstance(cell, Text):
        return cell_len(cell.plain)
    return max((cell_len(part.rstrip()) for part in _BREAK.split(cell)), default=0)
