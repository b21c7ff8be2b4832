"""`eie compile`, `eie run` and `eie info` of graphs: `eie_cli.run_graph` and the tables of
`eie_cli.graph_builds`.
"""

import json

import numpy as np
import pytest

from eie_compiler.files.graph_file import write_graph
from eie_compiler.graph_folder import read_graph_build, write_graph_build
from eie_compiler.lowering.graph import compile_graph
from eie_hdl.config import PRESETS
from eie_hdl.extras import install_command
from eie_sim.golden_runner import GoldenRunner
from eie_sim.graph_inference import infer_graph
from support.graphs import (
    pooled_network,
    recurrent_network,
    residual_network,
    scaled_inputs,
    scaled_network,
)
from support.recurrences import graph_of, random_lstm

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, eie):
    """Folders of a build of convolutions and of one of a recurrent network, by name."""
    folder = tmp_path_factory.mktemp("graphs")
    for name, graph in (("residual", residual_network(TINY)),
                        ("recurrent", recurrent_network(TINY))):
        write_graph(folder / f"{name}.npz", graph)
        code, text = eie("compile", folder / f"{name}.npz", "--preset", "tiny", "--strips", 1,
                         "-o", folder / name)
        assert code == 0, text
    return folder


@pytest.fixture
def images(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(9).normal(size=(3, 2, 6, 6)))
    return tmp_path / "x.npy"


def statistics_of(folder):
    return json.loads((folder / "statistics.json").read_text(encoding="utf-8"))


def test_the_report_of_a_build_is_printed_by_compile_and_info(folders, eie):
    code, text = eie("info", folders / "residual")
    assert code == 0
    assert "4 PEs, balanced, 3 programs in 2 loads; work of an inference" in text
    assert "Share of the arithmetic on the accelerator: 77.1%." in text
    assert "convolution 3 × 3, 36 → 4" in text and "MaxPool" in text
    code, text = eie("info", folders / "residual", "--json")
    report = json.loads(text)
    assert report["config"]["n_pe"] == 4 and report["total"]["programs"] == 3


@pytest.mark.parametrize("option, pixels", [(("--strips", 4), [4, 3]), ((), [6, 3])])
def test_strips_change_no_result(folders, images, tmp_path, eie, option, pixels):
    code, text = eie("compile", folders / "residual.npz", "--preset", "tiny", *option,
                     "-o", tmp_path / "strips")
    assert code == 0 and f"convolution 3 × 3, 18 → 4, strips of {pixels[0]}" in text
    strips, single = (read_graph_build(folder) for folder in (
        tmp_path / "strips", folders / "residual"))
    assert [strips.programs[name].patches.pixels for name in ("conv1", "conv2")] == pixels
    one, other = (infer_graph(build, np.load(images), engine="golden")
                  for build in (strips, single))
    assert {name: words.tolist() for name, words in one.outputs.items()} == {
        name: words.tolist() for name, words in other.outputs.items()}


def test_compile_says_which_nodes_are_loops_and_which_are_in_bands(folders, images, tmp_path, eie):
    (tmp_path / "loops.toml").write_text('preset = "tiny"\nloops = true\nact_depth = 14\n',
                                         encoding="utf-8")
    code, text = eie("compile", folders / "residual.npz", "--config", tmp_path / "loops.toml",
                     "-o", tmp_path / "loops")
    assert code == 0 and "convolution 3 × 3, 36 → 4, loop of strips of 3" in text
    note = "note: in bands of rows: node 'conv1': 2 bands of 3 rows; the host sends 120 words"
    assert note in text and note in eie("info", tmp_path / "loops")[1]
    nodes = {node["path"]: node
             for node in json.loads(eie("info", tmp_path / "loops", "--json")[1])["nodes"]}
    assert [nodes[name]["loop"] for name in ("conv1.bands/conv1", "conv2", "fc")] == [
        True, True, False]
    code, text = eie("run", tmp_path / "loops", "--input", images, "--engine", "golden",
                     "-o", tmp_path / "run")
    assert code == 0
    one, other = (infer_graph(read_graph_build(folder), np.load(images), engine="golden")
                  for folder in (tmp_path / "loops", folders / "residual"))
    assert {name: words.tolist() for name, words in one.outputs.items()} == {
        name: words.tolist() for name, words in other.outputs.items()}


