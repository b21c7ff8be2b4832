import re

import numpy as np
import pytest
from scipy.signal import correlate2d

from eie_compiler.build import Build
from eie_compiler.compression.compress import compress
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelError, ModelLayer
from eie_compiler.patches import PatchError, Patches
from eie_hdl.config import EIEConfig

SHAPE = (3, 9, 8)


def convolve(images, weight, patches):
    """Convolve integers by definition, one pair of channels after another."""
    top, left, bottom, right = patches.padding
    images = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
    spread = np.zeros((*weight.shape[:2], *(step * (size - 1) + 1 for step, size
                                            in zip(patches.dilation, patches.kernel))), np.int64)
    spread[:, :, ::patches.dilation[0], ::patches.dilation[1]] = weight
    return np.array([[sum(correlate2d(channel, kernel, "valid")
                          for channel, kernel in zip(image, kernels))
                      [::patches.stride[0], ::patches.stride[1]] for kernels in spread]
                     for image in images])


@pytest.mark.parametrize("options", [
    {},
    {"kernel": (3, 2)},
    {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    {"kernel": (2, 3), "padding": (0, 1, 2, 3)},
    {"kernel": (3, 3), "stride": (2, 3), "padding": (1, 0, 0, 1)},
    {"kernel": (3, 2), "dilation": (2, 3)},
    {"kernel": (2, 2), "stride": (3, 2), "dilation": (4, 1), "padding": (2, 0, 1, 1)},
    {"kernel": (9, 8)},
    {"stride": (2, 2)},
])
def test_a_matrix_times_patches_is_a_convolution(options):
    rng = np.random.default_rng(61)
    patches = Patches(SHAPE, **options)
    images = rng.integers(-50, 50, (2, *SHAPE))
    weight = rng.integers(-9, 9, (4, SHAPE[0], *patches.kernel))
    expected = convolve(images, weight, patches)
    assert expected.shape == (2, 4, *patches.output_shape)
    cut = patches.cut(images)
    assert cut.shape == (2 * expected[0, 0].size, patches.n_inputs)
    np.testing.assert_array_equal(patches.join(cut @ weight.reshape(4, -1).T), expected)


@pytest.mark.parametrize("options", [
    {},
    {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    {"kernel": (2, 3), "stride": (2, 2), "padding": (0, 2, 0, 1)},
    {"kernel": (2, 2), "dilation": (2, 3)},
    {"kernel": (1, 2), "stride": (1, 2), "dilation": (1, 4), "padding": (0, 2, 0, 1)},
    {"kernel": (3, 1), "stride": (3, 3)},
])
@pytest.mark.parametrize("pixels", [2, 3])
def test_a_strip_has_the_patches_of_its_pixels(options, pixels):
    single, strips = Patches(SHAPE, **options), Patches(SHAPE, **options, pixels=pixels)
    height, width = single.output_shape
    images = np.random.default_rng(62).integers(1, 50, (2, *SHAPE))
    cut = strips.cut(images)
    assert cut.shape == (2 * strips.n_patches, strips.n_inputs)
    lines = cut.reshape(len(cut), SHAPE[0], strips.kernel[0], -1)
    places = np.searchsorted(strips.columns, strips.kernel_columns)
    found = lines[..., places].transpose(0, 3, 1, 2, 4).reshape(2, height, -1, single.n_inputs)
    assert found.shape[2] >= width
    np.testing.assert_array_equal(found[:, :, :width].reshape(-1, single.n_inputs),
                                  single.cut(images))
    # Results of a surplus pixel are dropped.
    np.testing.assert_array_equal(
        strips.join(found.reshape(len(cut), -1)), single.join(single.cut(images)))


def test_patches_of_one_pixel_are_the_pixels():
    images = np.arange(24.0).reshape(1, 2, 3, 4)
    patches = Patches((2, 3, 4))
    np.testing.assert_array_equal(patches.cut(images)[5], images[0, :, 1, 1])
    np.testing.assert_array_equal(patches.join(patches.cut(images)), images)


def test_rows_of_pixels_are_images_of_height_one():
    patches = Patches((3, 1, 6), (1, 2))
    rows = np.arange(36).reshape(2, 3, 6)
    np.testing.assert_array_equal(patches.cut(rows), patches.cut(rows[:, :, None]))
    with pytest.raises(PatchError, match="^Images must have the shape "):
        Patches((3, 2, 3)).cut(rows)


def test_with_a_loop_a_vector_is_a_whole_image():
    patches = Patches(SHAPE, (3, 3), loop=4)
    images = np.arange(2 * 3 * 9 * 8).reshape(2, *SHAPE)
    assert (patches.n_patches, patches.n_elements, patches.n_inputs) == (1, 3 * 9 * 8, 27)
    assert patches.cut(images).tolist() == images.reshape(2, -1).tolist()
    assert patches.cut(images[:0]).shape == (0, 3 * 9 * 8)
    results = np.arange(2 * 5 * 7 * 6)
    assert patches.join(results.reshape(2, -1)).tolist() \
        == results.reshape(2, 5, 7, 6).tolist()


@pytest.mark.parametrize("options, message", [
    ({"loop": -1}, "loop must be an integer from 0 to 2147483647, not -1"),
    ({"loop": True}, "loop must be an integer from 0 to 2147483647, not True"),
    ({"loop": 1, "pixels": 2}, "loop must be an integer from 0 to 0, not 1"),
    ({"kernel": (3, 3), "pixels": 7},
     "pixels must be an integer from 1 to 6, the width of the result, not 7"),
    ({"pixels": 2.0},
     "pixels must be an integer from 1 to 8, the width of the result, not 2.0"),
    ({"shape": (3, 9)}, "shape must be 3 integers of 1 or more, not (3, 9)"),
    ({"shape": [3, 9, 8]}, "shape must be 3 integers of 1 or more, not [3, 9, 8]"),
    ({"shape": (3, 0, 8)}, "shape must be 3 integers of 1 or more, not (3, 0, 8)"),
    ({"kernel": (3, 1 << 31)}, "kernel must be 2 integers of 1 or more, not (3, 2147483648)"),
    ({"stride": (0, 1)}, "stride must be 2 integers of 1 or more, not (0, 1)"),
    ({"dilation": (1, 1.0)}, "dilation must be 2 integers of 1 or more, not (1, 1.0)"),
    ({"padding": (0, 0, -1, 0)}, "padding must be 4 integers of 0 or more, not (0, 0, -1, 0)"),
    ({"kernel": (5, 5), "dilation": (2, 2), "padding": (1, 0, 0, 0)},
     "kernel must fit the padded image, but (5, 5) with dilation (2, 2) does not fit (3, 9, 8) "
     "with padding (1, 0, 0, 0)"),
    ({"stride": (1 << 30, 1 << 30), "padding": (0, 1 << 30, 0, 7)},
     "image with its padding must have at most 67108864 elements, not 28991029653: use a smaller "
     "image"),
    ({"shape": (1, 1, 1), "kernel": (512, 512), "padding": (511,) * 4},
     "patches of an image must have at most 67108864 elements, not 68719476736: use a smaller "
     "image"
     ),
])
def test_an_impossible_convolution_is_refused(options, message):
    with pytest.raises(PatchError, match=f"^{re.escape(message)}$"):
        Patches(**{"shape": SHAPE, **options})


@pytest.mark.parametrize("shape", [(3, 9, 8), (2, 3, 8, 9)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(PatchError, match=re.escape(
            f"Images must have the shape (batch, 3, 9, 8), not {shape}")):
        Patches(SHAPE).cut(np.zeros(shape))


def test_a_model_must_have_a_column_for_each_number_of_a_patch():
    with pytest.raises(ModelError, match=re.escape(
            "layer 'conv': weight must have 12 columns, one for each element of a patch, not 3")):
        Model((ModelLayer("conv", np.ones((2, 3))),), Patches(SHAPE, kernel=(2, 2)))


@pytest.mark.parametrize("loop", [0, 2])
def test_a_build_keeps_its_patches(tmp_path, loop):
    patches = Patches(SHAPE, kernel=(3, 2), stride=(2, 1), padding=(1, 0, 0, 1), loop=loop)
    model = Model((ModelLayer("conv", np.ones((5, patches.n_inputs))),), patches)
    build = compile_network(compress(model), EIEConfig(n_pe=2, loops=True))
    assert build.patches == patches
    build.save(tmp_path / "conv")
    assert Build.load(tmp_path / "conv").patches == patches
    compile_network(compress(Model(model.layers)), EIEConfig(n_pe=2)).save(tmp_path / "fc")
    assert Build.load(tmp_path / "fc").patches is None
