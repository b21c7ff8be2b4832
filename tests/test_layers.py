"""Allowed imports between packages, between the folders of a package, and no circles of modules."""

import ast
import functools
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["eie_hdl", "compiler/eie_compiler", "drivers/python/eie_driver", "sim/eie_sim",
           "benchmarks/eie_bench", "flows/eie_flows", "cli/eie_cli"]

#: Modules of the hardware that software may use: no component, hence no Amaranth elaboration; and
#: how optional dependencies are installed, files written, names checked, and the commit found.
CONTRACT = ["eie_hdl.config", "eie_hdl.numeric", "eie_hdl.format", "eie_hdl.packing",
            "eie_hdl.registers", "eie_hdl.frames", "eie_hdl.checkout", "eie_hdl.extras",
            "eie_hdl.files", "eie_hdl.identifiers"]
#: Tools also emit the hardware. The package root is for names of these modules only: a name that it
#: exports counts as an import of the module that defines it.
HARDWARE = [*CONTRACT, "eie_hdl.export", "eie_hdl.__init__"]

#: Prefixes of the modules that each package may import besides its own.
ALLOWED = {
    "eie_hdl": [],
    "eie_compiler": CONTRACT,
    "eie_driver": [*CONTRACT, "eie_compiler"],
    "eie_sim": [*HARDWARE, "eie_compiler", "eie_driver"],
    "eie_bench": [*HARDWARE, "eie_compiler", "eie_driver", "eie_sim"],
    "eie_flows": [*HARDWARE, "eie_compiler", "eie_driver", "eie_sim"],
    "eie_cli": [*HARDWARE, "eie_compiler", "eie_driver", "eie_sim", "eie_bench", "eie_flows"],
}

#: Within a package, the longest prefix of a module's name decides its row. A module imports from
#: rows above its own, and from its own prefix; prefixes of one row do not know each other.
ROWS = [
    ["eie_hdl.checkout", "eie_hdl.config", "eie_hdl.extras", "eie_hdl.files", "eie_hdl.frames",
     "eie_hdl.identifiers", "eie_hdl.numeric"],
    ["eie_hdl.format"],
    ["eie_hdl.packing", "eie_hdl.registers"],
    ["eie_hdl.lib"],
    ["eie_hdl.tree"],
    ["eie_hdl.pe", "eie_hdl.ccu", "eie_hdl.host"],
    ["eie_hdl.bridge", "eie_hdl.core"],
    ["eie_hdl.top"],
    ["eie_hdl.bridged_top"],
    ["eie_hdl.export"],
    ["eie_hdl"],

    ["eie_compiler.cycle_bound", "eie_compiler.remedies", "eie_compiler.sampling"],
    ["eie_compiler.errors", "eie_compiler.patches", "eie_compiler.vectors"],
    ["eie_compiler.preprocessing"],
    ["eie_compiler.accuracy", "eie_compiler.model", "eie_compiler.network"],
    ["eie_compiler.graph.operation"],
    ["eie_compiler.graph.operations", "eie_compiler.graph.graph"],
    ["eie_compiler.graph"],
    ["eie_compiler.files", "eie_compiler.random_networks"],
    ["eie_compiler.build", "eie_compiler.frontends"],
    ["eie_compiler.graph_build"],
    ["eie_compiler.lowering"],
    ["eie_compiler.graph_folder"],
    ["eie_compiler.compression"],
    ["eie_compiler.training"],
    ["eie_compiler"],

    ["eie_driver.bus", "eie_driver.c_arena", "eie_driver.c_elements", "eie_driver.c_names",
     "eie_driver.c_text", "eie_driver.errors"],
    ["eie_driver.c_step"],
    ["eie_driver.c_model", "eie_driver.c_operations", "eie_driver.registers", "eie_driver.pynq",
     "eie_driver.bridge_link"],
    ["eie_driver.c_steps", "eie_driver.identity", "eie_driver.serial_bus"],
    ["eie_driver.machine"],
    ["eie_driver.batch", "eie_driver.loading"],
    ["eie_driver.accelerator", "eie_driver.c_export"],
    ["eie_driver.c_network", "eie_driver.network"],
    ["eie_driver"],

    ["eie_sim.golden", "eie_sim.pauses"],
    ["eie_sim.cycles", "eie_sim.rtl"],
    ["eie_sim.inference"],
    ["eie_sim.node_runs"],
    ["eie_sim.golden_runner"],
    ["eie_sim.graph_inference"],
    ["eie_sim.demo", "eie_sim.hex_export"],
    ["eie_sim.c_driver"],
    ["eie_sim"],

    ["eie_bench.plotting"],
    ["eie_bench.paper"],
    ["eie_bench.explore"],
    ["eie_bench"],

    ["eie_flows"],

    ["eie_cli"],
    ["eie_cli.main"],
]

#: What the golden model may import besides itself. It must share nothing with what it checks.
GOLDEN = {f"eie_sim.golden.{name}"
          for name in ("descriptors", "loops", "model", "scales", "tables", "tile")}
