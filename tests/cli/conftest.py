"""Fixtures for tests of the command line."""

import numpy as np
import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_hdl.extras import install_command


@pytest.fixture(scope="session")
def eie():
    """Run `eie` with arguments; return its exit code and the text of both outputs."""
    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    return run


@pytest.fixture
def weights(tmp_path):
    """File of a small dense network."""
    rng = np.random.default_rng(8)
    path = tmp_path / "weights.npz"
    np.savez(path, **{"a.weight": rng.normal(size=(9, 6)), "a.bias": rng.normal(size=9),
                      "b.weight": rng.normal(size=(3, 9)), "b.bias": rng.normal(size=3)})
    return path


@pytest.fixture
def network(tmp_path, weights, eie):
    path = tmp_path / "net.npz"
    assert eie("compress", weights, "-o", path, "--density", "0.5")[0] == 0
    return path


@pytest.fixture
def build(tmp_path, network, eie):
    path = tmp_path / "build"
    assert eie("compile", network, "--pes", 2, "--outputs", "all", "-o", path)[0] == 0
    return path


@pytest.fixture
def inputs(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(9).uniform(-1, 1, (3, 6)))
    return path


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=install_command("train"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three classes, each a cloud around a point of six dimensions."""
    rng = np.random.default_rng(61)
    centres = rng.uniform(-1, 1, (3, 6))
    arrays = {}
    for which, count in (("train", 300), ("test", 100)):
        labels = rng.integers(0, 3, count)
        arrays |= {f"{which}_inputs": centres[labels] + rng.normal(0, 0.3, (count, 6)),
                   f"{which}_labels": labels}
    path = tmp_path_factory.mktemp("data") / "data.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def dense(tmp_path_factory, data, eie):
    path = tmp_path_factory.mktemp("dense") / "dense.npz"
    assert eie("train", data, "--layers", "16,8", "--epochs", 10, "--rate", 0.01,
               "-o", path)[0] == 0
    return path
