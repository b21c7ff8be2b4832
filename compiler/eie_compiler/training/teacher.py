"""Teacher of a distillation: a trained model whose scores the module learns, too."""

import dataclasses
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..compression.graph_samples import sample_batches
from ..frontends import read_model
from ..graph.chain import from_chain
from ..graph.evaluation import evaluate_real
from ..graph.graph import Graph
from ..model import Model
from .data import Data
from .errors import TrainingError

__all__ = ["Teacher", "class_scores", "read_teacher"]


@dataclasses.dataclass(frozen=True, eq=False)
class Teacher:
    """Scores of a trained model for the training data (Hinton et al., 2015).

    The loss is ``(1 - weight) * cross_entropy + weight * temperature ** 2 * divergence``, the
    Kullback-Leibler divergence of the probabilities of both at that temperature.

    Parameters
    ----------
    scores : float32 (n, n_classes)
        Scores before a softmax, for each training input in order.
    temperature : :class:`float`, above 0
        Divisor of all scores before the softmax; a higher one shows more of the small
        probabilities.
    weight : :class:`float`, 0 to 1
        Weight of the teacher; that of the labels is the rest.

    Raises
    ------
    TrainingError
        If a number is out of range.
    """

    scores: NDArray[np.float32]
    temperature: float = 4.0
    weight: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise TrainingError("teacher_temperature must be above 0 and finite, not "
                                f"{self.temperature}")
        if not 0 <= self.weight <= 1:
            raise TrainingError(f"teacher_weight must be from 0 to 1, not {self.weight}")
        if not np.isfinite(self.scores).all():
            raise TrainingError("teacher must have finite scores for all training inputs, but some "
                                "are not: scale the inputs as it was trained with")

    @classmethod
    def of(cls, model: Model | Graph, data: Data, **options: float) -> "Teacher":
        """Compute the scores of a model for the training data, in floating point.

        Parameters
        ----------
        model : :class:`~..model.Model` or :class:`~..graph.graph.Graph`
            Model of one input, of as many numbers as those of the data, and one output.
        options : :class:`float`
            ``temperature`` and ``weight``.

        Raises
        ------
        TrainingError
            If the model does not suit the data, or an option is out of range.
        GraphError
            As for :func:`~..graph.chain.from_chain`.
        """
        graph = model if isinstance(model, Graph) else from_chain(model)
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise TrainingError("teacher must have one input and one output, not "
                                f"{len(graph.inputs)} and {len(graph.outputs)}: choose a part of "
                                "it")
        (name, shape), = graph.inputs.items()
        output, = graph.outputs
        if math.prod(shape) != data.n_inputs:
            raise TrainingError(f"teacher must have {data.n_inputs} numbers per input, as the data "
                                f"have, not {math.prod(shape)} of shape {shape}")
        data.check_shape(shape)
        samples = {name: data.train.inputs.reshape(-1, *shape)}
        scores = np.concatenate([
            evaluate_real(graph, batch)[output].reshape(len(batch[name]), -1)
            for _, batch in sample_batches(graph, samples)]).astype(np.float32)
        return cls(class_scores(torch.from_numpy(scores)).numpy(), **options)

    def check(self, n_outputs: int, data: Data) -> None:
        """Check that the scores suit a module of `n_outputs` and its data.

        Raises
        ------
        TrainingError
            If labels are no classes, or the numbers of inputs or of classes differ.
        """
        if not data.classifies:
            raise TrainingError("labels must be classes to learn from a teacher, not numbers")
        if len(self.scores) != len(data.train):
            raise TrainingError(f"teacher must have scores for {len(data.train)} training inputs, "
                                f"not {len(self.scores)}")
        n_classes = max(n_outputs, 2)
        if self.scores.shape[1:] != (n_classes,):
            raise TrainingError(f"teacher must have {n_classes} classes, as the network has, not "
                                f"{math.prod(self.scores.shape[1:])}")

    def mix(self, loss: Tensor, scores: Tensor, chosen: Tensor) -> Tensor:
        """Mix the loss of the labels with that of the teacher.

        Parameters
        ----------
        loss : scalar
            Cross entropy.
        scores : (batch, n_classes)
            Scores of the module.
        chosen : int64 (batch,)
            Numbers of the training inputs.
        """
        targets, learnt = (functional.log_softmax(each / self.temperature, dim=1)
                           for each in (torch.from_numpy(self.scores)[chosen], scores))
        divergence = functional.kl_div(learnt, targets, log_target=True, reduction="batchmean")
        return (1 - self.weight) * loss + self.weight * self.temperature ** 2 * divergence

    @property
    def identity(self) -> Any:
        """Numbers that identify it, as plain JSON."""
        return [self.temperature, self.weight, zlib.crc32(self.scores.tobytes())]


def class_scores(scores: Tensor) -> Tensor:
    """Scores of each class. A single output is that of class 1, beside 0 of class 0."""
    return scores if scores.shape[1] > 1 else functional.pad(scores, (1, 0))


def read_teacher(path: Path, data: Data, **options: float) -> Teacher:
    """Read a model and compute its scores for the training data, as :meth:`Teacher.of` does.

    Parameters
    ----------
    path : path
        File of a model, as for :func:`~..frontends.read_model`.
    options : :class:`float`
        ``temperature`` and ``weight``.

    Raises
    ------
    FrontEndError
        If the file is no model that can be run.
    TrainingError
        As for :meth:`Teacher.of`.
    """
    return Teacher.of(read_model(path), data, **options)