GOLDEN_MAY = {*GOLDEN, "eie_hdl.config", "eie_hdl.numeric", "eie_hdl.format", "eie_hdl.packing"}

#: Modules that may import a module whose name is not known beforehand -> reason.
DYNAMIC = {"eie_compiler.frontends.__init__": "a front end of its own package, by kind of file"}

SOURCES = {".".join(path.relative_to((ROOT / folder).parent).with_suffix("").parts): path
           for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def has_prefix(module, prefix):
    return module == prefix or module.startswith(prefix + ".")


def package_of(module):
    return module.split(".")[0]


def rank(module):
    """Row of the longest matching prefix, and that prefix."""
    return max((len(prefix), row, prefix) for row, prefixes in enumerate(ROWS)
               for prefix in prefixes if has_prefix(module, prefix))[1:]


def origin(module, node):
    """Return the module or package from which a statement of a module imports names."""
    package = module.split(".")[:-1]
    base = package[:len(package) + 1 - node.level] if node.level else []
    return ".".join([*base, *filter(None, [node.module])])


@functools.cache
def exports(package):
    """Map the names that a package imports for its users to the modules that define them."""
    found = {}
    if source := SOURCES.get(f"{package}.__init__"):
        stub = source.with_suffix(".pyi")    # for names that are imported on first use
        for path in filter(Path.exists, (source, stub)):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ImportFrom):
                    name = origin(f"{package}.__init__", node)
                    found |= {alias.asname or alias.name: name for alias in node.names}
    return found


def aliases(tree):
    """Map the names that a module gives to imported modules to their full names."""
    return {alias.asname: alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
            for alias in node.names if alias.asname}


def imports(module, text):
    """Modules of this project that a module imports, also in functions and for type checking.

    A name of a package counts as both the package and the module that defines the name.
    """
    tree = ast.parse(text)
    known = aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            name = origin(module, node)
            # `from package import module` imports the module, or the package of that name.
            names = [inner if {inner, f"{inner}.__init__"} & SOURCES.keys() else name
                     for inner in (f"{name}.{alias.name}" for alias in node.names)]
            names += [exports(name)[alias.name] for alias in node.names
                      if alias.name in exports(name)]
        elif isinstance(node, ast.Attribute):
            # After `import package` or `import package as name`.
            name = ast.unparse(node.value)
            names = [exports(known.get(name, name)).get(node.attr, "")]
        else:
            continue
        for name in names:
            if package_of(name) in ALLOWED:
                yield f"{name}.__init__" if f"{name}.__init__" in SOURCES else name


