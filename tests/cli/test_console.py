"""Output of the commands is independent of path lengths and of the environment."""

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout

import numpy as np
import pytest
from rich.text import Text

from eie_cli.console import format_count, make_console, make_table, print_table, show_build, working
from eie_compiler.files.network_file import write_network
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
from eie_hdl.config import PRESETS

#: Colours and other effects on a terminal.
ESCAPE = re.compile(r"\x1b\[[\d;]*m")

PROGRAM = "from eie_cli.main import main; main()"

#: Environments that users, CI services and cron run commands in.
ENVIRONMENTS = {
    "forced colour": {"FORCE_COLOR": "1"},
    "forced colour on a dumb terminal": {"FORCE_COLOR": "1", "TERM": "dumb"},
    "no colour": {"NO_COLOR": "1"},
    "narrow": {"COLUMNS": "20"},
    "wide": {"COLUMNS": "300"},
    "dumb terminal": {"TERM": "dumb"},
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
    "no home": {"HOME": "/proc/nohome", "XDG_CACHE_HOME": ""},
}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "net.npz"
    write_network(path, random_network(np.random.default_rng(2), [12, 40, 5], density=0.3))
    return path


def run(*arguments, **environment):
    """Run `eie` in a separate process; return its standard output, a pipe."""
    usual = {"TERM": "xterm", "PYTHONUTF8": "1", "PYTHONIOENCODING": ""}
    result = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, arguments)],
                            capture_output=True, env={**os.environ, **usual, **environment})
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A narrow terminal, to which a test redirects the output."""
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


@pytest.mark.parametrize("length", range(8, 131))
def test_titles_of_all_lengths_are_one_line(capsys, length):
    path = "/tmp/a b-c/d".ljust(length, "e")[:length]
    print_table(make_table("layer", "rows", title=f"{path}/net.npz"), [["fc1", "12"]])
    assert capsys.readouterr().out.splitlines() == [
        f"{path}/net.npz", "layer  rows", "fc1      12", ""]


def test_cells_are_never_wrapped_in_a_pipe(capsys):
    print_table(make_table("a " * 100, "b"), [["c " * 200, "d"]])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_title_on_a_terminal_is_one_line(terminal):
    with redirect_stdout(terminal):
        print_table(make_table("layer", title="a b " * 20), [["fc1 " * 20]])
    lines = ESCAPE.sub("", terminal.getvalue()).splitlines()
    assert lines[0] == "a b " * 20
    assert max(map(len, lines[1:])) <= 30
    assert "\x1b[" in terminal.getvalue()


def test_numbers_and_parts_of_paths_are_whole_on_a_narrow_terminal(terminal):
    with redirect_stdout(terminal):
        print_table(make_table("node", "on", "end-to-end cycles", "ok"), [
            ["l.LSTM/h_next", "accelerator", "130,774.0", Text("yes", "green")],
            ["all", "", "9,130,774.0", Text("no", "red")]])
    assert [line.rstrip() for line in ESCAPE.sub("", terminal.getvalue()).splitlines()] == [
        "                    end-to-end", "node   on               cycles ok",
        "l.     accelerator   130,774.0 yes", "LSTM/", "h_next",
        "all                9,130,774.0 no", ""]


def test_colour_follows_the_current_output(terminal, capsys):
    make_console().print("text", style="red")
    with redirect_stdout(terminal):
        make_console().print("text", style="red")
    assert capsys.readouterr().out == "text\n"
    assert terminal.getvalue() == "\x1b[31mtext\x1b[0m\n"


def test_progress_is_displayed_on_a_terminal_only(terminal, monkeypatch, capsys):
    with redirect_stdout(terminal), working("at [/a]") as progress:
        progress("at [/b] :smile:")
    assert "at [/b] :smile: …" in terminal.getvalue()
    monkeypatch.setenv("FORCE_COLOR", "1")
    with working("at [/a]") as progress:
        progress("at [/b]")
    assert capsys.readouterr() == ("", "")


def test_steps_of_a_command_of_minutes_are_lines_in_a_pipe(capsys):
    with working("at [/a]", log=True) as progress:
        assert capsys.readouterr() == ("", "at [/a]\n")
        progress("at [/b]")
    assert capsys.readouterr() == ("", "at [/b]\n")


NAME = "p[/q][red] :smile: [bold"


@pytest.fixture
def compiled():
    """Build of a layer whose name looks like markup."""
    layer = make_layer(np.ones((3, 2), np.uint8), codebook=np.linspace(0, 1, 8),
                       name=NAME.replace("/", ""))
    return compile_network(CompressedNetwork((layer,), input_frac=4, v_width=3), PRESETS["tiny"])


def test_titles_columns_and_cells_are_no_markup(capsys):
    print_table(make_table(f"{NAME} 1", title=f"{NAME} 2"), [[f"{NAME} 3"], [Text("4", "red")]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [*(f"{NAME} {number}" for number in (2, 1, 3)), "4", ""]


@pytest.mark.parametrize("folder", ["p[/q]", "[red]", "a:smile:b", "[/]", "[link=x]y"])
def test_paths_are_no_markup(tmp_path, eie, folder):
    path = tmp_path / folder / "n.npz"
    path.parent.mkdir(parents=True)
    write_network(path, random_network(np.random.default_rng(2), [12, 5], density=0.3))
    code, text = eie("info", path)
    assert code == 0 and text.splitlines()[0] == str(path)
    build, inputs = path.parent / "build", path.parent / "x.npy"
    np.save(inputs, np.zeros((1, 12)))
    code, text = eie("compile", path, "--pes", 2, "-o", build)
    assert code == 0 and text.splitlines()[0] == f"{build}: 2 PEs, balanced"
    code, text = eie("run", build, "--input", inputs, "-o", path.parent / "out")
    assert code == 0 and text.splitlines()[0] == f"{path.parent}/out: 1 inference, golden"
    code, text = eie("info", path.parent / "none")
    assert code == 2 and f"Path '{path.parent}/none' does not exist" in text


def test_names_of_layers_are_no_markup(compiled, capsys):
    show_build("build", compiled)
    assert f"\n{NAME.replace('/', '')}  " in capsys.readouterr().out


@pytest.fixture(scope="module")
def usual(network):
    """Output of `eie info` in the usual environment."""
    return run("info", network).decode()


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_a_pipe_gets_the_same_in_every_environment(network, usual, environment):
    expected = usual
    assert expected.splitlines()[0] == str(network)
    got = run("info", network, **environment)
    if "PYTHONUTF8" in environment:
        expected = expected.replace("→", "->")
        if "LC_ALL" in environment:
            expected = expected.replace("×", "x")
        # Replacements are longer, which widens the columns.
        assert got.decode("latin-1").split() == expected.split()
    else:
        assert ESCAPE.sub("", got.decode()) == expected
        assert (b"\x1b[" in got) == ("FORCE_COLOR" in environment and "TERM" not in environment)


def test_help_and_json_are_the_same_in_every_environment(network):
    for arguments in (["--help"], ["run", "-h"], ["info", network, "--json"]):
        outputs = {run(*arguments, **environment)
                   for name, environment in ENVIRONMENTS.items()
                   if name in ("forced colour", "no home")}
        assert len(outputs) == 1
    assert json.loads(outputs.pop())["layers"][0]["shape"] == [40, 12]


@pytest.mark.parametrize("n, text", [(0, "0 PEs"), (1, "1 PE"), (2, "2 PEs"), (1234, "1,234 PEs")])
def test_the_noun_agrees_with_its_number(n, text):
    assert format_count(n, "PE") == text


def test_the_title_of_a_build_for_one_pe_is_in_the_singular(capsys):
    network = random_network(np.random.default_rng(0), [4, 3], frac=4, v_width=3)
    config = dataclasses.replace(PRESETS["tiny"], n_pe=1)
    show_build("b", compile_network(network, config))
    assert "b: 1 PE, balanced" in capsys.readouterr().out


def test_dead_rows_and_inputs_that_were_removed_are_listed_with_the_reason(capsys):
    codes = [np.array([[1, 0], [0, 0], [1, 0], [1, 1]], np.uint8),
             np.array([[1, 1, 0, 0]], np.uint8)]
    network = CompressedNetwork(tuple(
        make_layer(matrix, codebook=[0, 1] * 4, name=name)
        for matrix, name in zip(codes, ["a", "b"])), input_frac=4, v_width=3)
    for keep, line in ((False, ["dead rows removed: 2 unread of a, 1 constant of a",
                                "dead inputs not sent: 1 of 2"]), (True, [])):
        show_build("b", compile_network(network, PRESETS["tiny"], keep_dead_rows=keep))
        assert [found for found in capsys.readouterr().out.splitlines() if "dead" in found] == line
