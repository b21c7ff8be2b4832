"""Verdict on a network from its scores."""

from collections.abc import Mapping
from typing import NamedTuple

from ..accuracy import MIN_GAIN, Meter, Task

__all__ = ["AGREEMENT_LIMITS", "LABEL_LIMITS", "Judge"]

#: Loss of agreement, or of R², against the model up to which a network is good, then doubtful.
AGREEMENT_LIMITS = (0.01, 0.05)

#: Loss of accuracy, or of R², against labels up to which a network is good, then doubtful.
LABEL_LIMITS = (0.01, 0.03)


class Judge(NamedTuple):
    """Standard of the verdict.

    Attributes
    ----------
    by : :class:`str`
        ``model`` or ``labels``.
    start : :class:`float`
        Score before any loss.
    limits : pair of :class:`float`
        Loss up to which a network is good, and up to which doubtful.
    constant : :class:`float`
        Score of the best constant answer.
    floor : :class:`float`
        Score up to which a network is no better than that.
    """

    by: str
    start: float
    limits: tuple[float, float]
    constant: float
    floor: float

    @classmethod
    def choose(cls, task: Task, n_samples: int, meters: Mapping[str, Meter], *,
               retrained: bool = False) -> "Judge":
        """Judge by the labels, unless the model itself does not fit them.

        Parameters
        ----------
        meters : mapping of :class:`str` to :class:`~..accuracy.Meter`
            Meters of the model, by ``model`` and, if there are labels, ``labels``.
        retrained : :class:`bool`
            True if the weights were trained after the model was read.
        """
        # One sample of few decides nothing.
        one = 1 / n_samples if task == "classification" else 0.0
        by_model, by_labels = ((good, max(doubtful, one))
                               for good, doubtful in (AGREEMENT_LIMITS, LABEL_LIMITS))
        of_model = meters["model"].constant
        by_outputs = cls("model", 1.0, by_model, of_model,
                         min(of_model, 1 - 2 * one) + MIN_GAIN[task])
        if "labels" not in meters:
            return by_outputs
        constant, score = meters["labels"].constant, meters["labels"].score
        floor = constant + MIN_GAIN[task]
        if retrained:    # the model may never have been trained
            return cls("labels", max(score, constant), by_labels, constant, floor)
        if floor < score or score == 1:
            return cls("labels", score, by_labels, constant, floor)
        return by_outputs

    def verdict(self, score: float) -> str:
        """Judge the score of a network."""
        if score <= self.floor and self.constant < 1:
            return "bad"
        loss = round(self.start - score, 9)    # 0.97 - 0.96 exceeds 0.01
        good, doubtful = self.limits
        return "good" if loss <= good else "doubtful" if loss <= doubtful + 1e-9 else "bad"
