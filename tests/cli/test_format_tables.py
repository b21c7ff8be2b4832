"""Tables of number formats."""

from eie_cli.format_tables import show_formats

ROW = {"lowest": -1.25, "highest": 3.5, "seen": True, "frac": 8, "resolution": 2 ** -8,
       "clipped": 0.015}


def cells(capsys):
    title, *rows = capsys.readouterr().out.strip().splitlines()
    return title, [row.split() for row in rows]


def test_formats_of_seen_numbers_have_their_clipped_share(capsys):
    show_formats([ROW | {"name": "input"},
                  ROW | {"name": "fc1", "accumulator": {"bits": 20, "acc_width": 32}}])
    title, rows = cells(capsys)
    assert "least seen" in title and "greatest seen" in title
    assert rows == [["input", "-1.25", "3.5", "8", "0.0039", "1.500%", "–"],
                    ["fc1", "-1.25", "3.5", "8", "0.0039", "1.500%", "20", "of", "32"]]


def test_formats_of_possible_numbers_have_no_clipped_share_and_errors_are_shown(capsys):
    show_formats([ROW | {"name": "fc1", "seen": False, "clipped": None,
                         "accumulator": {"error": "too wide"}}])
    title, rows = cells(capsys)
    assert "least possible" in title and "greatest possible" in title
    assert rows == [["fc1", "-1.25", "3.5", "8", "0.0039", "–", "too", "wide"]]