def test_a_recurrence_is_shown_and_run_as_one_program(tmp_path, eie):
    (tmp_path / "machine.toml").write_text(
        "n_pe = 2\nloops = true\nlocal = true\nproducts = true\ntables = true\n",
        encoding="utf-8")
    scan = random_lstm(reverse=True)
    write_graph(tmp_path / "lstm.npz", graph_of(scan, 6))
    build = tmp_path / "build"
    code, text = eie("compile", tmp_path / "lstm.npz", "--config", tmp_path / "machine.toml",
                     "-o", build)
    assert code == 0 and "1 program in 1 load" in text
    assert "scan of 6 steps, reversed, with states on the chip" in text
    assert "Share of the arithmetic on the accelerator: 100.0%." in text
    assert "note: rounded otherwise than by the host: node 'scan': node 'n12': its operand" in text
    kinds = [json.loads(eie("info", path, "--json")[1])["nodes"]
             for path in (tmp_path / "lstm.npz", build / "network.npz")]
    assert [(node["path"], node["kind"]) for node in kinds[1]] == [("scan", "Recurrence"), *(
        (node["path"], node["kind"]) for node in kinds[0][1:])]
    np.save(tmp_path / "x.npy", np.random.default_rng(9).normal(size=(2, 6, 5)))
    code, text = eie("run", build, "--input", tmp_path / "x.npy", "--engine", "golden",
                     "-o", tmp_path / "run")
    assert code == 0
    (node,) = statistics_of(tmp_path / "run")["nodes"]
    assert (node["path"], node["where"], node["vectors"]) == ("scan", "accelerator", 12)


def test_nodes_of_a_subgraph_are_shown_and_run_as_one_program(tmp_path, eie):
    (tmp_path / "machine.toml").write_text(
        "n_pe = 2\nloops = true\nlocal = true\nmaximum = true\n", encoding="utf-8")
    write_graph(tmp_path / "pooled.npz", pooled_network())
    build = tmp_path / "build"
    code, text = eie("compile", tmp_path / "pooled.npz", "--config", tmp_path / "machine.toml",
                     "-o", build)
    assert code == 0 and "1 program in 1 load" in text
    for path, operation in (
            ("fc", "subgraph of 6 nodes"), ("fc/conv1", "convolution 3 × 3, 9 → 6, loop of strips"),
            ("fc/pool1", "MaxPool, local loop of strips of 5"), ("fc/flat", "Reshape"),
            ("fc/fc", "fully connected, 28 → 9 → 5")):
        assert any(line.split()[:2] == [path, "accelerator"] and operation in line
                   for line in text.splitlines()), path
    assert "Share of the arithmetic on the accelerator: 100.0%." in text
    code, text = eie("info", build / "network.npz", "--json")
    assert [(node["path"], node["kind"]) for node in json.loads(text)["nodes"]][:3] == [
        ("fc", "Subgraph"), ("fc/conv1", "layers"), ("fc/pool1", "MaxPool")]
    np.save(tmp_path / "x.npy", images := np.random.default_rng(9).normal(size=(2, 1, 13, 12)))
    code, text = eie("run", build, "--input", tmp_path / "x.npy", "--engine", "golden",
                     "-o", tmp_path / "run")
    assert code == 0
    (node,) = statistics_of(tmp_path / "run")["nodes"]
    assert (node["path"], node["where"], node["vectors"]) == ("fc", "accelerator", 2)
    # Its network is compiled again for a machine without any of it.
    code, text = eie("compile", build / "network.npz", "--pes", 2, "-o", tmp_path / "plain")
    assert code == 0 and "3 programs in 1 load" in text
    one, other = (infer_graph(read_graph_build(folder), images, engine="golden")
                  for folder in (build, tmp_path / "plain"))
    assert one.outputs["fc"].tolist() == other.outputs["fc"].tolist()


