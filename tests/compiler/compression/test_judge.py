import numpy as np
import pytest

from eie_compiler.accuracy import Meter
from eie_compiler.compression.judge import Judge

CLASSES = np.arange(200) % 4


def meter(n_right, classes=CLASSES):
    """Meter of a model that is right for the first inputs."""
    found = np.where(np.arange(200) < n_right, classes, (classes + 1) % 4)
    meter = Meter("classification")
    meter.add(np.eye(4)[found], classes)
    return meter


def test_labels_judge_if_the_model_fits_them():
    judge = Judge.choose("classification", 200, {"model": meter(200), "labels": meter(180)})
    assert (judge.by, judge.start, judge.constant) == ("labels", 0.9, 0.25)
    assert [judge.verdict(score) for score in (0.95, 0.89, 0.87, 0.86, 0.2)] \
        == ["good", "good", "doubtful", "bad", "bad"]


@pytest.mark.parametrize("meters", [{"model": meter(200)},
                                    {"model": meter(200), "labels": meter(50)}])
def test_the_model_judges_without_labels_and_if_it_does_not_fit_them(meters):
    judge = Judge.choose("classification", 200, meters)
    assert (judge.by, judge.start) == ("model", 1.0)
    assert [judge.verdict(score) for score in (0.99, 0.96, 0.94)] == ["good", "doubtful", "bad"]


def test_a_retrained_network_is_judged_by_labels_whatever_the_model_was():
    meters = {"model": meter(200), "labels": meter(50)}
    assert Judge.choose("classification", 200, meters, retrained=True).by == "labels"


def test_a_constant_answer_is_bad_unless_it_is_the_truth():
    judge = Judge.choose("classification", 200, {"model": meter(200, CLASSES // 3)})
    assert judge.verdict(0.75) == "bad"
    constant = Judge.choose("classification", 200, {"model": meter(200, 0 * CLASSES)})
    assert (constant.constant, constant.verdict(1.0)) == (1, "good")
