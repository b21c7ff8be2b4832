import json
import re

import numpy as np
import pytest

from eie_compiler.compression.calibration import calibrate, fit_frac, report_formats
from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.errors import CompressError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import PatchError, Patches
from eie_hdl.config import EIEConfig


@pytest.fixture
def rng():
    return np.random.default_rng(34)


@pytest.fixture
def model(rng):
    return Model((
        ModelLayer("fc1", rng.normal(0, 0.15, (30, 40)), rng.normal(0, 0.1, 30), relu=True),
        ModelLayer("fc2", rng.normal(0, 0.2, (5, 30)), rng.normal(0, 0.1, 5))))


def values_of(network, x):
    """Input and results of each layer, in floating point."""
    yield x
    for layer in decompress(network).layers:
        x = layer(x)
        yield x


def fracs_of(network):
    return [network.input_frac, *(layer.output_frac for layer in network.layers)]


@pytest.mark.parametrize("magnitude, frac", [
    (1.0, 14), (255 / 256, 15), (32767 / 4096, 12), (2.0, 13), (3000.0, 3), (1e6, -5), (0.0, 15),
    (1e-30, 64),
])
def test_fraction_bits_fill_the_word(magnitude, frac):
    assert fit_frac(magnitude, 16) == frac


@pytest.mark.parametrize("act_width", range(4, 25))
def test_a_magnitude_that_just_fits_loses_no_bit(act_width):
    greatest = 2.0 ** (act_width - 1) - 1
    for frac in range(-64, 65):
        fits = greatest * 0.5 ** frac
        assert fit_frac(fits, act_width) == frac
        assert fit_frac(np.nextafter(fits, np.inf), act_width) == max(frac - 1, -64)


@pytest.mark.parametrize("samples", [None, np.ones((1, 1))])
def test_results_that_are_not_finite_are_refused(samples):
    layer = ModelLayer("fc1", np.full((1, 1), 1e308), np.full(1, 1e308))
    with pytest.raises(CompressError, match="^layer 'fc1': results must be finite, but exceed "
                                            "the range of floating-point numbers: scale the "
                                            "weights down$"):
        calibrate(Model((layer,)), act_width=16, samples=samples)


@pytest.mark.parametrize("act_width", [8, 16])
def test_samples_fill_the_formats_and_do_not_saturate(rng, model, act_width):
    x = rng.normal(size=(100, 40))
    network = compress(model, density=[0.5, 0.8], calibration=x, act_width=act_width)
    greatest = (1 << act_width - 1) - 1
    for values, frac in zip(values_of(network, x), fracs_of(network)):
        assert 0.49 * greatest < np.abs(values).max() * 2.0 ** frac <= greatest


def test_without_samples_no_input_saturates(rng, model):
    network = compress(model, density=0.5, input_magnitude=2.0)
    assert network.input_frac == 13
    weights = decompress(network).layers[0].weight.toarray()
    for row in range(30):    # the input that maximises this row
        x = 2 * np.sign(weights[row])
        for values, frac in zip(values_of(network, x[np.newaxis]), fracs_of(network)):
            assert np.abs(values).max() * 2.0 ** frac <= 32767
    first = network.layers[0]
    most = (np.abs(weights).sum(axis=1) * 2 + first.bias).max()
    assert most * 2.0 ** (first.output_frac + 1) > 32767    # and no bit is wasted


@pytest.mark.parametrize("relu, bias, magnitudes", [
    # The input is from -1 to 1.
    (False, (3.0, 4.0), (4.0, 2.0)),     # 2 to 4, then 4 less that
    (False, (-3.0, 4.0), (4.0, 8.0)),    # -4 to -2, then 4 less that
    (True, (-3.0, 1.0), (0.0, 1.0)),     # always 0, then 1
    (True, (0.5, 0.0), (1.5, 1.5)),      # 0 to 1.5, then the negative of that
])
def test_intervals_are_carried_through_the_layers(relu, bias, magnitudes):
    model = Model((ModelLayer("a", np.ones((1, 1)), np.array(bias[:1]), relu),
                   ModelLayer("b", -np.ones((1, 1)), np.array(bias[1:]))))
    assert calibrate(model, act_width=16) == [fit_frac(magnitude, 16)
                                              for magnitude in (1.0, *magnitudes)]