def test_cycles_are_predicted_if_asked(folders, images, tmp_path, eie):
    pytest.importorskip("numba", reason=install_command("bench"))
    code, text = eie("compile", folders / "residual.npz", "--preset", "tiny", "--strips", 1,
                     "--predict", images, "-o", tmp_path / "build")
    assert code == 0 and "net cycles  end-to-end cycles" in text
    expected = infer_graph(read_graph_build(folders / "residual"), np.load(images),
                           engine="cycle-model")
    report = json.loads(eie("info", tmp_path / "build", "--json")[1])
    assert sum(node["cycles"] for node in report["predicted"].values()) == pytest.approx(
        expected.total["cycles"] / 3)
    assert report["predicted"]["fc"]["net_cycles"] * 3 == expected.nodes["fc"].net_cycles


def test_outputs_are_saved_by_name(folders, images, tmp_path, eie):
    code, text = eie("run", folders / "residual", "--input", images, "-o", tmp_path / "out")
    assert code == 0 and "3 inferences, golden; per inference" in text
    expected = infer_graph(read_graph_build(folders / "residual"), np.load(images), engine="golden")
    for name, words in expected.outputs.items():
        assert np.load(tmp_path / "out" / f"{name}.npy").tolist() == words.tolist()
    statistics = statistics_of(tmp_path / "out")
    assert statistics["inferences"] == 3 and statistics["fraction_bits"] == {"fc": 4, "mean": 4}
    assert statistics["accuracy"] is None and statistics["total"]["net_cycles"] is None


@pytest.mark.parametrize("given", ["names", "array", "words"])
def test_sequences_are_given_as_an_array_or_by_name_as_numbers_or_words(
        folders, given, tmp_path, eie):
    sequences = np.random.default_rng(10).integers(-16, 16, (4, 3, 3))
    files = {"names": lambda path: np.savez(path, x=sequences / 16),
             "array": lambda path: np.save(path, sequences / 16),
             "words": lambda path: np.save(path, sequences)}
    path = tmp_path / ("x.npz" if given == "names" else "x.npy")
    files[given](path)
    code, text = eie("run", folders / "recurrent", "--input", path, "-o", tmp_path / "out",
                     *(["--words"] if given == "words" else []))
    assert code == 0, text
    expected = infer_graph(read_graph_build(folders / "recurrent"), sequences / 16, engine="golden")
    assert np.load(tmp_path / "out" / "vector.npy").tolist() == expected.outputs["vector"].tolist()


def test_the_hardware_is_compared_node_by_node(
        folders, images, tmp_path, eie, verilator, monkeypatch):
    code, text = eie("run", folders / "residual", "--input", images, "--engine", "verilator",
                     "-o", tmp_path / "out")
    assert code == 0
    assert "The memories were loaded 2 times, in " in text
    assert "Net cycles are scaled from 84 of 138 vectors, evenly spread." in text
    assert "results of all nodes match the golden model bit for bit." in text
    machines = statistics_of(tmp_path / "out")["machines"]
    assert (f"{machines} simulated machines shared these vectors" in text) == (machines > 1)
    compute = GoldenRunner._compute

    def flipped(self, path, words):
        results, statistics = compute(self, path, words)
        results[:, 0] ^= path == "conv2"
        return results, statistics
    monkeypatch.setattr(GoldenRunner, "_compute", flipped)
    code, text = eie("run", folders / "residual", "--input", images, "--engine", "verilator",
                     "-o", tmp_path / "out")
    assert code == 1
    assert "node conv2: " in text and "differ from the golden model." in text
    nodes = {node["path"]: node for node in statistics_of(tmp_path / "out")["nodes"]}
    assert nodes["conv2"]["first_difference"]["at"] == [0, 0] and not nodes["pool"]["differences"]


