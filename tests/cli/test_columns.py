"""Columns of tables fit narrow terminals, without broken numbers."""

import pytest

from eie_cli.columns import GAP, fit_columns, fold

HEADERS = ["node", "on", "end-to-end cycles", "saturated"]
COLUMNS = [["l.LSTM/h_next", "all"], ["accelerator", "host"], ["130,774.0", "12.5"], ["0", "17"]]
FOLDABLE = [True, True, False, False]


@pytest.mark.parametrize(("text", "width", "lines"), [
    ("l.LSTM/h_next", 13, ["l.LSTM/h_next"]), ("l.LSTM/h_next", 8, ["l.LSTM/", "h_next"]),
    ("a.b1/c", 4, ["a.", "b1/c"]), ("1.25", 3, ["1.25"]),
    ("130,774", 3, ["130,774"]), ("rows × columns", 8, ["rows ×", "columns"]), ("", 1, [""])])
def test_texts_break_at_separators_only(text, width, lines):
    assert fold(text, width).split("\n") == lines


def test_columns_that_fit_are_as_wide_as_their_cells():
    assert fit_columns(HEADERS, COLUMNS, FOLDABLE, 80) == ([13, 11, 17, 9], GAP)


def test_headers_and_texts_are_folded_and_numbers_never():
    widths, gap = fit_columns(HEADERS, COLUMNS, FOLDABLE, 50)
    assert sum(widths) + 3 * gap == 50 and gap == GAP
    assert fit_columns(HEADERS, COLUMNS, FOLDABLE, 10) == ([6, 11, 10, 9], 1)
