"""Limits on the length and the number of parameters of functions that describe hardware.

These are the functions of ``eie_hdl`` named ``elaborate``, and those with a parameter ``m``, the
module to which they add. Lines are counted from `def` to the end, including comments and empty
lines, without the docstring.
"""

import ast
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "eie_hdl"

#: Limits of lines: of the median, of the longest, and of those of which there may be few.
MEDIAN, LONGEST, LONG, N_LONG = 30, 80, 60, 2
#: Limit of parameters besides `self`.
N_PARAMETERS = 5


def functions(text):
    """Functions of a module that describe hardware."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            names = [parameter.arg for parameter in ast.walk(node.args)
                     if isinstance(parameter, ast.arg)]
            if node.name == "elaborate" or "m" in names:
                yield node, len([name for name in names if name != "self"])


def n_lines(function):
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - (docstring.end_lineno - docstring.lineno + 1)


# Several classes of a file have an `elaborate`, so the line number is part of the key.
FOUND = {f"{path.relative_to(PACKAGE)}:{function.lineno}:{function.name}":
         (n_lines(function), n_parameters)
         for path in sorted(PACKAGE.rglob("*.py"))
         for function, n_parameters in functions(path.read_text(encoding="utf-8"))}
LENGTHS = {name: length for name, (length, _) in FOUND.items()}


def test_lines_and_parameters_are_counted_as_stated():
    text = '\n'.join([
        "def elaborate(self, platform):", '    """Docstring."""', "    m = Module()", "",
        "    # Comment.", "    return (", "        m)", "",
        "def _help(self, m, a, *, b=0):", "    pass", "", "def other(a):", "    pass"])
    assert [(function.name, n_lines(function), n_parameters)
            for function, n_parameters in functions(text)] == [("elaborate", 6, 1), ("_help", 2, 3)]


@pytest.mark.parametrize("which", ["elaborate", ""], ids=["components", "all"])
def test_half_of_the_functions_are_short(which):
    """Median length of `elaborate` methods alone, and with their helpers."""
    lengths = [length for name, length in LENGTHS.items() if name.endswith(which)]
    assert len(lengths) > 40
    assert statistics.median(lengths) <= MEDIAN


def test_few_functions_are_long_and_none_is_longer_than_a_screen():
    long = {name: length for name, length in LENGTHS.items() if length > LONG}
    assert len(long) <= N_LONG, long
    assert max(LENGTHS.values()) <= LONGEST, long


@pytest.mark.parametrize("name", FOUND)
def test_no_function_has_many_parameters(name):
    assert FOUND[name][1] <= N_PARAMETERS
