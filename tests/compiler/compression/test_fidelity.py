"""The verdict on a network, with its cause."""

import dataclasses
import json

import numpy as np
import pytest

from eie_compiler.accuracy import LabelError
from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.fidelity import measure_fidelity
from eie_compiler.errors import CompressError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import EIEConfig
from eie_sim.inference import infer, prepare

CONFIG = EIEConfig()


def make_model(rng, sizes=(20, 30, 5), patches=None, preprocessing=None):
    layers = [ModelLayer(f"fc{number}", rng.normal(0, n_cols ** -0.5, (n_rows, n_cols)),
                         rng.normal(0, 0.1, n_rows), relu=number < len(sizes) - 1)
              for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:]), 1)]
    return Model(tuple(layers), patches, preprocessing)


@pytest.fixture
def rng():
    return np.random.default_rng(81)


@pytest.fixture
def model(rng):
    return make_model(rng)


@pytest.fixture
def samples(rng):
    return rng.normal(size=(400, 20))


def judge(model, samples, config=CONFIG, **options):
    """Compress with 8 bits and measure."""
    measured = {name: options.pop(name) for name in ("labels", "task", "retrained")
                if name in options}
    network = compress(model, **{"v_width": 8, "calibration": samples,
                                 "act_width": config.act_width} | options)
    return measure_fidelity(model, network, config, samples, **measured)


def test_outputs_that_greater_ones_hide_are_listed(model, samples):
    last = model.layers[-1]
    scale = np.array([1e5, 1, 1e5, 1e5, 1e5])
    model = dataclasses.replace(model, layers=(*model.layers[:-1], dataclasses.replace(
        last, weight=last.weight * scale[:, None], bias=last.bias * scale)))
    check = judge(model, samples, task="regression")
    assert check["verdict"] == "good"
    assert [(one["output"], one["model"]) for one in check["bad_outputs"]] == [(1, 1.0)]
    assert check["bad_outputs"][0]["network"] < 0.1
    assert judge(model, samples, task="regression", labels=model(samples))["bad_outputs"] \
        == check["bad_outputs"]
    # Of labels that the model itself does not fit, no output is blamed.
    assert judge(model, samples)["bad_outputs"] == []


def test_fine_network_is_good(model, samples):
    check = judge(model, samples)
    assert (check["verdict"], check["cause"], check["samples"]) == ("good", None, 400)
    assert check["agreement"] > 0.99 and check["r2"] is None and check["labels"] is None
    assert [step["step"] for step in check["steps"]] == ["model", "sharing", "weight_rounding"]
    assert json.loads(json.dumps(check)) == check


@pytest.mark.parametrize("cause, options, config", [
    ("pruning", {"density": 0.2}, CONFIG),
    ("sharing", {"v_width": 2}, CONFIG),
    ("activation_rounding", {"pins": {"fc1": -1}}, CONFIG),
    ("activation_rounding", {}, EIEConfig(act_width=4)),
    ("activation_clipping", {"pins": {"fc1": 17}}, CONFIG),
    ("activation_clipping", {"pins": {"input": 18}}, CONFIG),
    ("weight_rounding", {}, EIEConfig(codebook_width=4)),
    ("accumulator", {"pins": {"fc1": 13, "fc2": 13}},
     EIEConfig(act_width=16, codebook_width=4, acc_width=20)),
])
def test_cause_of_a_loss_is_found(model, samples, cause, options, config):
    check = judge(model, samples, config, **options)
    assert check["verdict"] != "good"
    assert check["cause"] == cause
    steps = {step["step"]: step["score"] for step in check["steps"]}
    scores = list(steps.values())
    assert scores[0] == 1 and scores[-1] == check["agreement"]
    before = scores[list(steps).index(cause) - 1]
    assert before - steps[cause] == max(-np.diff(scores))


def lookup(classes, n_classes=2):
    """Model that gives sample `i` of the identity matrix the class ``classes[i]``."""
    return Model((ModelLayer("fc1", np.eye(n_classes)[:, classes]),))


def judge_classes(model, network, labels=None, **options):
    """Judge answers of a network by those of a model, or by labels."""
    return measure_fidelity(lookup(model), compress(lookup(network)), CONFIG, np.eye(len(model)),
                            labels=labels, **options)


def flip(classes, count):
    return np.where(np.arange(len(classes)) < count, 1 - classes, classes)


CLASSES = np.arange(100) % 2


