"""`eie`: its help, with that of `eie_cli.bench`, and errors with a traceback."""

import re
import subprocess
import sys

import click
import pytest

from eie_cli.main import main

COMMANDS = ["asic", "bench", "board", "cache", "compare", "compile", "compress", "constraints",
            "demo", "doctor", "equiv", "explore", "export", "fit", "info", "layout", "netlist-sim",
            "registers", "run", "sensitivity", "synth", "train", "verilog"]


@pytest.mark.parametrize(("command", "text"), [
    ("compress", "of a graph with several outputs, for the first"),
    ("run", "for networks with one output"), ("compare", "a chain of layers, not a graph"),
    ("export", "hex, of a chain of layers only"), ("compile", "of a chain of layers only")])
def test_help_says_what_graphs_lack(eie, command, text):
    code, shown = eie(command, "--help")
    assert code == 0 and text in " ".join(shown.split())


def test_help_imports_no_heavy_dependency():
    """NumPy and larger packages are imported only by commands that need them."""
    script = ("import sys, eie_cli.main; "
              "print(sorted({'amaranth', 'numpy', 'scipy', 'torch', 'numba', 'matplotlib', "
              "'distributed'} & set(sys.modules)))")
    run = subprocess.run([sys.executable, "-c", script], encoding="utf-8", capture_output=True,
                         check=True)
    assert run.stdout == "[]\n"


def test_every_command_and_option_is_explained(eie):
    code, text = eie("--help")
    assert code == 0
    assert re.findall(r"^  (\w[\w-]*)  ", text, re.M) == COMMANDS
    assert "..." not in text.partition("Commands:")[2]    # all fit their line
    bench, board = main.commands["bench"], main.commands["board"]
    for name, command in [*main.commands.items(), *(
            (f"{path} {name}", inner)
            for path, group in {"bench": bench, "board": board,
                                "board ulx3s": board.commands["ulx3s"]}.items()
            for name, inner in group.commands.items())]:
        assert eie(*name.split(), "-h")[0] == 0
        assert command.help
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, f"{name} {option.name}"


def test_traceback_is_shown_on_request(tmp_path, eie):
    with pytest.raises(ValueError, match="--pes must be"):
        eie("--traceback", "verilog", "--pes", 3, "-o", tmp_path / "v")
