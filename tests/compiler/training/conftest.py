"""A data set that is learnt in a second."""

import numpy as np
import pytest

from eie_hdl.extras import install_command

pytest.importorskip("torch", reason=install_command("train"))


@pytest.fixture(scope="session")
def blobs():
    """Arrays of a data set: four classes, each a cloud around a point in eight dimensions."""
    rng = np.random.default_rng(51)
    centres = rng.normal(size=(4, 8))
    arrays = {}
    for which, count in (("train", 400), ("test", 200)):
        labels = rng.integers(0, 4, count)
        arrays |= {f"{which}_inputs": centres[labels] + rng.normal(0, 0.7, (count, 8)),
                   f"{which}_labels": labels}
    return arrays


@pytest.fixture(scope="session")
def data_file(blobs, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, **blobs)
    return path


@pytest.fixture(scope="session")
def data(data_file):
    from eie_compiler.training.data import read_data

    return read_data(data_file, validation=0.25, seed=3)
