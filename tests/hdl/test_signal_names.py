"""Names of signals in the Verilog: the same under every version of Python."""

import ast
from pathlib import Path

import pytest

import eie_hdl

PACKAGE = Path(eie_hdl.__file__).parent
SOURCES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def anonymous(text):
    """Lines of signals that no version of Python, or not each, gives a name.

    Amaranth reads a name from the bytecode that follows the call, which differs between versions
    unless the signal is all that a statement assigns, and to one name.
    """
    tree = ast.parse(text)
    named = {id(node.value) for node in ast.walk(tree)
             if isinstance(node, ast.Assign) and len(node.targets) == 1
             and isinstance(node.targets[0], (ast.Name, ast.Attribute))}
    return [node.lineno for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Signal", "Signal.like")
            and id(node) not in named and not any(each.arg == "name" for each in node.keywords)]


@pytest.mark.parametrize("source", SOURCES)
def test_every_signal_has_a_name(source):
    assert anonymous(SOURCES[source].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(("text", "lines"), [
    ("a = Signal(8)", []),
    ("self.a = Signal.like(b)", []),
    ("f(Signal(name='a'))", []),
    ("a, b = Signal(), Signal(8)", [1, 1]),
    ("a = b = Signal()", [1]),
    ("a = [Signal() for _ in c]", [1]),
    ("a = Signal() if b else c", [1]),
    ("a['b'] = Signal()", [1]),
    ("if a:\n    f(Signal.like(b))", [2]),
    ("if (a := Signal()) is b: pass", [1]),
])
def test_signals_without_a_name_are_found(text, lines):
    assert anonymous(text) == lines
