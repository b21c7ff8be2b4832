"""Progress bar: on a terminal only, and its text is no markup."""

import io
from contextlib import redirect_stderr

from eie_cli.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_displayed_on_a_terminal_with_its_text_as_it_is(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    with redirect_stderr(terminal), progress_bar("training") as progress:
        progress("prune [1/2]", 3, 4)
    assert "prune [1/2]" in terminal.getvalue()
    assert "3/4" in terminal.getvalue() and "75%" in terminal.getvalue()


def test_nothing_is_displayed_in_a_pipe(capsys):
    with progress_bar("training") as progress:
        progress("prune [1/2]", 3, 4)
    assert capsys.readouterr() == ("", "")
