import re

import numpy as np
import pytest

from eie_compiler.accuracy import (
    LabelError,
    Meter,
    check_labels,
    choose_task,
    describe_classes,
    match_labels,
    score,
)
from eie_compiler.patches import Patches

#: Remedy for labels that are not classes from 0.
MAP = (": map their values {} to the classes from 0, such as by "
       "np.unique(labels, return_inverse=True)[1] if every class occurs")

PATCHES = Patches((1, 4, 4), kernel=(3, 3))


def measure(task, outputs, truth, n_batches=1):
    meter = Meter(task)
    for some in zip(np.array_split(outputs, n_batches), np.array_split(truth, n_batches)):
        meter.add(*some)
    return meter.score


@pytest.mark.parametrize("n_outputs, options, task", [
    (10, {}, "classification"),
    (1, {}, "regression"),
    (10, {"patches": PATCHES}, "regression"),
    (10, {"task": "regression"}, "regression"),
    (1, {"task": "classification"}, "classification"),
    (10, {"labels": np.zeros(3, np.uint8)}, "classification"),
    (1, {"labels": np.zeros(3, bool)}, "classification"),
    (10, {"labels": np.zeros(3)}, "classification"),    # as numpy.loadtxt reads them
    (10, {"labels": np.zeros((3, 10))}, "regression"),
    (1, {"labels": np.ones(3)}, "regression"),
    (3, {"labels": np.array([0.5, 1, 2])}, "regression"),
    (1, {"labels": np.zeros(3, int), "task": "regression"}, "regression"),
])
def test_task_follows_from_labels_and_outputs(n_outputs, options, task):
    assert choose_task(n_outputs, **options) == task


def test_unknown_task_is_refused():
    with pytest.raises(LabelError, match="^task must be classification or regression, not 'x'$"):
        choose_task(2, task="x")


@pytest.mark.parametrize("labels, task, n_outputs, message", [
    (np.zeros(2, int), "classification", 3, "labels must be 3, one for each input, not int64 of "
                                            "shape (2,)"),
    (np.array(1), "classification", 3, "labels must be 3, one for each input, not int64 of shape "
                                       "()"),
    (np.array(["a", "b", "c"]), "classification", 3,
     "labels must be numbers, not <U1 of shape (3,)" + MAP.format("a, b, c")),
    (np.array([0, 1, np.nan]), "regression", 1, "labels must be finite"),
    (np.eye(3, dtype=int), "classification", 3,
     "labels must be one class, an integer, for each input, not int64 of shape (3, 3): give the "
     "position of the greatest of each row, y.argmax(axis=1), or task=regression"),
    (np.tri(3, dtype=int), "classification", 3,
     "labels must be one class, an integer, for each input, not int64 of shape (3, 3): rows with "
     "several classes, or none, have no accuracy: give the labels of one question at a time, or "
     "task=regression for R² of the outputs against 0 and 1"),
    (np.array([1, 2, 3]), "classification", 3,
     "labels must be classes from 0 to 2, the positions of the outputs, not 3"
     + MAP.format("1, 2, 3")),
    (np.array([0, -1, 1]), "classification", 3,
     "labels must be classes from 0 to 2, the positions of the outputs, not -1"
     + MAP.format("-1, 0, 1")),
    (np.array([0, 2, 1]), "classification", 1,
     "labels must be classes from 0 to 1, the positions of the outputs, not 2"
     + MAP.format("0, 1, 2")),
    (np.array([0.5, 2, 1]), "classification", 3,
     "labels must be one class, an integer, for each input, not float64 of shape (3,): round "
     "them if they are classes, or give task=regression if they are numbers"),
    (np.ones((3, 2)), "regression", 3,
     "labels must be 3 numbers for each input, not float64 of shape (3, 2)"),
])
def test_labels_that_do_not_fit_are_refused(labels, task, n_outputs, message):
    with pytest.raises(LabelError) as error:
        check_labels(labels, task, n_samples=3, n_outputs=n_outputs)
    assert str(error.value) == message


def test_labels_of_pixels_are_refused():
    with pytest.raises(LabelError, match="^labels must not be given for a convolution: it computes "
                                         "a vector of 5 for each of 2 × 2 pixels, .*measure the "
                                         "whole model"):
        check_labels(np.zeros(3, int), "classification", n_samples=3, n_outputs=5, patches=PATCHES)


def test_labels_are_converted():
    classes = check_labels(np.array([[2.0], [0.0]]), "classification", n_samples=2, n_outputs=3)
    assert classes.dtype == np.int64 and classes.tolist() == [2, 0]
    assert check_labels(np.array([3, 4]), "regression", n_samples=2, n_outputs=1).tolist() == [
        [3], [4]]


@pytest.mark.parametrize("n_batches", [1, 3])
def test_accuracy_counts_the_greatest_output(n_batches):
    outputs = np.array([[1, 2, 0], [5, 1, 1], [0, 0, 9], [2, 3, 1.0]])
    assert measure("classification", outputs, np.array([1, 0, 1, 0]), n_batches) == 0.5
    assert measure("classification", outputs, -outputs, n_batches) == 0


