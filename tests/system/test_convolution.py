"""A convolution and a 1 × 1 convolution in one program, with codebooks of 256 entries."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.signal import correlate2d

from eie_cli.main import main
from eie_compiler.compression.compress import compress
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.vectors import VectorError
from eie_driver.c_export import export_files
from eie_hdl.config import EIEConfig
from eie_sim.inference import infer, prepare, shape_output

CONFIG = EIEConfig(n_pe=2, v_width=8, z_width=3, entries_per_word=2, queue_depth=4, acc_depth=8,
                   spmat_depth=512, ptr_depth=128, act_depth=64, n_codebooks=2, program_depth=8)
PATCHES = Patches((3, 5, 4), kernel=(3, 3), stride=(2, 1), padding=(1, 0, 1, 1))
N_OUT = [24, 16]


@pytest.fixture(scope="module")
def conv():
    """Network, build and images."""
    rng = np.random.default_rng(71)
    images = rng.normal(0, 1, (2, *PATCHES.shape))
    layers = [ModelLayer(name, rng.normal(0, n_cols ** -0.5, (n_rows, n_cols)),
                         rng.normal(0, 0.3, n_rows), relu)
              for name, n_rows, n_cols, relu in (("conv", N_OUT[0], PATCHES.n_inputs, True),
                                                 ("pointwise", N_OUT[1], N_OUT[0], False))]
    network = compress(Model(tuple(layers), PATCHES), density=[0.8, 0.9], v_width=8,
                       calibration=images[:1])    # the other image may saturate
    return network, compile_network(network, CONFIG, outputs="all"), images


def direct(network, build, images):
    """Compute both layers as direct convolutions on the integers of the build."""
    top, left, bottom, right = PATCHES.padding
    x = np.floor(np.ldexp(images, network.input_frac) + 0.5).astype(np.int64)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    for layer, kernel, stride, report in zip(
            network.layers, (PATCHES.kernel, (1, 1)), (PATCHES.stride, (1, 1)),
            build.report["layers"]):
        formats = report["formats"]
        weight = np.array(formats["codebook"])[layer.codes.toarray()]
        weight = weight.reshape(layer.n_rows, x.shape[1], *kernel)
        sums = np.array([[sum(map(lambda channel, plane: correlate2d(channel, plane, "valid"),
                                  image, kernels))[::stride[0], ::stride[1]]
                          for kernels in weight] for image in x])
        bias = np.rint(np.ldexp(layer.bias, formats["bias_frac"])).astype(np.int64)
        sums += (bias << formats["bias_shift"])[:, np.newaxis, np.newaxis]
        x = (sums + (1 << formats["shift"] >> 1)) >> formats["shift"]
        x = np.clip(x, 0 if layer.relu else -(1 << 15), (1 << 15) - 1)
        yield x


def test_codebooks_are_used_to_the_last_entry(conv):
    network, build, _ = conv
    assert all(len(np.unique(layer.codes.data)) == 255 for layer in network.layers)
    assert all(len(set(report["formats"]["codebook"])) == 256
               for report in build.report["layers"])


def test_golden_model_is_a_direct_convolution(conv):
    network, build, images = conv
    inference = infer(build, prepare(build, images), words=True, engine="golden")
    for n_out, output, expected in zip(N_OUT, inference.outputs, direct(network, build, images),
                                       strict=True):
        assert expected.shape == (2, n_out, 3, 3)
        np.testing.assert_array_equal(shape_output(build, output), expected)


def test_hardware_is_the_golden_model_bit_by_bit(conv, icarus, simulators):
    _, build, images = conv
    words = prepare(build, images[0])
    inference = infer(build, words, words=True, engine="cocotb", simulator=icarus, cache=simulators,
                      load="images")
    assert len(inference.outputs[-1]) == len(words) == 9
    assert inference.mismatches == []
    assert inference.overflows == 0


def test_a_wrong_bit_of_a_weight_is_noticed(conv):
    network, build, images = conv
    spmat = build.images["pe_1.spmat"].copy()
    spmat[0, 0] ^= 1
    wrong = dataclasses.replace(build, images={**build.images, "pe_1.spmat": spmat})
    inference = infer(wrong, prepare(wrong, images), words=True, engine="golden")
    assert any((shape_output(build, output) != expected).any() for output, expected
               in zip(inference.outputs, direct(network, build, images)))


def test_a_single_image_is_a_batch_of_one(conv):
    _, build, images = conv
    np.testing.assert_array_equal(prepare(build, images[1]), prepare(build, images)[9:])


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 27), (0, 3, 5, 4)])
def test_images_of_another_shape_are_refused(conv, shape):
    with pytest.raises(VectorError) as error:
        prepare(conv[1], np.zeros(shape))
    assert str(error.value) == (
        f"Inputs must be numbers, one or more images of 3 × 5 × 4, not float64 of shape {shape}")


def test_run_reads_and_writes_images(conv, tmp_path):
    network, build, images = conv
    build.save(tmp_path / "build")
    np.save(tmp_path / "x.npy", images)
    result = CliRunner().invoke(main, ["run", str(tmp_path / "build"), "-o", str(tmp_path / "out"),
                                       "--input", str(tmp_path / "x.npy")])
    assert result.exit_code == 0
    for layer, expected in zip(network.layers, direct(network, build, images)):
        np.testing.assert_array_equal(np.load(tmp_path / "out" / f"{layer.name}.npy"), expected)
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    # Each pixel is an inference: 3 × 3 of 2 images.
    assert statistics["inferences"] == len(statistics["counters"]["macs"]["values"]) == 18


def test_exported_c_mentions_that_inputs_are_patches(conv):
    header = export_files(conv[1])["model.h"]
    assert ("A convolution: an inference is one of the 3 × 3 pixels of a result. Its input is the\n"
            "   patch of the image under it, 3 channels × 3 rows × 3 columns. */") in header
