"""Accuracy and R² of outputs, against labels or against other outputs."""

import math
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .patches import Patches

__all__ = ["LabelError", "MIN_GAIN", "Meter", "Task", "check_labels", "choose_task",
           "describe_classes", "match_labels", "score"]

#: What outputs mean: scores of classes, or numbers.
Task = Literal["classification", "regression"]

#: Gain over the score of the best constant answer up to which outputs are no better than it.
MIN_GAIN: dict[Task, float] = {"classification": 0.0, "regression": 0.01}

#: Variance, relative to the mean square, below which a vector counts as constant.
_CONSTANT = 1e-12

#: Most values of labels in a message.
_MAX_SHOWN = 8

#: Share of the inputs of a class that may be lost before the class alone is bad.
_CLASS_LIMIT = 0.1


class LabelError(ValueError):
    """Labels or a task that do not fit the outputs; the message says what they must be."""


def choose_task(n_outputs: int, *, labels: NDArray[Any] | None = None, task: str | None = None,
                patches: Patches | None = None) -> Task:
    """Choose the meaning of outputs: `task` itself, or what labels or outputs suggest.

    Whole labels, one per sample, are classes; other labels are numbers. Without labels, several
    outputs are scores of classes; a single output, and those of a convolution, are numbers.

    Raises
    ------
    LabelError
        If `task` is unknown.
    """
    if task in get_args(Task):
        return task    # type: ignore[return-value]
    if task is not None:
        raise LabelError(f"task must be {' or '.join(get_args(Task))}, not {task!r}")
    if labels is None:
        return "classification" if n_outputs > 1 and patches is None else "regression"
    if labels.dtype.kind in "iub" or n_outputs > 1 and labels.ndim == 1 and _whole(labels):
        return "classification"
    return "regression"


def check_labels(labels: NDArray[Any], task: Task, *, n_samples: int, n_outputs: int,
                 patches: Patches | None = None) -> NDArray[Any]:
    """Check labels and convert them for :meth:`Meter.add`.

    Returns
    -------
    int64 (n_samples,) for classification, float64 (n_samples, n_outputs) for regression

    Raises
    ------
    LabelError
        If their number, shape, type or range does not fit, or the network is a convolution.
    """
    if patches is not None:
        raise LabelError(
            f"labels must not be given for a convolution: it computes a vector of {n_outputs} for "
            f"each of {' × '.join(map(str, patches.output_shape))} pixels, and labels are of whole "
            "images: leave them out, and measure the whole model where its other layers run")
    found = f"{labels.dtype} of shape {labels.shape}"
    if labels.dtype.kind not in "iufb":
        raise LabelError(f"labels must be numbers, not {found}{describe_classes(labels)}")
    if labels.ndim == 0 or len(labels) != n_samples:
        raise LabelError(f"labels must be {n_samples}, one for each input, not {found}")
    if not np.isfinite(labels).all():
        raise LabelError("labels must be finite")
    if task == "classification":
        return _check_classes(labels, max(n_outputs, 2), found)
    if labels.size != n_samples * n_outputs or labels.ndim > 2:
        raise LabelError(f"labels must be {n_outputs} numbers for each input, not {found}")
    return labels.reshape(n_samples, n_outputs).astype(np.float64)


def describe_classes(labels: NDArray[Any]) -> str:
    """End an error about labels that are not classes from 0: name their values and the remedy."""
    values = np.unique(labels)
    shown = ", ".join(str(value) for value in values[:_MAX_SHOWN].tolist())
    more = f" and {len(values) - _MAX_SHOWN:,} more" if len(values) > _MAX_SHOWN else ""
    return (f": map their values {shown}{more} to the classes from 0, such as by "
            "np.unique(labels, return_inverse=True)[1] if every class occurs")


def match_labels(labels: NDArray[Any], task: str | None, *, n_samples: int, n_outputs: int,
                 patches: Patches | None = None) -> tuple[Task, NDArray[Any]]:
    """Choose the meaning of outputs by their labels, unless `task` gives it; check the labels.

    Returns and raises as :func:`choose_task` and :func:`check_labels`.
    """
    chosen = choose_task(n_outputs, labels=labels, task=task, patches=patches)
    return chosen, check_labels(labels, chosen, n_samples=n_samples, n_outputs=n_outputs,
                                patches=patches)


def score(outputs: NDArray[np.float64], truth: NDArray[Any], task: Task) -> float:
    """Compute the score of all outputs at once, as :class:`Meter` does."""
    meter = Meter(task)
    meter.add(outputs, truth)
    return meter.score


