"""Handwritten digits: how well they are recognised, and their split."""

import numpy as np
import pytest

from eie_compiler.compression.decompress import decompress
from eie_compiler.files.network_file import read_network
from eie_compiler.lowering.compile import compile_network
from eie_hdl.config import EIEConfig
from eie_sim.demo.demo import demo
from eie_sim.demo.digits import FOLDER, load_digits
from eie_sim.inference import infer, prepare


def test_compressed_digits_are_recognised_as_well_as_in_floating_point():
    digits = load_digits()
    assert len(digits.test) == 360
    network = read_network(FOLDER / "digits.npz")
    assert sum(layer.n_nonzeros for layer in network.layers) <= 0.2 * sum(
        layer.n_rows * layer.n_cols for layer in network.layers)
    build = compile_network(network, EIEConfig())
    (output,) = infer(build, prepare(build, digits.test), words=True, engine="golden").outputs
    score = decompress(network)(digits.test)
    assert (output.argmax(axis=1) == score.argmax(axis=1)).mean() > 0.99
    assert (output.argmax(axis=1) == digits.test_labels).mean() >= 0.95


@pytest.mark.parametrize("images", [0, 361, 1000])
def test_more_images_than_are_held_out_are_refused(tmp_path, images):
    with pytest.raises(ValueError, match=f"^images must be from 1 to 360, the held-out images, not "
                                         f"{images}$"):
        demo(tmp_path / "demo", images=images)
    assert not (tmp_path / "demo").exists()


def test_digits_held_out_are_not_trained_on():
    digits = load_digits()
    assert len(digits.train) + len(digits.test) == 1797
    held_out = {image.tobytes() for image in digits.test}
    assert not held_out & {image.tobytes() for image in digits.train}
    assert np.bincount(digits.test_labels).min() >= 34
