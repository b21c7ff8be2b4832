"""Rows of `eie compare`: every point stands for itself."""

import dataclasses
import json

import numpy as np
import pytest

from eie_bench.compare import Data, compare
from eie_compiler.accuracy import LabelError
from eie_compiler.compression.compress import compress
from eie_compiler.compression.fidelity import measure_fidelity
from eie_compiler.errors import CompressError
from eie_compiler.files.network_file import write_network
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_hdl.config import EIEConfig
from eie_sim.cycles.model import predict_back_to_back, predict_build
from eie_sim.inference import prepare

CONFIG = EIEConfig(n_pe=4)


@pytest.fixture
def rng():
    return np.random.default_rng(95)


@pytest.fixture
def model(rng):
    return Model((ModelLayer("fc1", rng.normal(size=(30, 20)), relu=True),
                  ModelLayer("fc2", rng.normal(size=(4, 30)))))


@pytest.fixture
def data(rng, model):
    samples = rng.normal(size=(50, 20))
    return Data(samples, model(samples).argmax(axis=1))


def test_each_row_is_what_the_commands_give(tmp_path, model, data):
    pytest.importorskip("numba")
    rows = list(compare(model, data, CONFIG, densities=[1, 0.25], bits=[2, 4], widen=True))
    assert [(row["density"], row["v_width"]) for row in rows] == [(1, 2), (1, 4), (0.25, 2),
                                                                  (0.25, 4)]
    assert json.loads(json.dumps(rows)) == rows
    for row in rows:
        network = compress(model, density=row["density"], v_width=row["v_width"],
                           calibration=data.samples)
        write_network(tmp_path / "net.npz", network)
        assert row["bytes"] == (tmp_path / "net.npz").stat().st_size
        assert row["check"] == measure_fidelity(model, network, CONFIG, data.samples,
                                                labels=data.labels)
        build = compile_network(network,
                                dataclasses.replace(CONFIG, v_width=row["v_width"]))
        assert row["memory"] == build.report["memory"]
        words = prepare(build, data.samples[:8])
        assert row["cycles"] == np.mean([one.counters["cycles"]
                                         for one in predict_build(build, words)])
        batch = words[np.arange(32) % 8]
        assert row["end_to_end"] == predict_back_to_back(build, batch).interval / 32
        assert row["error"] is None


def test_settings_that_do_not_fit_keep_their_accuracy(model, data):
    small = EIEConfig(n_pe=1, acc_depth=4, spmat_depth=20, v_width=4)
    too_many, *others = compare(model, data, small, densities=[1], bits=[4, 3, 5], widen=False)
    assert too_many["error"].startswith("spmat SRAM must have ")
    for row in others:
        assert row["error"].startswith(f"v_width must be {row['v_width']}, for which the network")
    for row in (too_many, *others):
        assert row["check"]["labels"]["network"] > 0.5 and row["bytes"] > 0
        assert row["cycles"] is row["end_to_end"] is row["memory"] is None


def test_a_machine_may_get_codes_as_wide_as_those_of_the_network(model, data):
    pytest.importorskip("numba")
    for row in compare(model, data, CONFIG, densities=[1], bits=[3, 6], widen=True):
        assert row["error"] is None and row["cycles"] > 0


def test_a_point_that_fails_does_not_lose_the_others(monkeypatch, model, data):
    real = compress

    def fail(model, *, v_width, **options):
        if v_width == 3:
            raise MemoryError
        return real(model, v_width=v_width, **options)

    monkeypatch.setattr("eie_bench.compare.compress", fail)
    rows = list(compare(model, data, CONFIG, densities=[1], bits=[3, 4], widen=False))
    assert rows[0]["error"] == "MemoryError" and rows[0]["check"] is None
    assert rows[1]["check"]["verdict"] in ("good", "doubtful", "bad")


@pytest.mark.parametrize("changes, error, message", [
    ({"densities": [1, 0]}, CompressError, "density must be above 0 and at most 1, not 0"),
    ({"bits": [4, 9]}, CompressError, "bits must be integers from 2 to 8, not 9"),
    ({"data": Data(np.ones((2, 3)))}, CompressError,
     "calibration must contain one or more inputs of"),
    ({"data": Data(np.ones((2, 20)), np.zeros(3, int))}, LabelError, "labels must be 2, one for"),
])
def test_wrong_options_are_refused_before_anything_is_measured(model, data, changes, error,
                                                               message):
    options = {"data": data, "densities": [1], "bits": [4]} | changes
    with pytest.raises(error, match=f"^{message}"):
        compare(model, options.pop("data"), CONFIG, **options, widen=False)