def unreadable(module, text):
    """Imports of this project that do not say which names or modules they import."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            if node.names[0].name == "*" and package_of(origin(module, node)) in ALLOWED:
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and module not in DYNAMIC:
            function = ast.unparse(node.func).split(".")[-1]
            name = next((argument.value for argument in node.args[:1]
                         if isinstance(argument, ast.Constant)), "")    # "" if computed
            if function in ("import_module", "__import__") and (
                    package_of(name) in {"", *ALLOWED}):
                yield ast.unparse(node)


def faults(module, text):
    """Imports that are not allowed."""
    yield from unreadable(module, text)
    package = package_of(module)
    for name in imports(module, text):
        if package_of(name) != package:
            if not any(has_prefix(name, prefix) for prefix in ALLOWED[package]):
                yield name
        elif rank(name) != rank(module) and rank(name)[0] >= rank(module)[0]:
            yield name


def circle(texts):
    """Modules of which each imports the next and the last is the first; empty if there are none."""
    graph = {module: set(imports(module, text)) - {module} for module, text in texts.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_down(module):
    assert list(faults(module, SOURCES[module].read_text(encoding="utf-8"))) == []


def test_no_modules_import_each_other_in_a_circle():
    path = circle({module: path.read_text(encoding="utf-8") for module, path in SOURCES.items()})
    assert not path, " imports ".join(path)


@pytest.mark.parametrize("module", sorted(GOLDEN))
def test_golden_model_shares_no_code_with_what_it_checks(module):
    assert set(imports(module, SOURCES[module].read_text(encoding="utf-8"))) <= GOLDEN_MAY


@pytest.mark.parametrize("prefix", [prefix for row in ROWS for prefix in row])
def test_every_row_is_of_modules_that_exist(prefix):
    assert any(has_prefix(module, prefix) for module in SOURCES)


@pytest.mark.parametrize("module, text, expected", [
    ("eie_hdl.config", "from .format import Layouts", ["eie_hdl.format"]),
    ("eie_hdl.config", "from . import format", ["eie_hdl.format"]),
    ("eie_hdl.pe.mac", "import eie_compiler.lowering.csc", ["eie_compiler.lowering.csc"]),
    ("eie_hdl.pe.mac", "from ..tree.lnzd import LnzdTree\nfrom ..ccu.ccu import Ccu",
     ["eie_hdl.ccu.ccu"]),
    ("eie_hdl.pe.__init__", "from ..format import Layouts\nfrom .mac import Mac", []),
    ("eie_hdl.tree.tree", "from .. import EIEConfig", ["eie_hdl.__init__"]),
    ("eie_hdl.tree.tree", "from .. import Core", ["eie_hdl.__init__", "eie_hdl.core"]),
    ("eie_compiler.model", "from eie_hdl.tree.lnzd import LnzdTree", ["eie_hdl.tree.lnzd"]),
    ("eie_compiler.model", "from eie_hdl import EIEConfig", ["eie_hdl.__init__"]),
    ("eie_compiler.model", "from eie_hdl import config", []),
    ("eie_compiler.model", "from eie_hdl.export.verilog import emit", ["eie_hdl.export.verilog"]),
    ("eie_compiler.model", "def f():\n  from eie_sim.golden import model",
     ["eie_sim.golden.model"]),
    ("eie_compiler.network", "def f():\n  from .files.network_file import read_network",
     ["eie_compiler.files.network_file"]),
    ("eie_compiler.frontends.onnx", "from ..lowering import csc", ["eie_compiler.lowering.csc"]),
    ("eie_driver.bus", "from eie_sim.golden.model import GoldenModel", ["eie_sim.golden.model"]),
    ("eie_driver.batch", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
                         "  from .accelerator import Accelerator", ["eie_driver.accelerator"]),
    ("eie_sim.inference", "from eie_hdl.export.verilog import emit\nimport numpy", []),
    ("eie_sim.inference", "from eie_hdl import emit\nfrom eie_hdl.top import Eie", ["eie_hdl.top"]),
    ("eie_sim.inference", "from eie_hdl import Core, EIEConfig", ["eie_hdl.core"]),
    ("eie_bench.host", "def f():\n  from eie_hdl import Eie as Top", ["eie_hdl.top"]),
    ("eie_cli.run", "import eie_hdl\ncore = eie_hdl.Core", ["eie_hdl.core"]),
    ("eie_cli.run", "import eie_hdl as h\ncore = h.Core", ["eie_hdl.core"]),
    ("eie_cli.run", "import eie_hdl.top as t\ntop = t.Eie", ["eie_hdl.top"]),
    ("eie_cli.run", "from eie_hdl import *", ["from eie_hdl import *"]),
    ("eie_hdl.pe.mac", "from .sram import *", ["from .sram import *"]),
    ("eie_cli.run", "from numpy import *", []),
    ("eie_cli.run", "import importlib\nimportlib.import_module('eie_hdl.top')",
     ["importlib.import_module('eie_hdl.top')"]),
    ("eie_cli.run", "from importlib import import_module\nimport_module('.top', 'eie_hdl')",
     ["import_module('.top', 'eie_hdl')"]),
    ("eie_cli.run", "__import__(name)", ["__import__(name)"]),
    ("eie_cli.run", "import importlib\nimportlib.import_module('numba')", []),
    ("eie_compiler.model", "from eie_hdl import Core", ["eie_hdl.__init__", "eie_hdl.core"]),
    ("eie_sim.inference", "from eie_bench.paper.nine_layers import LAYERS",
     ["eie_bench.paper.nine_layers"]),
    ("eie_bench.paper.plots", "from ..explore.figures import draw", ["eie_bench.explore.figures"]),
    ("eie_bench.paper.plots", "from .. import explore, plotting", ["eie_bench.explore.__init__"]),
    ("eie_bench.explore.measure", "from ..paper import measure\nfrom .. import plotting", []),
    ("eie_bench.paper.energy", "from eie_flows.synthesis import synthesise",
     ["eie_flows.synthesis"]),
    ("eie_flows.synthesis", "from eie_bench import plotting", ["eie_bench.plotting"]),
    ("eie_cli.console", "from .main import main", ["eie_cli.main"]),
    ("eie_cli.main", "from . import console", []),
])
def test_forbidden_imports_are_found(module, text, expected):
    assert list(faults(module, text)) == expected


@pytest.mark.parametrize("texts, expected", [
    ({"eie_hdl.a": "from .b import x", "eie_hdl.b": "from .c import x", "eie_hdl.c": ""}, set()),
    ({"eie_hdl.a": "from .b import x", "eie_hdl.b": "def f():\n  from . import top",
      "eie_hdl.top": "import typing\nif typing.TYPE_CHECKING:\n  from .a import x"},
     {"eie_hdl.a", "eie_hdl.b", "eie_hdl.top"}),
    ({"eie_hdl.pe.__init__": "from .mac import Mac", "eie_hdl.pe.mac": "from . import Pe"},
     {"eie_hdl.pe.__init__", "eie_hdl.pe.mac"}),
    ({"eie_hdl.a": "import eie_hdl.a"}, set()),
])
def test_circles_are_found(texts, expected):
    path = circle(texts)
    assert set(path) == expected
    # Each imports the next, all around.
    assert all(after in imports(before, texts[before]) for before, after in zip(path, path[1:]))
    assert path[:1] == path[-1:]
