"""Tables in documents."""

import pytest

from eie_bench.paper.tables import DocumentError, Table, refresh, to_markdown

TABLE = Table("title", ["a", "b"], [["1", "2"]], "A note.")


def test_tables_of_a_document_are_replaced():
    document = "x\n<!-- table: t -->\nold\n<!-- end -->\ny <!-- end -->\n"
    once = refresh(document, {"t": TABLE})
    assert once == ("x\n<!-- table: t -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nA note.\n"
                    "<!-- end -->\ny <!-- end -->\n")
    assert refresh(once, {"t": TABLE}) == once
    assert to_markdown(TABLE) in once


def test_a_missing_table_is_an_error():
    with pytest.raises(DocumentError, match="^table must be one of t, not u$"):
        refresh("<!-- table: u -->\n<!-- end -->", {"t": TABLE})
