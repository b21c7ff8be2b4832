"""Who may import whom: a module imports only from rows above its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["eie_hdl", "compiler/eie_compiler", "drivers/python/eie_driver", "sim/eie_sim",
           "benchmarks/eie_bench", "flows/eie_flows", "cli/eie_cli"]

#: The longest prefix of a module's name decides its row. Modules of one row may import each other
#: only within their prefix: the hardware and the compiler do not know each other.
LAYERS = [
    ["eie_hdl.config", "eie_hdl.numeric"],
    ["eie_hdl.format"],
    ["eie_hdl.packing"],
    ["eie_hdl", "eie_compiler"],
    ["eie_driver"],
    ["eie_sim"],
    ["eie_bench", "eie_flows"],
    ["eie_bench.paper"],
    ["eie_bench.explore"],
    ["eie_cli"],
]

#: What the golden model may import besides itself. It must share nothing with what it checks.
GOLDEN = {"eie_sim.golden.model", "eie_sim.golden.tile"}
GOLDEN_MAY = {*GOLDEN, "eie_hdl.config", "eie_hdl.numeric", "eie_hdl.format", "eie_hdl.packing"}

SOURCES = {".".join(path.relative_to((ROOT / folder).parent).with_suffix("").parts): path
           for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def rank(module):
    """Row of the longest matching prefix, and that prefix; `None` for what is not ours."""
    found = [(len(prefix), row, prefix) for row, prefixes in enumerate(LAYERS)
             for prefix in prefixes if module == prefix or module.startswith(prefix + ".")]
    return max(found)[1:] if found else None


def imports(module, text):
    """Names of all modules of ours that a module imports, wherever in its text."""
    package = module.removesuffix(".__init__").split(".")
    if not module.endswith(".__init__"):
        package = package[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) + 1 - node.level] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            # `from package import module` imports the module, or the package of that name.
            names = [inner if {inner, f"{inner}.__init__"} & SOURCES.keys() else name
                     for inner in (f"{name}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if rank(name))


def faults(module, text):
    """Imports that are not allowed."""
    return [name for name in imports(module, text)
            if rank(name) != rank(module) and rank(name)[0] >= rank(module)[0]]


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_down(module):
    assert faults(module, SOURCES[module].read_text()) == []


@pytest.mark.parametrize("module", sorted(GOLDEN))
def test_golden_model_shares_no_code_with_what_it_checks(module):
    assert set(imports(module, SOURCES[module].read_text())) <= GOLDEN_MAY


@pytest.mark.parametrize("module, text, expected", [
    ("eie_hdl.config", "from .format import Layouts", ["eie_hdl.format"]),
    ("eie_hdl.config", "from . import format", ["eie_hdl.format"]),
    ("eie_hdl.pe.mac", "import eie_compiler.lowering.csc", ["eie_compiler.lowering.csc"]),
    ("eie_compiler.model", "from eie_hdl.tree.lnzd import LnzdTree", ["eie_hdl.tree.lnzd"]),
    ("eie_compiler.model", "def f():\n  from eie_sim.golden import model",
     ["eie_sim.golden.model"]),
    ("eie_hdl.pe.__init__", "from ..format import Layouts\nfrom .mac import Mac", []),
    ("eie_driver.bus", "from eie_sim.golden.model import GoldenModel", ["eie_sim.golden.model"]),
    ("eie_bench.paper.plots", "from ..explore.figures import draw", ["eie_bench.explore.figures"]),
    ("eie_bench.paper.plots", "from .. import explore, plotting", ["eie_bench.explore"]),
    ("eie_sim.inference", "from eie_bench.paper.nine_layers import LAYERS",
     ["eie_bench.paper.nine_layers"]),
    ("eie_bench.explore.measure", "from ..paper import measure\nfrom .. import plotting", []),
    ("eie_sim.inference", "from eie_hdl.export.verilog import emit\nimport numpy", []),
])
def test_forbidden_imports_are_found(module, text, expected):
    assert faults(module, text) == expected
