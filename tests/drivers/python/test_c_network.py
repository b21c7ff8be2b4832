"""C source of a network: valid C, with the names and sizes of its tensors."""

import re
import subprocess

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations import Clip
from eie_compiler.lowering.graph import compile_graph
from eie_driver.c_export import ExportError
from eie_driver.c_network import export_network, network_files
from eie_hdl.config import EIEConfig
from eie_sim.c_driver.program import C_FLAGS, DRIVER
from support.c_graphs import every_operation, layers
from support.graphs import Sum

CONFIG = EIEConfig(n_pe=2)


@pytest.fixture(scope="module")
def build():
    return compile_graph(every_operation(), CONFIG)


def test_a_network_is_c99_and_its_header_is_c17_plus_plus(build, tmp_path):
    sizes = export_network(build, tmp_path, name="net")
    assert sizes == {name: (tmp_path / name).stat().st_size for name in ("net.h", "net.c")}
    (tmp_path / "use.cpp").write_text(
        '#include "net.h"\nint main() { return net.n_steps == 0 || net.width != 16; }',
        encoding="utf-8")
    flags = ["-std=c++17", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I", str(DRIVER)]
    for source in ("net.c", DRIVER / "eie_network.c", DRIVER / "eie.c"):
        subprocess.run(["gcc", *C_FLAGS, "-c", source], cwd=tmp_path, check=True)
    subprocess.run(["g++", *flags, "use.cpp", "net.o", "eie_network.o", "eie.o", "-o", "use"],
                   cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "use"], check=True)


def test_memories_that_programs_share_are_written_once(build):
    text = network_files(build)["model.c"]
    assert [len(paths) for paths in build.loads] == [3, 1]
    assert len(re.findall(r"\bmodel_load\d_beats\[\]", text)) == 2
    assert len(re.findall(r"\.beats = model_load0_beats,", text)) == 3


def test_the_header_has_the_sizes_of_static_memory(build):
    header = network_files(build, name="net")["net.h"]
    sizes = dict(re.findall(r"NET_(\w+) = (\d+),", header))
    assert {name: int(size) for name, size in sizes.items() if name.startswith("N_")} == {
        "N_INPUTS": 2 * 7 * 8, "N_OUTPUTS": 10 + 4 * 5}
    # All tensors together have many more words.
    assert int(sizes["ARENA_WORDS"]) < sum(map(np.prod, build.graph.shapes.values())) / 3
    assert "input image: 2 × 7 × 8\n   output last: 10\n   output lstm: 4 × 5 */" in header


def test_names_of_nodes_are_no_c(tmp_path):
    name = '*/ ??)"\\\'%d ä'.replace("/", "").replace("\\", "")
    graph = Graph({"x*": (4,)}, (
        Node(name, layers(np.random.default_rng(1), [4, 3], 8, 8), ("x*",)),
        Node("*", Clip(0.0, 1.0), (name,))), ("*", name), {"x*": 8, name: 8, "*": 8})
    for file, text in network_files(compile_graph(graph, CONFIG)).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    subprocess.run(["gcc", *C_FLAGS, "-c", "model.c"], cwd=tmp_path, check=True)


def test_a_name_that_has_a_meaning_in_c_is_refused(build):
    with pytest.raises(ExportError, match="^name must not be int"):
        network_files(build, name="int")


def test_an_operation_that_the_driver_does_not_know_is_named():
    graph = Graph({"x": (4,)}, (Node("fc", layers(np.random.default_rng(1), [4, 3], 8, 8), ("x",)),
                                Node("twice", Sum(), ("fc", "fc"))), ("twice",),
                  {"x": 8, "fc": 8, "twice": 8})
    with pytest.raises(GraphError, match="^node 'twice': Sum must be an operation of the C "
                                         "driver$"):
        network_files(compile_graph(graph, CONFIG))
