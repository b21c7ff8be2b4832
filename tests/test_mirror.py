"""Tests mirror the packages: a test file per module, in the folder that mirrors its own."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"

#: Folder of each package -> folder of its tests.
MIRROR = {"eie_hdl": "hdl", "compiler/eie_compiler": "compiler",
          "drivers/python/eie_driver": "drivers/python", "sim/eie_sim": "sim",
          "benchmarks/eie_bench": "benchmarks", "flows/eie_flows": "flows", "cli/eie_cli": "cli"}

#: Modules without a test file of their name -> test file that covers them, and the reason.
COVERED = {
    **{f"eie_hdl.bridge.{name}": (
        "hdl/bridge/test_bridge.py", "the bridge of that file consists of it")
       for name in ("executor", "frame_receiver", "frame_sender")},
    "eie_hdl.bridged_top": (
        "hdl/export/test_verilog.py", "emitted with a bridge there"),
    "eie_hdl.ccu.start_order": (
        "hdl/ccu/test_starter.py", "decides the order of starts there"),
    "eie_hdl.host.word_assembler": (
        "hdl/host/test_packet_reader.py", "assembles the words of the reader"),
    "eie_compiler.lowering.step_stages": (
        "compiler/lowering/test_step_lowering.py", "the stages that are listed there"),
    "eie_compiler.files.manifest_folder": (
        "compiler/files/test_build_folder.py", "reads and replaces the folders of that file"),
    "eie_compiler.frontends": (
        "compiler/frontends/test_arrays.py", "chooses a front end by the kind of file"),
    "eie_compiler.frontends.geometry": (
        "compiler/frontends/test_onnx.py", "its convolutions are compared with onnxruntime"),
    "eie_compiler.frontends.onnx_fixed": (
        "compiler/frontends/test_onnx_branches.py", "fixes what the conditions of that file need"),
    "eie_compiler.frontends.onnx_constants": (
        "compiler/frontends/test_onnx.py", "needs the models of that file"),
    "eie_compiler.frontends.onnx_graph": (
        "compiler/frontends/test_onnx.py", "needs the models of that file"),
    "eie_compiler.frontends.assembly": (
        "compiler/frontends/test_chain.py", "its chains are assembled there"),
    "eie_compiler.frontends.folding": (
        "compiler/frontends/test_graph_fusion.py", "folds constants of the graphs there"),
    "eie_compiler.frontends.graph_integers": (
        "compiler/frontends/test_graph_scales.py", "what scales commute with there"),
    "eie_compiler.frontends.onnx_chain": (
        "compiler/frontends/test_onnx.py", "reads the chains of that file"),
    "eie_compiler.frontends.onnx_steps": (
        "compiler/frontends/test_onnx.py", "reads the operations of that file"),
    "eie_compiler.frontends.onnx_problems": (
        "compiler/frontends/test_onnx_operations.py", "lists the operations of that file"),
    "eie_compiler.frontends.recurrent_cells": (
        "compiler/frontends/test_onnx_network.py", "makes the cells of that file"),
    **{f"eie_compiler.frontends.onnx_{name}": (
        "compiler/frontends/test_onnx_network.py", "reads a part of the networks of that file")
       for name in ("arrangement", "batch", "elementwise", "folding", "pooling",
                    "recurrent", "resampling", "roots", "shapes", "site", "tail", "values")},
    **{f"eie_compiler.frontends.tflite_{name}": (
        "compiler/frontends/test_tflite.py", "translates the networks of that file")
       for name in ("constants", "layers", "layout", "operators", "site", "writer")},
    "eie_compiler.frontends.tflite_part": (
        "compiler/frontends/test_tflite_problems.py", "finds the operators of that file"),
    "eie_compiler.frontends.tflite_records": (
        "compiler/frontends/test_tflite_file.py", "consists of what that file reads"),
    "eie_compiler.frontends.pytorch_work": (
        "compiler/frontends/test_pytorch_program.py", "limits the programs of that file"),
    "eie_compiler.frontends.pytorch_graph": (
        "compiler/frontends/test_pytorch.py", "needs the modules of that file"),
    "eie_compiler.files.stored_network": (
        "compiler/files/test_network_file.py", "the networks of that file are stored by it"),
    "eie_compiler.lowering.csc_decode": (
        "compiler/lowering/test_csc.py", "decodes what that file encodes"),
    "eie_compiler.lowering.load": (
        "compiler/lowering/test_programs.py", "makes the load of that file's programs"),
    "eie_compiler.lowering.lower": (
        "compiler/lowering/test_compile.py", "the first half of that compilation"),
    "eie_compiler.lowering.lowered_network": (
        "compiler/lowering/test_compile.py", "the result of the first half of that compilation"),
    "eie_driver.loading": (
        "drivers/python/test_accelerator.py", "the driver of that file loads by it"),
    "eie_driver.c_operations": (
        "sim/c_driver/test_network_library.py", "its steps are run by that file"),
    "eie_driver.c_steps": (
        "sim/c_driver/test_network_library.py", "its steps are run by that file"),
    "eie_flows.synthesis": (
        "cli/test_synth.py", "takes the steps of that command"),
    "eie_flows.netlist.synthesis": (
        "flows/netlist/test_simulation.py", "makes the netlists of that file"),
    "eie_flows.netlist.bench_netlist": (
        "flows/netlist/test_simulation.py", "runs in the simulations of make netlist-sim"),
    "eie_flows.measure_logic": (
        "flows/test_logic.py", "synthesises what that file's estimates are fitted to"),
    "eie_hdl.export.families": (
        "flows/test_mapping.py", "a PE is synthesised for each of them"),
    "eie_sim.cycles.kernel": (
        "sim/cycles/test_model.py", "compiled by Numba, and called by the model alone"),
    "eie_cli.board": ("cli/board/test_run.py", "groups the command of that file"),
    "eie_sim.demo.on_board": (
        "cli/board/test_run.py", "run by the command of that file"),
    "eie_sim.demo.demo": (
        "cli/test_demo.py", "takes a simulation, which the command runs as well"),
    "eie_sim.golden.fake_machine": (
        "drivers/python/conftest.py", "the driver's tests run on it"),
    "eie_sim.golden.descriptors": (
        "sim/golden/test_model.py", "decodes what the golden model runs"),
    "eie_sim.golden.tile": (
        "sim/golden/test_model.py", "decodes what the golden model runs"),
    "eie_sim.golden_runner": (
        "sim/test_graph_inference.py", "runs the layers of the inferences of that file"),
    "eie_sim.rtl.benches.bench_eie": (
        "sim/rtl/test_cocotb_engine.py", "runs in the engine's simulation"),
    "eie_sim.rtl.cocotb_bench": (
        "sim/rtl/test_simulators.py", "runs what that file compiles"),
    "eie_sim.rtl.cocotb_bus": (
        "benches/bench_driver.py", "runs in a simulation"),
    "eie_sim.rtl.cocotb_process": (
        "sim/rtl/test_simulators.py", "a process of its own"),
    "eie_sim.rtl.benches.bench_network": (
        "sim/test_graph_inference.py", "runs in the simulation of that file"),
    "eie_sim.rtl.cocotb_network": (
        "sim/test_graph_inference.py", "runs the simulation of that file"),
    "eie_sim.rtl.measured_driver": (
        "sim/rtl/test_verilator_machines.py", "runs on the machines of that file"),
    "eie_sim.rtl.verilator_host": (
        "sim/rtl/test_verilator_engine.py", "compiles what the engine runs"),
    "eie_sim.rtl.verilator_bus": (
        "drivers/python/test_accelerator.py", "the driver's tests run on it"),
    "eie_bench.explore.explore": (
        "cli/test_explore.py", "joins the modules that the command needs"),
    "eie_cli.bench": (
        "cli/test_main.py", "groups commands, whose help is tested there"),
    "eie_cli.graph_builds": (
        "cli/test_run_graph.py", "prints the builds and runs of that file"),
    "eie_cli.explore_tables": (
        "cli/test_explore.py", "prints the sweeps of that file"),
    "eie_cli.asic": (
        "flows/asic/test_report.py", "prints the report of that file"),
    "eie_cli.layout": (
        "flows/asic/layout/test_report.py", "prints the report of that file"),
    "eie_cli.netlist_sim": (
        "flows/netlist/test_simulation.py", "prints the comparisons of that file"),
    "eie_cli.equiv": (
        "flows/netlist/test_equivalence.py", "prints the proofs of that file"),
    "eie_cli.graph_tables": (
        "cli/test_compress_graph.py", "prints the graphs of that file"),
    "eie_cli.bench.fit": ("cli/test_fit.py", "chooses machines as the command of that file"),
    "eie_cli.bench.c_driver": (
        "sim/c_driver/test_network_program.py", "prints the measurements of that file"),
    **{f"eie_cli.bench.{name}": (f"benchmarks/{file}", "prints the measurements of that file")
       for name, file in {"compile": "test_compile.py",
                          "end_to_end": "test_end_to_end.py", "host": "test_host.py",
                          "layers": "paper/test_run.py", "networks": "networks/test_measure.py",
                          "onchip": "onchip/test_measure.py",
                          "peers": "peers/test_run.py",
                          "sharing": "test_sharing.py",
                          "simulation": "test_simulation.py"}.items()},
}

#: Test files in mirroring folders without a module of their name -> reason.
WITHOUT_MODULE = {
    "cli/test_outputs.py": "outputs of all commands",
    "compiler/graph/test_operations.py": "properties of all operations",
    "hdl/ccu/test_ccu_load.py": "part of the tests of ccu.ccu, by subject",
    "hdl/host/test_packet_reader_status.py": "part of the tests of host.packet_reader, by subject",
    "hdl/host/test_packets_and_starts.py": "packets and starts in any order, in several modules",
    "hdl/test_core_in_flight.py": "part of the tests of core, by subject",
    "hdl/test_core_loops.py": "part of the tests of core, by subject",
    "hdl/test_core_recovery.py": "part of the tests of core, by subject",
    "hdl/test_core_vectors.py": "part of the tests of core, by subject",
    "hdl/test_elaborate_lengths.py": "style of all modules",
    "hdl/test_top_orders.py": "part of the tests of top, by subject",
    "flows/sky130/test_published.py": "the library of that folder beside the published one",
    "hdl/test_signal_names.py": "names in the Verilog of all modules",
    "sim/c_driver/test_operations.py": "a header of the C driver",
    "sim/golden/test_model_float.py": "golden.model against floating point, through the compiler",
}

#: What only code with a behaviour of its own contains.
BEHAVIOUR = (ast.If, ast.For, ast.While, ast.Return, ast.Yield, ast.Raise, ast.Try, ast.With,
             ast.comprehension)


def module_of(path):
    """Return the name of a module; a package is a module of its own name."""
    folder = next(folder for folder in MIRROR if path.is_relative_to(ROOT / folder))
    name = ".".join(path.relative_to((ROOT / folder).parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


def mirror_of(path):
    """Return the path of the test file that mirrors a module."""
    folder, tests = next((folder, tests) for folder, tests in MIRROR.items()
                         if path.is_relative_to(ROOT / folder))
    if path.stem == "__init__":
        path = path.parent
    place = path.relative_to(ROOT / folder).parent
    return TESTS / tests / place / f"test_{path.stem}.py"


def only_declares(text):
    """True if a module contains constants, and classes at most with a constructor that stores."""
    functions = [node for node in ast.walk(ast.parse(text))
                 if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))]
    return all(getattr(function, "name", "") == "__init__"
               and not any(isinstance(node, BEHAVIOUR) for node in ast.walk(function))
               for function in functions)


def mentions(text, module):
    """True if a test file imports a module, or contains its full name."""
    return bool(re.search(rf"\b{re.escape(module)}\b", text)) or any(
        module in {f"{node.module}.{alias.name}" for alias in node.names}
        for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom))


MODULES = {module_of(path): path for folder in MIRROR
           for path in sorted((ROOT / folder).rglob("*.py"))
           if path.stem != "__main__"
           and not only_declares(path.read_text(encoding="utf-8"))}

TEST_FILES = [path for folder in MIRROR.values() for path in (TESTS / folder).rglob("test_*.py")]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_either_a_test_file_of_its_name_or_a_reason(module):
    path = mirror_of(MODULES[module])
    assert path.exists() != (module in COVERED), path
    assert not path.exists() or mentions(path.read_text(encoding="utf-8"), module), path


@pytest.mark.parametrize("module", COVERED)
def test_the_tests_that_cover_a_module_mention_it(module):
    assert module in MODULES
    assert mentions((TESTS / COVERED[module][0]).read_text(encoding="utf-8"), module)


def test_every_test_file_has_either_a_module_of_its_name_or_a_reason():
    mirrors = set(map(mirror_of, MODULES.values()))
    alone = {path.relative_to(TESTS).as_posix() for path in TEST_FILES if path not in mirrors}
    assert alone == WITHOUT_MODULE.keys()


@pytest.mark.parametrize("text, expected", [
    ("LIMIT = 8\n", True),
    ("class Error(ValueError):\n  def __init__(self, code):\n    self.code = code\n", True),
    ("class Error(ValueError):\n  def __init__(self, x):\n    if x:\n      self.x = x\n", False),
    ("class Bus:\n  def read_all(self, places):\n    print(places)\n", False),
    ("double = lambda x: 2 * x\n", False),
])
def test_modules_with_a_behaviour_are_found(text, expected):
    assert only_declares(text) == expected


@pytest.mark.parametrize("text, expected", [
    ("from eie_sim.golden import tile", True),
    ("from eie_sim.golden.tile import Tile", True),
    ("import eie_sim.golden.tile", True),
    ('"""Also `eie_sim.golden.tile`."""', True),
    ("from eie_sim.golden import model", False),
    ("from eie_sim.cycles import tile", False),
    ("import eie_sim.golden.tiles", False),
])
def test_mentions_of_a_module_are_found(text, expected):
    assert mentions(text, "eie_sim.golden.tile") == expected
