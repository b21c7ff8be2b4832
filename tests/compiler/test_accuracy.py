import numpy as np
import pytest

from eie_compiler.accuracy import (
    LabelError,
    Meter,
    best_constant,
    check_labels,
    choose_task,
    score,
)
from eie_compiler.patches import Patches

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
     "labels must be numbers, not <U1 of shape (3,): convert names of classes to their positions "
     "among the outputs"),
    (np.array([0, 1, np.nan]), "regression", 1, "labels must be finite"),
    (np.eye(3, dtype=int), "classification", 3,
     "labels must be one class, an integer, for each input, not int64 of shape (3, 3): give the "
     "position of the greatest of each row, or task=regression"),
    (np.array([1, 2, 3]), "classification", 3,
     "labels must be classes from 0 to 2, the positions of the outputs, not 3"),
    (np.array([0, -1, 1]), "classification", 3,
     "labels must be classes from 0 to 2, the positions of the outputs, not -1"),
    (np.array([0, 2, 1]), "classification", 1,
     "labels must be classes from 0 to 1, the positions of the outputs, not 2"),
    (np.array([0.5, 2, 1]), "classification", 3,
     "labels must be one class, an integer, for each input, not float64 of shape (3,): give the "
     "position of the greatest of each row, or task=regression"),
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
    assert Meter("classification").output_scores == []


def test_best_constant_answer_is_the_most_frequent_class_or_the_mean():
    assert best_constant(np.array([0, 2, 2, 1]), "classification") == 0.5
    truth = np.array([[1.0], [4.0], [7.0]])
    assert best_constant(truth, "regression") == score(np.full((3, 1), 4.0), truth, "regression")