@pytest.mark.parametrize("lost, verdict", [
    (0, "good"), (1, "good"), (2, "doubtful"), (3, "doubtful"), (4, "bad"),
])
def test_accuracy_may_fall_by_one_and_by_three_points(lost, verdict):
    labels = flip(CLASSES[::-1], 3)[::-1]    # the model has 97 hits
    check = judge_classes(CLASSES, flip(CLASSES, lost), labels)
    assert check["labels"] == {"model": 0.97, "network": (97 - lost) / 100, "constant": 0.51,
                               "judge": True}
    assert check["verdict"] == verdict
    assert (check["cause"] is None) == (verdict == "good")


@pytest.mark.parametrize("differing, verdict", [
    (1, "good"), (2, "doubtful"), (5, "doubtful"), (6, "bad"),
])
def test_agreement_may_fall_by_one_and_by_five_points(differing, verdict):
    check = judge_classes(CLASSES, flip(CLASSES, differing))
    assert check["agreement"] == 1 - differing / 100
    assert check["verdict"] == verdict


@pytest.mark.parametrize("n_samples", [3, 5, 19])
def test_a_single_sample_of_few_is_doubtful_at_most(n_samples):
    few = CLASSES[:n_samples]
    assert [judge_classes(few, flip(few, differing))["verdict"] for differing in (0, 1, 2)] \
        == ["good", "doubtful", "bad"]


def test_a_single_label_of_few_is_doubtful_at_most():
    assert judge_classes(CLASSES[:9], flip(CLASSES[:9], 1), CLASSES[:9])["verdict"] == "doubtful"


def test_a_network_that_errs_on_other_samples_is_good_by_labels():
    labels = flip(CLASSES[::-1], 10)[::-1]
    network = flip(flip(CLASSES, 10)[::-1], 10)[::-1]
    check = judge_classes(CLASSES, network, labels)
    assert check["agreement"] == 0.8
    assert check["labels"]["model"] == check["labels"]["network"] == 0.9
    assert check["verdict"] == "good"


@pytest.mark.parametrize("labels", [1 - CLASSES, np.zeros(100, int)])
def test_labels_that_do_not_fit_the_model_do_not_judge(labels):
    check = judge_classes(CLASSES, flip(CLASSES, 50), labels)
    assert not check["labels"]["judge"]
    assert check["agreement"] == 0.5 and check["verdict"] == "bad"
    assert check["steps"][0]["score"] == 1


def test_labels_of_one_class_judge_a_model_that_knows_it():
    ones = np.ones(100, int)
    good = judge_classes(ones, ones, ones)
    assert (good["verdict"], good["cause"]) == ("doubtful", "data")
    check = judge_classes(ones, flip(ones, 5), ones)
    assert check["labels"]["judge"] and check["verdict"] == "bad"


def test_a_network_no_better_than_a_constant_is_bad():
    labels = np.where(np.arange(200) < 180, 0, 1)
    model = np.where((180 <= np.arange(200)) & (np.arange(200) < 184), 1, 0)
    # The model has 92 % of hits, the networks 90.5 % and 90 %, which is the share of class 0.
    assert judge_classes(model, np.where(np.arange(200) == 199, 1, 0), labels)["verdict"] != "bad"
    assert judge_classes(model, np.zeros(200, int), labels)["verdict"] == "bad"


def test_agreement_that_a_constant_reaches_too_is_bad():
    rare = np.where(np.arange(100) < 3, 1, 0)
    check = judge_classes(rare, np.zeros(100, int))
    assert (check["agreement"], check["constant"], check["verdict"]) == (0.97, 0.97, "bad")
    assert check["bad_outputs"] == [{"output": 1, "model": 1.0, "network": 0.0}]
    same = judge_classes(np.zeros(100, int), np.zeros(100, int))
    assert (same["constant"], same["verdict"], same["cause"]) == (1, "doubtful", "data")


def test_a_model_that_explains_nothing_does_not_judge_numbers(rng, model, samples):
    labels = rng.normal(size=(400, 5)) + 0.001 * model(samples)
    labels += 1e3
    check = judge(model, samples, labels=labels)
    assert not check["labels"]["judge"] and check["constant"] == 0
    good = judge(model, samples, labels=model(samples))
    assert good["labels"]["judge"]


def test_a_retrained_network_is_judged_by_labels_alone():
    check = judge_classes(1 - CLASSES, flip(CLASSES, 10), CLASSES, retrained=True)
    assert check["labels"]["judge"] and check["verdict"] == "good"
    assert [step["step"] for step in check["steps"]] == ["model", "retraining", "weight_rounding"]
    assert [layer["error"] for layer in check["layers"]] == [0, None]


