"""`eie_compiler.lowering.convolution`: fields and codes of convolutions as loops."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.errors import CompileError
from eie_compiler.lowering.convolution import Convolution, FeatureMap, channel_pitch
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts

CONFIG = EIEConfig(n_pe=4, acc_depth=8, loops=True)


def convolution(**changes):
    """Convolution of 3 × 2 taps; strips of two pixels, of which a row has three and a surplus."""
    source = FeatureMap(height=5, width=7, pitch=3, row_pixels=8)
    return Convolution(**{
        "source": source, "kernel": (3, 2), "stride": (2, 3), "dilation": (1, 2),
        "padding": (1, 2), "output": (2, 3), "strip": 2, "pitch": 6, **changes})


@pytest.mark.parametrize("n_pe, channels, strip, pitch", [
    (1, 5, 1, 5), (4, 5, 1, 8), (4, 5, 2, 6), (4, 5, 4, 5), (4, 5, 3, 8), (64, 10, 16, 12),
    (64, 1, 1, 64), (4, 6, 8, 6), (16, 16, 6, 16)])
def test_the_pitch_is_the_least_with_which_strips_are_packed(n_pe, channels, strip, pitch):
    assert channel_pitch(EIEConfig(n_pe=n_pe), channels, strip) == pitch
    assert [q for q in range(channels, pitch + 1) if strip * q % n_pe == 0] == [pitch]


def test_fields_count_columns_of_the_map():
    assert convolution().fields(CONFIG) == {
        # The map has 5 · 8 · 3 columns: the last one is in PE 3, slot 29.
        "start": {"last_word": 7, "last_lane": 1, "last_pe": 3},
        "end": {"last_word": 0, "last_lane": 2},    # 12 results of a strip are 3 in each PE
        # Strips are 2 · 3 pixels apart, and see pixels 0, 2, 3 and 5: 6 in a row.
        "loop": {"x": -2 * 3, "x_step": 6 * 3, "last_x": 1, "y": -24, "y_step": 2 * 24,
                 "segment_step": 24, "width": 7 * 3, "length": 6 * 3, "columns": 54,
                 "last_slot": 2 * 2 * 3 - 1}}


def test_fields_fit_the_descriptor():
    layout = Layouts.of(CONFIG).descriptor
    for part, fields in convolution().fields(CONFIG).items():
        shape = layout.members[part]
        const = shape.const(fields)
        assert {name: const[name] for name in fields} == fields


LOCAL = dataclasses.replace(CONFIG, local=True)
#: Map whose pixels are whole slots.
WHOLE = FeatureMap(height=5, width=7, pitch=4, row_pixels=8)


def test_columns_of_a_local_tile_keep_their_pes():
    fields = convolution(source=WHOLE, pitch=8, local=True).fields(LOCAL)
    assert fields["loop"]["local"] == 1
    places = ("x", "x_step", "y", "y_step", "segment_step", "width", "length", "columns")
    assert [fields["loop"][name] % 4 for name in places] == [0] * 8


def test_the_result_has_surplus_pixels():
    assert convolution().result == FeatureMap(height=2, width=3, pitch=6, row_pixels=4)
    assert convolution().result.n_columns == 2 * 4 * 6
    assert convolution().n_strips == 2 * 2


@pytest.mark.parametrize("seed", range(4))
def test_codes_are_those_of_each_tap_and_pixel(seed):
    rng = np.random.default_rng(seed)
    strip, kernel, stride, dilation, channels = rng.integers(1, 4, 5).tolist()
    taps = rng.integers(0, 4, (5, channels, kernel, 2))
    geometry = convolution(
        strip=strip, kernel=(kernel, 2), stride=(1, stride), dilation=(1, dilation),
        source=FeatureMap(height=5, width=7, pitch=channels + 1, row_pixels=7))
    found = geometry.codes(csc_array(taps.reshape(5, -1).astype(np.uint8))).toarray()
    assert found.shape == (strip * 6, geometry.n_columns)
    expected = np.zeros_like(found)
    for pixel in range(strip):
        for (row, channel, y, x), code in np.ndenumerate(taps):
            place = (pixel * stride + x * dilation) * (channels + 1) + channel
            expected[pixel * 6 + row, y * geometry.length + place] = code
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("config, changes, message", [
    (CONFIG, {"pitch": 5}, "results of a strip must be a multiple of n_pe = 4, not 10"),
    (CONFIG, {"pitch": 18}, "results of a strip must be at most acc_depth = 8 in each PE, not 9"),
    (CONFIG, {"kernel": (17, 1)}, "kernel must have at most 16 rows, not 17"),
    (dataclasses.replace(CONFIG, act_depth=8), {}, None),
    (dataclasses.replace(CONFIG, act_depth=8), {"output": (4, 3)},
     "kernels must be at columns from -128 to 127 of a map, within act_depth = 8, not at -24 to "
     "168"),
    (dataclasses.replace(CONFIG, act_depth=8), {"padding": (6, 0), "output": (1, 1)},
     "kernels must be at columns from -128 to 127 of a map, within act_depth = 8, not at -144 to "
     "48"),
    (dataclasses.replace(CONFIG, act_depth=8), {"stride": (1, 15)},
     "kernels must be at columns from -128 to 127 of a map, within act_depth = 8, not at -24 to "
     "138"),
    (dataclasses.replace(CONFIG, act_depth=8), {"stride": (6, 1), "output": (1, 3)},
     "kernels must be at columns from -128 to 127 of a map, within act_depth = 8, not at -24 to "
     "144"),
    (LOCAL, {"local": True}, "columns of a pixel of the source must be a multiple of n_pe = 4 in "
                             "local mode, not 3"),
    (LOCAL, {"local": True, "source": WHOLE}, "columns of a pixel of the result must be a multiple "
                                              "of n_pe = 4 in local mode, not 6"),
])
def test_convolution_that_is_no_single_loop_is_rejected(config, changes, message):
    if message is None:
        convolution(**changes).fields(config)
        return
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        convolution(**changes).fields(config)