class Meter:
    """Running score of outputs, batch by batch.

    Parameters
    ----------
    task : :data:`Task`
        For classification, the score is the share of samples whose greatest output is that of
        their class. A single output is of class 1 if it is positive, else of class 0. For
        regression, the score is R²: 1 minus the squared errors of all outputs over their squared
        distances from their mean. Where these vanish, as with one sample, it is the distances from
        zero.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._count = 0
        #: Of a classification, by class.
        self._counts: Any = 0
        self._hits: Any = 0
        self._errors: Any = 0.0
        # Sums relative to the first sample, so that the variance does not cancel.
        self._origin: Any = None
        self._sums: Any = 0.0
        self._squares: Any = 0.0
        self._power: Any = 0.0

    def add(self, outputs: NDArray[np.float64], truth: NDArray[Any]) -> None:
        """Count a batch: outputs (batch, n_outputs), truth as from :func:`check_labels`.

        Outputs are a valid truth, too: of a classification, their greatest counts.
        """
        self._count += len(outputs)
        if self._task == "classification":
            classes, n_classes = (_classes(truth) if truth.ndim == 2 else truth,
                                  max(outputs.shape[1], 2))
            hits = classes[_classes(outputs) == classes]
            self._counts += np.bincount(classes, minlength=n_classes)
            self._hits += np.bincount(hits, minlength=n_classes)
            return
        if self._origin is None:
            self._origin = truth[0]
        distance = truth - self._origin
        self._sums += distance.sum(axis=0)
        self._squares += (distance ** 2).sum(axis=0)
        self._power += (truth ** 2).sum(axis=0)
        self._errors += ((outputs - truth) ** 2).sum(axis=0)

    @property
    def score(self) -> float:
        """Accuracy, or R²."""
        if self._task == "classification":
            return float(self._hits.sum() / self._count)
        variances = self._squares - self._sums ** 2 / self._count
        return _r2(self._errors.sum(), variances.sum(), self._power.sum())

    @property
    def constant(self) -> float:
        """Score of the best constant answer: the most frequent class, or the mean.

        It is 1 if the truth is constant, which then measures nothing.
        """
        if self._task == "classification":
            return float(self._counts.max() / self._count)
        variance = (self._squares - self._sums ** 2 / self._count).sum()
        return float(variance <= _CONSTANT * self._power.sum())

    @property
    def output_scores(self) -> list[float]:
        """R² of each output alone, or accuracy of each class alone, NaN if it does not occur."""
        if self._task == "classification":
            return [hits / count if count else math.nan
                    for hits, count in zip(self._hits.tolist(), self._counts.tolist())]
        variances = self._squares - self._sums ** 2 / self._count
        return [_r2(*numbers) for numbers in zip(self._errors, variances, self._power)]

    def bad_outputs(self, reference: "Meter | None" = None, limit: float = 0.0
                    ) -> list[dict[str, Any]]:
        """Find outputs, or classes, that are bad alone, which the score of all hides.

        They have less than half the score of all, if that is better than a constant's, or lose too
        much against a reference.

        Parameters
        ----------
        reference : :class:`Meter`, optional
            Meter of the model on the same truth.
        limit : :class:`float`
            Greatest loss of R² of an output against the reference; that of a class is
            :data:`_CLASS_LIMIT`.

        Returns
        -------
        :class:`list` of :class:`dict`
            Plain JSON: number of the ``output`` or class, its score in the ``network``, and in the
            ``model``, None without a reference.
        """
        if self._task == "classification":
            # A single input decides nothing.
            limits = np.maximum(_CLASS_LIMIT, 1 / np.maximum(self._counts, 1))
            counted = self._counts > 1
        else:
            limits = np.full(len(self.output_scores), limit)
            counted = np.full(len(limits), self._count > 1)
        # A score that is no better than that of a constant answer hides nothing.
        hides = self.score > self.constant + MIN_GAIN[self._task]
        scores, half = self.output_scores, self.score / 2 if hides else -math.inf
        if len(scores) == 1:
            return []
        models = [None] * len(scores) if reference is None else reference.output_scores
        return [{"output": number, "model": model, "network": score}
                for number, (model, score) in enumerate(zip(models, scores)) if counted[number]
                and (score < half or model is not None and model > 0
                     and model - score > limits[number] + 1e-9)]


def _r2(errors: float, variance: float, power: float) -> float:
    total = power if variance <= _CONSTANT * power else variance
    return float(1 - errors / total if total else errors == 0)


def _whole(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all())


def _check_classes(labels: NDArray[Any], n_classes: int, found: str) -> NDArray[np.int64]:
    if labels.size != len(labels) or labels.dtype.kind == "f" and not _whole(labels):
        raise LabelError(f"labels must be one class, an integer, for each input, not {found}: "
                         f"{_advise_on_classes(labels)}")
    for label in (labels.min(), labels.max()):
        if not 0 <= label < n_classes:
            raise LabelError(f"labels must be classes from 0 to {n_classes - 1}, the positions of "
                             f"the outputs, not {label}{describe_classes(labels)}")
    return labels.ravel().astype(np.int64)


def _advise_on_classes(labels: NDArray[Any]) -> str:
    rows = labels.reshape(len(labels), -1)
    if rows.shape[1] < 2:
        return "round them if they are classes, or give task=regression if they are numbers"
    if ((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) != 1).any():
        return ("rows with several classes, or none, have no accuracy: give the labels of one "
                "question at a time, or task=regression for R² of the outputs against 0 and 1")
    return "give the position of the greatest of each row, y.argmax(axis=1), or task=regression"


def _classes(outputs: NDArray[np.float64]) -> NDArray[np.int64]:
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(np.int64)
