"""`eie explore` (`eie_cli.explore`): files, tables of `eie_cli.explore_tables`, and errors."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eie_compiler.files.network_file import write_network
from eie_compiler.random_networks import random_network
from eie_hdl.extras import install_command

for package in ("numba", "matplotlib"):
    pytest.importorskip(package, reason=install_command("bench"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A network of two layers and its inputs."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(6)
    write_network(folder / "net.npz", random_network(rng, [64, 48, 32], density=0.5, v_width=3))
    np.save(folder / "x.npy", rng.uniform(-1, 1, (2, 64)))
    return folder / "net.npz", "--input", folder / "x.npy"


def test_network_is_swept_into_tables_and_figures(tmp_path, eie, files):
    code, text = eie("explore", *files, "--preset", "tiny", "--set", "queue_depth=2,1000",
                     "--set", "mapping=balanced,interleaved", "--jobs", 1, "-o", tmp_path / "e")
    assert code == 0
    assert {path.name for path in (tmp_path / "e").iterdir()} == {
        "explore.json", "sweep.csv", "sweep.png", "sweep.svg", "end-to-end.png", "end-to-end.svg"}
    content = json.loads((tmp_path / "e" / "explore.json").read_text(encoding="utf-8"))
    assert content["network"] == "net.npz"
    assert list(content["machines"]) == ["tiny, 4 PEs"]
    points = content["sweeps"][0]["points"]
    assert len(points) == 8
    assert ["error" in point for point in points] == [False, False, True, True] * 2
    for point in points[::4]:
        for what, key in (("cycles / ideal", "ratio"),
                          ("end-to-end cycles / ideal", "end_to_end_ratio")):
            line = next(line for line in text.splitlines()
                        if line.startswith("tiny, 4 PEs, mapping = balanced")
                        and f"{point['layer']}: {what}" in line)
            assert line.split()[-2:] == [f"{point[key]:.3f}", "–"]
    assert ("4 of 8 points are impossible, such as tiny, 4 PEs, fc1, queue_depth = 1000, mapping = "
            "balanced: queue_depth must be an integer from 2 to 256, not 1000\n") in text


def test_figures_of_the_paper_are_drawn_for_the_machine_that_is_given(tmp_path, eie, files,
                                                                      monkeypatch):
    # A process takes seconds to begin, and the test above has one.
    monkeypatch.setattr("eie_bench.explore.explore.open_executor",
                        lambda jobs, scheduler: ThreadPoolExecutor(jobs))
    code, text = eie("explore", *files, "--layers", "fc2", "--preset", "tiny", "--mapping",
                     "interleaved", "--figure", "words", "--jobs", 1, "-o", tmp_path)
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "explore.json", "words.csv", "reads.png", "reads.svg", "energy.png", "energy.svg"}
    content = json.loads((tmp_path / "explore.json").read_text(encoding="utf-8"))
    machine, = content["machines"].items()
    assert (machine[0], machine[1]["mapping"]) == ("tiny, 4 PEs (interleaved)", "interleaved")
    figure = (tmp_path / "reads.svg").read_text(encoding="utf-8")
    assert ">tiny, 4 PEs (interleaved)</text>" in figure
    points = content["sweeps"][0]["points"]
    assert [(point["layer"], point["word_bits"]) for point in points] == [
        ("fc2", 5 * entries) for entries in (1, 2, 4, 8, 16)]
    reads = [point["spmat_reads"] for point in points]
    assert reads == sorted(reads, reverse=True)
    assert f"{reads[0]:,}" in text


def test_inputs_that_saturate_are_warned_of(tmp_path, eie, files, monkeypatch):
    monkeypatch.setattr("eie_bench.explore.explore.open_executor",
                        lambda jobs, scheduler: ThreadPoolExecutor(jobs))
    np.save(tmp_path / "x.npy", np.full((2, 64), 1e6))
    code, text = eie("explore", files[0], "--input", tmp_path / "x.npy", "--preset", "tiny",
                     "--set", "queue_depth=2", "--jobs", 1, "-o", tmp_path / "e")
    assert code == 0
    assert "eie: warning: 128 of 128 input elements (100.0%) were beyond " in text
    content = json.loads((tmp_path / "e" / "explore.json").read_text(encoding="utf-8"))
    assert content["saturation"]["input"]["saturated"] == 128


def test_machines_of_the_benchmark_are_swept_if_none_is_given(tmp_path, eie, files):
    eie("explore", *files, "--set", "n_pe=3", "-o", tmp_path)
    machines = json.loads((tmp_path / "explore.json").read_text(encoding="utf-8"))["machines"]
    assert {name: machine["mapping"] for name, machine in machines.items()} == {
        "isca2016": "interleaved", "tuned": "balanced"}


def test_exit_code_is_1_if_no_point_is_possible(tmp_path, eie, files):
    code, text = eie("explore", *files, "--preset", "tiny", "--set", "n_pe=3", "-o", tmp_path)
    assert code == 1
    assert ("2 of 2 points are impossible, such as tiny (balanced), fc1, n_pe = 3: n_pe must be a "
            "power of two from 1 to 256, not 3\n") in text
    assert {path.name for path in tmp_path.iterdir()} == {"explore.json", "sweep.csv"}


@pytest.mark.parametrize("folder", ["net.npz/e", "/proc/nowhere"])
def test_folder_that_cannot_be_written_is_refused_before_anything_is_computed(eie, files, folder,
                                                                              monkeypatch):
    path = files[0].parent / folder    # even root cannot make a folder in /proc
    monkeypatch.delattr("eie_bench.explore.explore.run")
    code, text = eie("explore", *files, "--preset", "tiny", "--set", "n_pe=2", "-o", path)
    assert code == 2
    assert f"eie: cannot use {path}: " in text


@pytest.mark.parametrize("arguments, message", [
    (["NET"], "NETWORK and --input must be given together: the time of a layer depends on its "
              "activations"),
    (["--input", "NET"], "NETWORK and --input must be given together"),
    (["--set", "n_pe=2", "--figure", "queue"], "--set and --figure must not both be given: leave "
                                               "one of them out"),
    (["NET", "--input", "NET", "--seed", 2], "NETWORK and --seed must not both be given"),
    (["--jobs", 2, "--scheduler", "tcp://a:1"], "--jobs and --scheduler must not both be given"),
    (["--layers", "fc9"], "eie: --layers must be some of Alex-6, "),
    (["--set", "n_pes=2"], "eie: n_pes is not a parameter; those are "),
])
def test_conflicting_and_invalid_options_are_refused(tmp_path, eie, files, arguments, message):
    code, text = eie("explore", *(files[0] if argument == "NET" else argument
                                  for argument in arguments), "-o", tmp_path / "e")
    assert code == 2
    assert message in text
    assert not (tmp_path / "e").exists()