def test_numbers_are_judged_by_r2(rng, model, samples):
    check = judge(model, samples, task="regression")
    assert check["verdict"] == "good" and check["r2"] > 0.99 and check["agreement"] is None
    truth = model(samples) + rng.normal(0, 0.05, (400, 5))
    check = judge(model, samples, labels=truth, v_width=2)
    assert check["labels"]["constant"] == 0
    assert check["labels"]["model"] > 0.95 and check["verdict"] != "good"


@pytest.mark.parametrize("n_outputs, labels, task, assumed", [
    (5, None, "classification", True), (1, None, "regression", True),
    (5, np.zeros(400, int), "classification", False),
])
def test_assumed_task_is_reported(rng, samples, n_outputs, labels, task, assumed):
    check = judge(make_model(rng, (20, n_outputs)), samples, labels=labels)
    assert (check["task"], check["task_assumed"]) == (task, assumed)
    assert judge(make_model(rng, (20, n_outputs)), samples, task=task)["task_assumed"] is False


def test_errors_of_layers_are_those_of_the_golden_model(model, samples):
    network = compress(model, density=0.5, calibration=samples, v_width=3)
    config = EIEConfig(n_pe=2, v_width=3)
    build = compile_network(network, config, outputs="all")
    words = prepare(build, samples)
    outputs = infer(build, words, words=True, engine="golden").outputs
    fixed = [np.ldexp(one.astype(float), -vector.frac)
             for one, vector in zip([words, *outputs], [build.input, *build.outputs])]
    check = measure_fidelity(model, network, config, samples)

    def results(layers):
        x = samples
        yield x
        for layer in layers:
            x = layer(x)
            yield x

    for key, layers in (("error", model.layers), ("rounding_error", decompress(network).layers)):
        expected = [(((one - other) ** 2).sum() / (other ** 2).sum()) ** 0.5
                    for one, other in zip(fixed, results(layers), strict=True)]
        np.testing.assert_allclose([layer[key] for layer in check["layers"]], expected)
    assert [layer.get("zeroed") for layer in check["layers"]] == [None, 0.5, 0.5]


def test_weights_whose_word_is_zero_count_as_zeroed():
    weight = np.array([[1.0, 2.0 ** -20], [0.0, 0.5]])
    check = judge(Model((ModelLayer("fc1", weight),)), np.ones((3, 2)), task="regression")
    assert check["layers"][1]["zeroed"] == 1 / 3


def test_batches_do_not_change_the_result(monkeypatch, model, samples):
    once = judge(model, samples, density=0.3, task="regression")
    monkeypatch.setattr("eie_compiler.compression.fidelity._CHUNK", 100)
    many = judge(model, samples, density=0.3, task="regression")
    assert many["r2"] == pytest.approx(once["r2"], rel=1e-12)
    assert many["layers"][2]["error"] == pytest.approx(once["layers"][2]["error"], rel=1e-12)


def test_pixels_of_a_convolution_are_numbers(rng):
    model = make_model(rng, (18, 6, 4), Patches((2, 6, 6), kernel=(3, 3)))
    images = rng.normal(size=(5, 2, 6, 6))
    check = judge(model, images)
    assert (check["task"], check["verdict"], check["samples"]) == ("regression", "good", 5)
    assert judge(model, images, task="classification")["agreement"] > 0.9
    with pytest.raises(LabelError, match="^labels must not be given for a convolution"):
        judge(model, images, labels=np.zeros(5, int))


def test_preprocessing_is_part_of_the_comparison(rng):
    scale = 10.0 ** rng.uniform(-3, 3, 20)
    offset = rng.normal(0, 1, 20) / scale
    model = make_model(rng, preprocessing=Preprocessing(offset, scale))
    check = judge(model, rng.normal(size=(400, 20)) / scale + offset)
    assert check["verdict"] == "good"
    assert check["layers"][0]["error"] < 1e-3


def test_a_network_without_format_is_bad(model, samples):
    check = judge(model, samples, EIEConfig(codebook_width=4, acc_width=20), pins={"fc1": 40})
    assert (check["verdict"], check["cause"]) == ("bad", "format")
    assert check.keys() - {"reason"} == judge(model, samples).keys()
    assert check["reason"].startswith("layer 'fc1': some codebook scale must fit")


def test_samples_of_another_shape_are_refused(model, samples):
    network = compress(model)
    with pytest.raises(CompressError, match="^calibration must contain one or more inputs of 20 "):
        measure_fidelity(model, network, CONFIG, samples[:, :19])


def test_sparse_and_dense_models_give_the_same(model, samples):
    from scipy.sparse import csc_array

    sparse = dataclasses.replace(model, layers=tuple(
        dataclasses.replace(layer, weight=csc_array(layer.weight)) for layer in model.layers))
    assert judge(sparse, samples, density=0.2)["cause"] == "pruning"
