"""Every module has a test file of its name, in the folder of the tests that mirrors its own."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Folder of each package -> folder of its tests.
MIRROR = {"eie_hdl": "hdl", "compiler/eie_compiler": "compiler",
          "drivers/python/eie_driver": "drivers/python", "sim/eie_sim": "sim",
          "benchmarks/eie_bench": "benchmarks", "flows/eie_flows": "flows", "cli/eie_cli": "cli"}

#: Folder of modules -> those without a test file, each with the reason: the tests that cover it, as
#: a path in ``tests``, or words.
EXCEPTIONS = {
    "eie_hdl": {
        "packing": "hdl/test_format.py"},
    "eie_hdl/export": {
        "peakrdl": "hdl/export/test_systemrdl.py",
        "register_reference": "hdl/export/test_systemrdl.py",
        "word_tables": "hdl/export/test_verilog.py"},
    "eie_hdl/host": {
        "axi": "declarations only",
        "interfaces": "declarations only"},
    "compiler/eie_compiler": {
        "errors": "compiler/lowering/test_compile.py",
        "random_networks": "made for tests"},
    "compiler/eie_compiler/compression": {
        "kmeans_inits": "declarations only"},
    "compiler/eie_compiler/frontends": {
        "chain": "compiler/frontends/test_onnx.py",
        "common": "compiler/frontends/test_arrays.py",
        "onnx_data": "compiler/frontends/test_onnx.py",
        "onnx_graph": "compiler/frontends/test_onnx.py",
        "parts": "compiler/frontends/test_arrays.py",
        "pytorch_graph": "compiler/frontends/test_pytorch.py"},
    "compiler/eie_compiler/training": {
        "errors": "declarations only"},
    "drivers/python/eie_driver": {
        "bus": "declarations only",
        "errors": "declarations only"},
    "sim/eie_sim/c_driver": {
        "program": "sim/c_driver/test_digits.py"},
    "sim/eie_sim/cycles": {
        "kernel": "sim/cycles/test_cycles.py",
        "model": "sim/cycles/test_cycles.py",
        "steps": "sim/cycles/test_cycles.py"},
    "sim/eie_sim/demo": {
        "demo": "cli/test_demo.py",
        "digits": "sim/golden/test_model_float.py"},
    "sim/eie_sim/golden": {
        "fake_machine": "drivers/python/test_accelerator.py",
        "tile": "sim/golden/test_model.py"},
    "sim/eie_sim/rtl": {
        "cocotb_bus": "drivers/python/test_accelerator.py",
        "cocotb_process": "sim/rtl/test_simulators.py",
        "verilator_bus": "drivers/python/test_accelerator.py"},
    "sim/eie_sim/rtl/benches": {
        "bench_eie": "sim/rtl/test_cocotb_engine.py"},
    "benchmarks/eie_bench/explore": {
        "executors": "benchmarks/explore/test_parallel.py",
        "explore": "cli/test_explore.py",
        "tables": "benchmarks/explore/test_figures.py",
        "workloads": "benchmarks/explore/test_measure.py"},
    "benchmarks/eie_bench/paper": {
        "ablation": "benchmarks/paper/test_measure.py",
        "plots": "benchmarks/paper/test_report.py",
        "tables": "benchmarks/paper/test_report.py"},
    "cli/eie_cli": {
        "explore_tables": "cli/test_explore.py",
        "format_tables": "cli/test_compress.py",
        "progress": "cli/test_console.py",
        "synth": "flows/test_ecp5.py"},
    "cli/eie_cli/bench": {
        "compile": "benchmarks/test_compile.py",
        "host": "benchmarks/test_host.py",
        "layers": "benchmarks/paper/test_run.py",
        "sharing": "benchmarks/test_sharing.py",
        "simulation": "benchmarks/test_simulation.py"},
}

MODULES = [path for folder in MIRROR for path in sorted((ROOT / folder).rglob("*.py"))
           if path.stem != "__init__"]


def mirror_of(path):
    """Path of the test file that mirrors a module."""
    folder, tests = next((folder, tests) for folder, tests in MIRROR.items()
                         if path.is_relative_to(ROOT / folder))
    place = path.relative_to(ROOT / folder).parent
    return ROOT / "tests" / tests / place / f"test_{path.stem}.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_has_a_test_file_or_a_reason(path):
    exceptions = EXCEPTIONS.get(str(path.relative_to(ROOT).parent), {})
    assert mirror_of(path).exists() != (path.stem in exceptions), mirror_of(path)


@pytest.mark.parametrize("folder", EXCEPTIONS)
def test_no_exception_is_superfluous(folder):
    for name, reason in EXCEPTIONS[folder].items():
        assert (ROOT / folder / f"{name}.py") in MODULES, f"{folder}/{name}.py is gone"
        assert " " in reason or (ROOT / "tests" / reason).exists(), reason
