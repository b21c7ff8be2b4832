import dataclasses
import json
import shutil

import numpy as np
import pytest

from eie_compiler.build import Build
from eie_compiler.files.graph_file import read_graph, write_graph
from eie_compiler.files.manifest_folder import MANIFEST, BuildError
from eie_compiler.graph_build import GraphBuild
from eie_compiler.graph_folder import read_any_build, read_graph_build, write_graph_build
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.graph_inference import infer_graph
from support.graphs import pooled_network, recurrent_network, residual_network
from support.saved_builds import compile_small, reseal

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph") / "build"
    write_graph_build(folder, compile_graph(residual_network(TINY), TINY))
    return folder


@pytest.fixture
def folder(tmp_path, saved):
    return shutil.copytree(saved, tmp_path / "build")


def manifest_of(folder):
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def test_a_build_is_read_as_it_was_written(folder):
    build, expected = read_any_build(folder), compile_graph(residual_network(TINY), TINY)
    assert isinstance(build, GraphBuild) and build.config == TINY
    assert build.loads == expected.loads and len(build.loads) == 2
    assert json.dumps(build.report) == json.dumps(expected.report)
    for path, program in build.programs.items():
        assert {name: image.tolist() for name, image in program.images.items()} == {
            name: image.tolist() for name, image in expected.programs[path].images.items()}


def test_strips_of_a_build_are_not_chosen_again(tmp_path):
    graph = residual_network(TINY)
    assert compile_graph(graph, TINY).programs["conv1"].patches.pixels > 2
    write_graph_build(tmp_path, compile_graph(graph, TINY, strips={"conv2": 2}))
    programs = read_any_build(tmp_path).programs
    assert [programs[name].patches.pixels for name in ("conv1", "conv2")] == [1, 2]


@pytest.mark.parametrize("strips", [None, {"conv2": 2}])
def test_loops_and_bands_of_a_build_are_not_chosen_again(tmp_path, strips):
    config = dataclasses.replace(TINY, loops=True, act_depth=14)    # conv1 does not fit whole
    graph = residual_network(TINY)
    write_graph_build(tmp_path, build := compile_graph(graph, config, strips=strips))
    loaded = read_any_build(tmp_path)
    assert loaded.report == build.report
    first = "conv1" if strips else "conv1.bands/conv1"
    patches = [{path: build.programs[path].patches for path in (first, "conv2")}
               for build in (build, loaded)]
    assert patches[0] == patches[1] and patches[0]["conv2"].loop > 1
    assert (patches[0][first].loop == 0) == (strips is not None)
    assert any(note.startswith("in bands") for note in loaded.graph.notes) == (strips is None)


#: Machine on which :func:`support.graphs.pooled_network` is one program.
ON_CHIP = EIEConfig(n_pe=2, loops=True, local=True, maximum=True)


@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
def test_subgraphs_of_a_build_are_not_chosen_again(tmp_path, mapping):
    build = compile_graph(pooled_network(), ON_CHIP, mapping=mapping)
    write_graph_build(tmp_path, build)
    loaded = read_any_build(tmp_path)
    assert list(loaded.programs) == ["fc"] and loaded.report == build.report
    assert [row["path"] for row in loaded.report["nodes"]] == [
        "fc", "fc/conv1", "fc/pool1", "fc/conv2", "fc/pool2", "fc/flat", "fc/fc"]
    for name, image in build.programs["fc"].images.items():
        np.testing.assert_array_equal(loaded.programs["fc"].images[name], image)


@pytest.mark.parametrize("changes, programs", [
    ({"loops": False, "local": False, "maximum": False}, ["conv1", "conv2", "fc"]),
    ({"maximum": False}, ["conv1", "conv2", "fc"]), ({"n_pe": 4}, ["fc"])])
def test_a_network_with_subgraphs_is_compiled_for_any_machine(tmp_path, changes, programs):
    write_graph_build(tmp_path, compile_graph(pooled_network(), ON_CHIP))
    graph = read_graph(tmp_path / "network.npz")
    build = compile_graph(graph, dataclasses.replace(ON_CHIP, **changes))
    assert list(build.programs) == programs
    images = np.random.default_rng(3).normal(size=(2, 1, 13, 12))
    np.testing.assert_array_equal(
        infer_graph(build, images, engine="golden").outputs["fc"],
        IntegerGraph(pooled_network(), ON_CHIP).run({"image": images})["fc"])