def test_a_convolution_is_calibrated_with_images(rng):
    patches = Patches((2, 6, 6), kernel=(3, 3), padding=(1, 1, 1, 1))
    model = Model((ModelLayer("conv", rng.normal(size=(4, 18))),), patches)
    images = rng.uniform(-3, 3, (5, 2, 6, 6))
    cut = Model(model.layers)
    assert calibrate(model, act_width=16, samples=images) == calibrate(
        cut, act_width=16, samples=patches.cut(images))
    with pytest.raises(PatchError, match=re.escape(
            "Images must have the shape (batch, 2, 6, 6), not (5, 18)")):
        calibrate(model, act_width=16, samples=np.ones((5, 18)))


def test_pins_win_and_leave_the_others_alone(rng, model):
    x = rng.normal(size=(100, 40))
    free = calibrate(model, act_width=16, samples=x)
    assert calibrate(model, act_width=16, samples=x, pins={"fc1": 3}) == [free[0], 3, free[2]]
    assert calibrate(model, act_width=16, pins={"input": -5, "fc1": 3, "fc2": 64}) == [-5, 3, 64]


@pytest.mark.parametrize("options, message", [
    ({"input_magnitude": 0.0}, "input_magnitude must be positive and finite, not 0.0"),
    ({"samples": np.ones((5, 3))},
     "calibration must contain one or more inputs of 40 numbers, not shape (5, 3)"),
    ({"samples": np.ones((0, 40))},
     "calibration must contain one or more inputs of 40 numbers, not shape (0, 40)"),
    ({"samples": np.full((1, 40), np.nan)},
     "calibration must be finite, but element [0, 0] is nan"),
    ({"samples": np.full((1, 40), "1.5")}, "calibration must contain real numbers, not <U3"),
    ({"samples": np.full((1, 40), 1j)}, "calibration must contain real numbers, not complex128"),
    ({"pins": {"fc3": 4}}, "pins must be for input, fc1, fc2, not 'fc3'"),
    ({"pins": {"fc1": 65}}, "pin of 'fc1' must be fraction bits from -64 to 64, not 65"),
    ({"pins": {"fc1": 4.0}}, "pin of 'fc1' must be fraction bits from -64 to 64, not 4.0"),
])
def test_wrong_options_are_refused(model, options, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        calibrate(model, act_width=16, **options)


def test_the_report_contains_the_observed_range(rng, model):
    x = rng.normal(size=(100, 40))
    network = compress(model, density=0.5, calibration=x)
    rows = report_formats(network, EIEConfig(), samples=x)
    assert [row["name"] for row in rows] == ["input", "fc1", "fc2"]
    for row, values, frac in zip(rows, values_of(network, x), fracs_of(network)):
        assert row["seen"]
        assert (row["lowest"], row["highest"]) == (values.min(), values.max())
        assert (row["frac"], row["resolution"]) == (frac, 2.0 ** -frac)
        assert row["clipped"] == 0
    assert json.loads(json.dumps(rows)) == rows


def test_the_report_counts_what_a_format_clips():
    model = Model((ModelLayer("fc", np.eye(1)),))
    network = compress(model, act_width=8, pins={"input": 4, "fc": 5})
    # With 5 fraction bits the least is -4 and the greatest 127 / 32; both take half a step more.
    x = np.array([-4.02, -4.015625, -4.0, 0.0, 3.98, 3.984375, 4.0, 5.0])
    rows = report_formats(network, EIEConfig(act_width=8), samples=x[:, np.newaxis])
    assert [row["clipped"] for row in rows] == [0, 4 / 8]


def test_the_report_without_samples_gives_bounds(model):
    network = compress(model, density=0.5)
    rows = report_formats(network, EIEConfig())
    assert (rows[0]["lowest"], rows[0]["highest"]) == (-1, 1)
    assert not any(row["seen"] for row in rows)
    assert all(row["clipped"] is None for row in rows)


def test_the_report_proves_the_accumulators_as_the_compiler_does(model):
    network = compress(model, density=0.5)
    config = EIEConfig(n_pe=4, acc_width=38)
    built = compile_network(network, config).report["layers"]
    rows = report_formats(network, config)
    assert "accumulator" not in rows[0]
    for row, layer in zip(rows[1:], built):
        bits = row["accumulator"].pop("bits")
        assert row["accumulator"] == layer["overflow"]
        greatest = max(layer["overflow"]["highest"], ~layer["overflow"]["lowest"])
        assert bits == greatest.bit_length() + 1


def test_the_report_explains_why_a_machine_has_no_format(model):
    network = compress(model, pins={"fc1": 60})
    rows = report_formats(network, EIEConfig())
    assert rows[1]["accumulator"]["error"].startswith(
        "layer 'fc1': some codebook scale must fit input_frac = 14 and output_frac = 60, but ")
    assert "spare_bits" in report_formats(compress(model), EIEConfig())[1]["accumulator"]
