"""Progress: a bar on a terminal, whose text is no markup, or lines in a pipe."""

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


def test_a_log_has_a_line_for_each_tenth(capsys):
    with progress_bar("proving", log=True) as progress:
        for done in range(31):
            progress(f"module {done}", done, 30)
        progress("the next", 0, 2)
        progress("the next", 1, 2)
    assert capsys.readouterr() == ("", "".join(
        f"module {done}: {done} of 30\n" for done in range(3, 31, 3)) + "the next: 1 of 2\n")
