"""`eie_compiler.training.teacher`: scores of a model that another one learns."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations.arrangement import Reshape
from eie_compiler.model import Model, ModelLayer
from eie_compiler.training import TrainingError
from eie_compiler.training.data import Data, Part
from eie_compiler.training.module import Module
from eie_compiler.training.recipes import dense_stages
from eie_compiler.training.teacher import Teacher, read_teacher
from eie_compiler.training.weights import write_weights
from support.training_runs import STAGES, bits, learn


@pytest.fixture(scope="module")
def model(data):
    """A model that knows all classes."""
    module, records = learn(data, dense_stages(20, rate=1e-2, decay=0, dropout=0))
    assert records[-1]["validation"] < 0.1
    return module.to_model()


def test_a_teacher_is_learnt_where_labels_are_useless(data, model):
    rng = np.random.default_rng(58)
    part = Part(data.train.inputs, rng.permutation(data.train.targets))
    useless = Data(part, data.validation, data.test)
    stages = dense_stages(10, rate=1e-2, decay=0, dropout=0)
    errors = {weight: learn(useless, stages, teacher=Teacher.of(model, useless, weight=weight)
                            )[1][-1]["test"] for weight in (0.0, 0.9)}
    assert errors[0.9] < 0.1 < 0.5 < errors[0.0]


def test_loss_is_that_of_the_paper():
    rng = np.random.default_rng(59)
    taught, scores = rng.normal(size=(2, 3, 4)).astype(np.float32)
    teacher = Teacher(taught, temperature=3.0, weight=0.25)
    chosen = [2, 0]

    def soft(x):
        return np.exp(x / 3) / np.exp(x / 3).sum(axis=1, keepdims=True)

    p, q = soft(taught[chosen].astype(np.float64)), soft(scores[chosen].astype(np.float64))
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    mixed = teacher.mix(torch.tensor(5.0), torch.from_numpy(scores[chosen]), torch.tensor(chosen))
    assert mixed.item() == pytest.approx(0.75 * 5 + 0.25 * 9 * divergence, rel=1e-5)


def test_scores_of_a_graph_are_those_of_its_layers(data, model):
    graph = Graph({"image": (2, 2, 2)}, (Node("flat", Reshape((8,)), ("image",)),
                                         Node("scores", model, ("flat",))), ("scores",))
    expected = model(data.train.inputs.astype(np.float64))
    np.testing.assert_array_equal(Teacher.of(graph, data).scores, expected.astype(np.float32))


def test_a_single_output_is_the_score_of_class_1(data):
    labels = data.train.targets % 2
    two = Data(Part(data.train.inputs, labels), data.validation, data.test)
    model = Model((ModelLayer("a", np.ones((1, 8))),))
    scores = Teacher.of(model, two).scores
    np.testing.assert_array_equal(scores[:, 0], 0)
    np.testing.assert_allclose(scores[:, 1], data.train.inputs.sum(axis=1), atol=1e-5)
    Teacher.of(model, two).check(1, two)


def test_a_run_resumes_with_the_same_teacher_only(data, model, tmp_path):
    class Stop(Exception):
        pass

    def stop(record):
        if record["stage"] == "prune 2":
            raise Stop

    path = tmp_path / "checkpoint.npz"
    teacher = Teacher.of(model, data)
    with pytest.raises(Stop):
        learn(data, STAGES, teacher=teacher, checkpoint=path, on_epoch=stop)
    for other in (None, dataclasses.replace(teacher, weight=0.5),
                  dataclasses.replace(teacher, temperature=2.0),
                  dataclasses.replace(teacher, scores=teacher.scores + 1)):
        with pytest.raises(TrainingError, match="must be of the same model, data and options"):
            learn(data, STAGES, teacher=other, checkpoint=path, resume=True)
    resumed, _ = learn(data, STAGES, teacher=teacher, checkpoint=path, resume=True)
    assert bits(resumed) == bits(learn(data, STAGES, teacher=teacher)[0])


def test_a_file_of_weights_is_a_teacher(data, model, tmp_path):
    write_weights(tmp_path / "teacher.npz", model)
    teacher = read_teacher(tmp_path / "teacher.npz", data, temperature=2.0, weight=0.5)
    np.testing.assert_array_equal(teacher.scores, Teacher.of(model, data).scores)
    assert (teacher.temperature, teacher.weight) == (2, 0.5)


@pytest.mark.parametrize("shape, message", [
    ((4, 9), "teacher must have 8 numbers per input, as the data have, not 9 of shape (9,)"),
    ((3, 8), "teacher must have 4 classes, as the network has, not 3"),
])
def test_a_teacher_must_fit_data_and_module(data, shape, message):
    model = Model((ModelLayer("a", np.ones(shape)),))
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        learn(data, STAGES[:1], teacher=Teacher.of(model, data))


def test_a_teacher_with_several_inputs_is_refused(data):
    model = Model((ModelLayer("a", np.ones((4, 8))),))
    graph = Graph({"x": (8,), "y": (8,)}, (Node("a", model, ("x",)),), ("a",))
    with pytest.raises(TrainingError, match="^teacher must have one input and one output, not 2 "
                                            "and 1: choose a part of it$"):
        Teacher.of(graph, data)


def test_a_teacher_of_other_data_or_of_numbers_is_refused(data, model):
    teacher = Teacher.of(model, data)
    with pytest.raises(TrainingError, match="^teacher must have scores for 300 training inputs, "
                                            "not 5$"):
        learn(data, STAGES[:1], teacher=dataclasses.replace(teacher, scores=teacher.scores[:5]))
    part = Part(data.train.inputs, data.train.inputs)
    with pytest.raises(TrainingError, match="^labels must be classes to learn from a teacher, not "
                                            "numbers$"):
        teacher.check(Module.new([8, 8], 1).n_outputs, Data(part, part, part))


@pytest.mark.parametrize("options, message", [
    ({"temperature": 0.0}, "teacher_temperature must be above 0 and finite, not 0.0"),
    ({"temperature": float("inf")}, "teacher_temperature must be above 0 and finite, not inf"),
    ({"weight": 1.5}, "teacher_weight must be from 0 to 1, not 1.5"),
    ({"weight": float("nan")}, "teacher_weight must be from 0 to 1, not nan"),
])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(TrainingError, match=f"^{message}$"):
        Teacher(np.zeros((1, 2), np.float32), **options)


def test_scores_must_be_finite():
    with pytest.raises(TrainingError, match="^teacher must have finite scores for all training "):
        Teacher(np.full((1, 2), np.inf, np.float32))