def test_labels_give_the_accuracy_of_the_only_output(folders, tmp_path, eie):
    rng = np.random.default_rng(11)
    np.save(tmp_path / "x.npy", rng.normal(size=(20, 3, 3)))
    np.save(tmp_path / "y.npy", rng.integers(0, 2, 20))
    code, text = eie("run", folders / "recurrent", "--input", tmp_path / "x.npy",
                     "--labels", tmp_path / "y.npy", "-o", tmp_path / "out")
    assert code == 0 and "Accuracy " in text
    words = np.load(tmp_path / "out" / "vector.npy")
    share = (words.argmax(axis=1) == np.load(tmp_path / "y.npy")).mean()
    assert statistics_of(tmp_path / "out")["accuracy"] == pytest.approx(share)


def test_saturation_and_equal_results_are_warned_of(folders, tmp_path, eie):
    x = np.full((2, 2, 6, 6), 1e6)
    x[1] *= 2
    np.save(tmp_path / "x.npy", x)
    code, text = eie("run", folders / "residual", "--input", tmp_path / "x.npy",
                     "-o", tmp_path / "out")
    assert code == 0
    assert ("eie: warning: 144 of 144 elements of input image (100.0%) were beyond its format and "
            "saturated") in text
    assert "were beyond their formats and saturated, most of " in text
    assert statistics_of(tmp_path / "out")["saturated_inputs"] == {"image": 144}
    np.save(tmp_path / "x.npy", x * 1e-12)
    code, text = eie("run", folders / "residual", "--input", tmp_path / "x.npy",
                     "-o", tmp_path / "out")
    assert "eie: warning: all 2 inferences give the same results, although" in text
    assert "saturated:" not in text


@pytest.mark.parametrize("command, message", [
    (("run", "residual", "--engine", "cocotb", "--waves"),
     "--waves needs a build of a chain of layers, not of a graph"),
    (("run", "residual", "--labels", "x.npy"),
     "--labels needs a network with one output, a vector, not 'fc' of shape (3,), 'mean' of shape "
     "(4,)"),
    (("run", "recurrent"), "--input must be numbers, one or more of 3 × 3, not "
                           "float64 of shape (3, 2, 6, 6)"),
    (("compile", "residual.npz", "--outputs", "all"),
     "--outputs all needs a network that is a chain of layers, not a graph"),
    (("compile", "residual.npz", "--preset", "default"),
     "v_width must be 3, for which the network was compressed, not 4"),
    (("export", "residual", "--format", "hex"),
     "--format hex needs a build of a chain of layers, not of a graph"),
])
def test_what_does_not_apply_is_refused(folders, images, tmp_path, eie, command, message):
    name, what, *options = command
    options = [images if option == "x.npy" else option for option in options]
    if name == "run":
        options += ["--input", images]
    code, text = eie(name, folders / what, *options, "-o", tmp_path / "out")
    assert code == 2 and message in text


def test_inputs_are_preprocessed_unless_they_are_words(tmp_path, eie):
    write_graph_build(tmp_path / "scaled", compile_graph(scaled_network(TINY), TINY))
    x = scaled_inputs(4)
    x[0, 0, 0] = 1    # its magnitude is 1e-3
    np.save(tmp_path / "x.npy", x)
    code, text = eie("run", tmp_path / "scaled", "--input", tmp_path / "x.npy",
                     "-o", tmp_path / "numbers")
    assert code == 0 and "1 of 48 elements of input x (2.1%) were beyond its format" in text
    assert statistics_of(tmp_path / "numbers")["preprocessed"] == ["x"]
    assert statistics_of(tmp_path / "numbers")["saturated_inputs"] == {"x": 1}
    np.save(tmp_path / "words.npy", read_graph_build(tmp_path / "scaled").to_words(x).words["x"])
    code, text = eie("run", tmp_path / "scaled", "--input", tmp_path / "words.npy", "--words",
                     "-o", tmp_path / "words")
    assert code == 0 and "the offset and scale of each input were not applied: --words are" in text
    assert statistics_of(tmp_path / "words")["preprocessed"] == []
    assert np.load(tmp_path / "words" / "bounded.npy").tolist() == np.load(
        tmp_path / "numbers" / "bounded.npy").tolist()
