"""Text is UTF-8 in every locale: each call that reads or writes some names its encoding."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["benchmarks", "cli", "compiler", "docs", "drivers", "eie_hdl", "examples", "flows",
           "scripts", "sim", "tests"]
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]

#: Number of positional arguments with which a method's encoding is given.
METHODS = {"read_text": 1, "write_text": 2}
PROCESSES = {"run", "Popen", "check_output", "check_call", "call"}


def faults(text):
    """Lines with calls whose encoding depends on the locale."""
    return [node.lineno for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call) and depends_on_locale(node)]


def depends_on_locale(call):
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if {"encoding", None} & given.keys():    # `**options` may give one
        return False
    method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if method else getattr(call.func, "id", None)
    if method and name in METHODS:
        return len(call.args) < METHODS[name]
    if name == "TextIOWrapper":
        return len(call.args) < 2
    if name in PROCESSES:
        return is_true(given.get("text")) or is_true(given.get("universal_newlines"))
    if name == "open" and method and getattr(call.func.value, "id", None) == "os":
        return False    # a file descriptor, of bytes
    if name in ("open", "fdopen"):
        # The mode follows the file, which a method has already.
        at = 0 if name == "open" and method and not is_module(call.func.value) else 1
        mode = given.get("mode", call.args[at] if len(call.args) > at else None)
        return "b" not in getattr(mode, "value", "r")
    if name in ("NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"):
        mode = given.get("mode", call.args[0] if call.args else None)
        return mode is not None and "b" not in mode.value
    return False


def is_true(node):
    return isinstance(node, ast.Constant) and node.value is True


def is_module(node):
    return isinstance(node, ast.Name) and node.id in ("io", "os", "codecs", "gzip", "lzma", "bz2")


def test_all_sources_are_checked():
    listed = [path for path in SOURCES if path.parts[-1] == Path(__file__).name]
    assert listed == [Path(__file__).resolve()]
    if git := shutil.which("git"):
        tracked = subprocess.run([git, "ls-files", "*.py"], cwd=ROOT, capture_output=True,
                                 encoding="utf-8")
        assert {ROOT / name for name in tracked.stdout.split()} <= {*SOURCES}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_utf8_in_every_locale(path):
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("call, found", [
    ("path.read_text()", True),
    ("path.read_text('utf-8')", False),
    ("path.read_text(errors='replace')", True),
    ("path.write_text('a')", True),
    ("path.write_text('a', encoding='utf-8')", False),
    ("open(path)", True),
    ("open(path, 'w')", True),
    ("open(path, 'rb')", False),
    ("path.open()", True),
    ("path.open('a')", True),
    ("path.open(mode='wb')", False),
    ("path.open('w', encoding='utf-8')", False),
    ("io.open(path, 'wb')", False),
    ("os.open(path, flags)", False),
    ("os.fdopen(handle, 'w')", True),
    ("subprocess.run(command, text=True)", True),
    ("subprocess.run(command, text=True, encoding='utf-8')", False),
    ("subprocess.run(command, capture_output=True)", False),
    ("subprocess.run(command, **options)", False),
    ("io.TextIOWrapper(stream)", True),
    ("NamedTemporaryFile('w')", True),
    ("NamedTemporaryFile()", False),
])
def test_calls_that_depend_on_the_locale_are_found(call, found):
    assert bool(faults(call)) == found
