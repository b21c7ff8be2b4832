"""`eie_cli.network_tables`: tables and JSON of a network."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_compiler.files.network_file import write_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network


@pytest.fixture
def network(tmp_path):
    """File of a network with convolution patches."""
    layers = random_network(np.random.default_rng(2), [12, 40, 5], density=0.3).layers
    write_network(tmp_path / "net.npz",
                  CompressedNetwork(layers, 8, 4, Patches((3, 6, 7), (2, 2))))
    return tmp_path / "net.npz"


def info(*arguments):
    result = CliRunner().invoke(main, ["info", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_figures_of_the_table_are_those_of_the_json(network):
    text, described = info(network), json.loads(info("--json", network))
    assert [layer["shape"] for layer in described["layers"]] == [[40, 12], [5, 40]]
    assert [layer["relu"] for layer in described["layers"]] == [True, False]
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    for name, figures in [*((layer["name"], layer) for layer in described["layers"]),
                          ("all", described["total"])]:
        code, run = figures["bits_per_code"], figures["bits_per_run"]
        assert rows[name].split() == [
            name, f"{figures['weights']:,}", f"{figures['density']:.1%}", "0.0%",
            f"{code['plain']:.1f}", "→", f"{code['huffman']:.2f}",
            f"{run['plain']:.1f}", "→", f"{run['huffman']:.2f}", f"{figures['codebook_bytes']:,}",
            f"{figures['bias_bytes']:,}", f"{figures['compressed_bytes']:,}",
            f"{figures['ratio']:.1f}"]


def test_the_size_shown_is_that_of_the_file(network):
    text, described = info(network), json.loads(info("--json", network))
    size = network.stat().st_size
    ratio = 4 * (12 * 40 + 40 + 40 * 5 + 5) / size
    assert described["file"] == {"bytes": size, "ratio": pytest.approx(ratio)}
    assert text.split()[-3:] == ["file", f"{size:,}", f"{ratio:.1f}"]


def test_patches_are_shown(network):
    assert info(network).splitlines()[0] == f"{network}: images of 3 × 6 × 7"
    assert json.loads(info("--json", network))["patches"]["kernel"] == [2, 2]


def test_a_network_of_one_layer_has_no_sum(tmp_path):
    write_network(tmp_path / "net.npz",
                  random_network(np.random.default_rng(2), [4, 3], density=1))
    assert "\nall" not in info(tmp_path / "net.npz")


def test_what_the_host_does_to_inputs_is_shown(tmp_path):
    path = tmp_path / "net.npz"
    network = random_network(np.random.default_rng(2), [2, 5])
    write_network(path, dataclasses.replace(
        network, preprocessing=Preprocessing(np.array([0.5, 0]), np.array([2, 0.25])),
        nonnegative_inputs=True))
    text, described = " ".join(info(path).split()), json.loads(info("--json", path))
    assert "the host subtracts an offset from each input, and scales it: inputs are never " \
        "negative" in text
    assert described["preprocessing"] == {"offset": [0.5, 0], "scale": [2, 0.25]}
    assert described["nonnegative_inputs"]
    write_network(path, network)
    assert "subtracts" not in info(path)
    assert json.loads(info("--json", path))["preprocessing"] is None
