"""Host interface page: every error and memory is documented."""

import re
from pathlib import Path

from eie_hdl.format import COUNTERS, Memory
from eie_hdl.registers import REGISTERS, Error

DOCS = Path(__file__).parents[2] / "docs"
HOST = (DOCS / "host.md").read_text(encoding="utf-8")


def first_column(title):
    """Names in the first column of the table that begins with `title`."""
    rows = HOST.split(f"\n| {title} |")[1].split("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in row.split("|")[1].strip().split(", ")]


def test_each_error_has_its_remedy():
    assert sorted(first_column("error")) == sorted(
        error.name for error in Error if error is not Error.NONE)


def test_each_memory_has_its_packets():
    assert first_column("memory") == [memory.name for memory in Memory]


def test_names_in_capitals_exist():
    names = {named.name for names in (REGISTERS, Error, Memory) for named in names}
    names |= {name.upper() for name in COUNTERS}
    words = set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", re.sub(r"`[^`]*`|\(.*?\)", "", HOST)))
    assert words - names == {"CONFIG", "TKEEP", "TLAST"}