def test_builds_of_either_kind_replace_each_other(folder):
    (folder / "notes.txt").write_text("kept", encoding="utf-8")
    compile_small().save(folder)
    assert isinstance(read_any_build(folder), Build)
    assert not (folder / "load_0").exists() and (folder / "notes.txt").exists()
    write_graph_build(folder, compile_graph(recurrent_network(TINY), TINY))
    assert len(read_graph_build(folder).loads) == 1
    assert not (folder / "vectors.npz").exists() and not (folder / "ccu.program.hex").exists()


def test_a_flipped_bit_of_an_image_is_refused(folder):
    path = folder / "load_1" / "pe_0.spmat.hex"
    content = bytearray(path.read_bytes())
    content[0] = ord("1") if content[0] == ord("0") else ord("0")
    path.write_bytes(content)
    with pytest.raises(BuildError, match=r"load_1/pe_0.spmat.hex must be unchanged, but its "
                                         r"checksum differs from that in manifest.json"):
        read_graph_build(folder)


def test_a_flipped_constant_of_an_operation_is_refused(folder):
    graph = residual_network(TINY)
    scaled = graph.nodes[0]
    shift = scaled.computation.shift.copy()
    shift[0] += 2.0 ** -52
    changed = dataclasses.replace(scaled, computation=dataclasses.replace(
        scaled.computation, shift=shift))
    write_graph(folder / "network.npz",
                dataclasses.replace(graph, nodes=(changed, *graph.nodes[1:])))
    with pytest.raises(BuildError, match="network.npz must be unchanged, but its checksum"):
        read_graph_build(folder)


@pytest.mark.parametrize("changes, message", [
    ({"mapping": "random"}, "mapping must be balanced or interleaved, not 'random'"),
    ({"mapping": "interleaved"}, "must be what this version compiles network.npz to, but differs: "
                                 "compile again"),
    ({"loads": []}, "loads must be what this version compiles network.npz to, but differs"),
    ({"report": []}, "manifest.report must be an object, not []"),
    ({"config": {}}, "config must be an object with the fields n_pe"),
    ({"extra": 1}, "manifest must be an object with the fields schema_version"),
    ({"kind": "eie-build"}, "must be the build of a graph, not of a chain of layers"),
    ({"predicted": {"fc": {}}}, "predicted must be an object with the fields conv1, conv2, fc"),
    ({"predicted": dict.fromkeys(["conv1", "conv2", "fc"], {"cycles": 1.0})},
     "predicted.conv1 must be an object with the fields net_cycles, cycles"),
    ({"kind": "other"}, "manifest.json must be the manifest of a build, with kind "
                        "'eie-graph-build'"),
    ({"incomplete": True}, "must contain a whole build"),
])
def test_a_manifest_with_a_right_checksum_is_still_checked(folder, changes, message):
    reseal(folder, **changes)
    with pytest.raises(BuildError) as caught:
        read_graph_build(folder)
    assert message in str(caught.value)


def test_sums_must_be_those_of_the_compiled_images(folder):
    files = manifest_of(folder)["files"]
    reseal(folder, files=files | {"more": ""})
    with pytest.raises(BuildError, match="files must be those of the build, not 'more'"):
        read_graph_build(folder)
    reseal(folder, files=files | {"load_0/ccu.program.hex": files["load_1/ccu.program.hex"]})
    shutil.copy(folder / "load_1" / "ccu.program.hex", folder / "load_0" / "ccu.program.hex")
    with pytest.raises(BuildError, match=r"load_0/ccu.program.hex must be what this version "
                                         r"compiles"):
        read_graph_build(folder)


def test_files_of_no_build_are_not_replaced(tmp_path):
    (tmp_path / "network.npz").write_text("mine", encoding="utf-8")
    with pytest.raises(BuildError, match="network.npz must be of an earlier build, to be replaced"):
        write_graph_build(tmp_path, compile_graph(recurrent_network(TINY), TINY))