def test_a_single_output_is_a_class_by_its_sign():
    outputs = np.array([[-0.5], [0.5], [0.0], [3]])
    assert measure("classification", outputs, np.array([0, 1, 0, 0])) == 0.75


@pytest.mark.parametrize("n_batches", [1, 4])
@pytest.mark.parametrize("offset", [0, 1e6])
def test_r2_is_that_of_its_definition(n_batches, offset):
    rng = np.random.default_rng(73)
    truth = rng.normal(offset, [1, 3], (50, 2))
    outputs = truth + rng.normal(0, 0.5, truth.shape)
    expected = 1 - ((outputs - truth) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()
    assert measure("regression", outputs, truth, n_batches) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("outputs, truth, score", [
    ([[3.0]], [[4.0]], 1 - 1 / 16),    # one sample has no variance
    ([[4.4], [4.4]], [[4.0], [4.0]], 0.99),
    ([[0.0]], [[0.0]], 1),
    ([[0.1]], [[0.0]], 0),
])
def test_r2_of_constants_is_relative_to_zero(outputs, truth, score):
    assert measure("regression", np.array(outputs), np.array(truth)) == pytest.approx(score)


def test_score_of_all_outputs_is_that_of_a_meter():
    outputs = np.array([[1, 2.0], [5, 1], [0, 9]])
    assert score(outputs, np.array([1, 1, 1]), "classification") == 2 / 3
    assert score(outputs, outputs[:, ::-1], "regression") == measure(
        "regression", outputs, outputs[:, ::-1])


def test_outputs_of_a_regression_have_scores_of_their_own():
    truth = np.array([[1000.0, 0.1], [2000.0, 0.3]])
    meter = Meter("regression")
    meter.add(truth * [1, 0], truth)
    assert meter.score > 0.9999
    assert meter.output_scores == pytest.approx([1, -4])
    assert [one["output"] for one in meter.bad_outputs()] == [1]
    perfect = Meter("regression")
    perfect.add(truth, truth)
    assert meter.bad_outputs(perfect, 0.05) == [
        {"output": 1, "model": 1.0, "network": pytest.approx(-4)}]
    assert perfect.bad_outputs(meter, 0.05) == []
    close = Meter("regression")
    close.add(truth * [1, 1.1], truth)
    assert [bool(close.bad_outputs(perfect, limit)) for limit in (0.01, 0.05)] == [True, False]


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_rare_classes_have_scores_of_their_own(n_outputs):
    classes = np.repeat([0, 1], [95, 5])

    def answer(lost):
        meter, outputs = Meter("classification"), np.where(classes == 0, -1.0, 1.0)
        outputs[95:95 + lost] = -1
        meter.add(outputs[:, None] if n_outputs == 1 else np.stack([-outputs, outputs], 1), classes)
        return meter

    assert answer(3).score == 0.97 and answer(3).output_scores == [1, 0.4]
    assert answer(3).bad_outputs() == [{"output": 1, "model": None, "network": 0.4}]
    assert answer(3).bad_outputs(answer(0)) == [{"output": 1, "model": 1.0, "network": 0.4}]
    # A constant answer is as good, which is warned of.
    assert answer(5).bad_outputs() == []
    # A single input decides nothing.
    assert answer(1).bad_outputs(answer(0)) == answer(2).bad_outputs() == []


def test_classes_that_do_not_occur_have_no_score():
    meter = Meter("classification")
    meter.add(np.eye(3)[[0, 1, 1]], np.array([0, 1, 1]))
    assert meter.output_scores[:2] == [1, 1] and np.isnan(meter.output_scores[2])
    assert meter.bad_outputs() == meter.bad_outputs(meter) == []


@pytest.mark.parametrize("labels, values", [
    (np.array([-1, 1, 1]), "-1, 1"), (np.array([1, 2, 3]), "1, 2, 3"),
    (np.array(["cat", "dog", "cat"]), "cat, dog"), (np.array([-1.0, 1, 1]), "-1.0, 1.0"),
])
def test_labels_that_are_not_classes_from_0_are_explained(labels, values):
    with pytest.raises(LabelError, match=re.escape(MAP.format(values)) + "$"):
        match_labels(labels, "classification", n_samples=3, n_outputs=3)
    assert describe_classes(np.arange(-9, 90)).startswith(
        ": map their values -9, -8, -7, -6, -5, -4, -3, -2 and 91 more to the classes from 0")


def test_best_constant_answer_is_the_most_frequent_class_or_the_mean():
    def constant(task, truth):
        meter = Meter(task)
        meter.add(np.zeros((len(truth), 3)), truth)
        return meter.constant

    assert constant("classification", np.array([0, 2, 2, 1])) == 0.5
    assert constant("classification", np.array([2, 2])) == 1
    truth = np.array([[1.0], [4.0], [7.0]]) * [1, 2, 3]
    assert constant("regression", truth) == 0 == score(
        np.broadcast_to(truth.mean(axis=0), (3, 3)), truth, "regression")
    assert constant("regression", np.full((4, 3), 1e6) + np.eye(4)[:, :3] * 0.01) == 1
