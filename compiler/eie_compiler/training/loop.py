"""Training loop, reproducible from a seed: stages of epochs of batches."""

import contextlib
import dataclasses
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .binary_weight import BinaryWeight
from .changes import Change
from .checkpoint import Progress, read_checkpoint, write_checkpoint
from .data import Data, Part
from .errors import TrainingError
from .module import FreeWeight, SharedWeight, Trainable
from .teacher import Teacher, class_scores

__all__ = ["Stage", "error_rate", "train"]

#: Inputs per batch of an evaluation.
_EVALUATION_BATCH = 1000


@dataclasses.dataclass(frozen=True)
class Stage:
    """Stage of a training run, with its own optimiser.

    Parameters
    ----------
    name : :class:`str`
        Name, for display.
    epochs : :class:`int`, 0 or more
        Passes over the training data.
    rate : :class:`float`
        Learning rate (AdamW), which decreases linearly to 0 from the first batch to the last.
    decay : :class:`float`
        Weight decay: ``rate * decay`` in each step. Biases and centroids have none.
    dropout : :class:`float`, 0 to below 1
        Share of the inputs dropped in all layers but the first. For a pruned layer it is multiplied
        by the square root of the density (Han et al., NIPS 2015, section 3.2).
    change : :data:`~.changes.Change`, optional
        Change of the weights at the start of the stage.
    """

    name: str
    epochs: int
    rate: float
    decay: float = 0.0
    dropout: float = 0.0
    change: Change | None = None

    def __post_init__(self) -> None:
        for field in ("epochs", "rate", "decay", "dropout"):
            if not 0 <= getattr(self, field) < float("inf"):
                raise TrainingError(f"{field} must be 0 or more and finite, not "
                                    f"{getattr(self, field)}")
        if self.dropout >= 1:
            raise TrainingError(f"dropout must be below 1, not {self.dropout}")


def train(module: Trainable, data: Data, stages: Sequence[Stage], *, seed: int = 0,
          batch: int = 100, threads: int = 1, teacher: Teacher | None = None,
          checkpoint: Path | None = None, resume: bool = False,
          on_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
          progress: Callable[[str, int, int], None] = lambda step, done, total: None
          ) -> list[dict[str, Any]]:
    """Train a module in place.

    The result is the weights after the last epoch; no earlier epoch is selected.

    Parameters
    ----------
    seed : :class:`int`
        Seed of the order of the training data and of dropout.
    batch : :class:`int`
        Inputs per step.
    threads : :class:`int`
        PyTorch threads; changing this may alter low-order bits. With the same seed and number of
        threads, results are bit-identical on processors of the same kind.
    teacher : :class:`~.teacher.Teacher`, optional
        Scores for the training data that are learnt besides the labels, in all stages.
    checkpoint : :class:`~pathlib.Path`, optional
        File written after each epoch.
    resume : :class:`bool`
        Continue from the checkpoint, if it exists.
    on_epoch : function of a record
        Called after each epoch, including those restored from a checkpoint.
    progress : function of a stage, the epochs done, and all epochs
        Called after each epoch, with the name of its stage.

    Returns
    -------
    list of :class:`dict`
        Records as plain JSON: ``stage``, ``epoch`` (0 before training), ``epochs``, ``rate`` and
        ``loss``; ``validation`` and, at the end of a stage, ``test``, the share of misclassified
        inputs or the mean squared error; ``density``, ``densities``, ``seconds``; with binary
        weights, ``scales``, the number of scales of each layer.

    Raises
    ------
    TrainingError
        If the data do not match the module, the loss is not finite, or a checkpoint belongs to
        another run.
    """
    _check(module, data)
    if teacher is not None:
        teacher.check(module.n_outputs, data)
    plan = _plan(module, data, stages, seed, batch, threads, teacher)
    done, state = Progress(), None
    n_done, n_epochs = 0, sum(stage.epochs for stage in stages)

    def report(record: dict[str, Any]) -> None:
        nonlocal n_done
        n_done += record["epoch"] > 0
        on_epoch(record)
        progress(record["stage"], n_done, n_epochs)

    with _reproducible(threads):
        if checkpoint and resume and checkpoint.exists():
            done, state = read_checkpoint(checkpoint, plan, module)
            for record in done.records:
                report(record)
        for number, stage in list(enumerate(stages))[done.stage:]:
            if state is None and stage.change:
                stage.change(module)
            optimiser = _optimiser(module, stage, state)
            for epoch in range(0 if state is None else done.epoch + 1, stage.epochs + 1):
                start = time.perf_counter()
                record = {"stage": stage.name, "epoch": epoch, "epochs": stage.epochs}
                if epoch:
                    generator = _generator(seed, number, epoch)
                    record |= _epoch(module, data, stage, optimiser, batch, epoch, generator,
                                     teacher)
                record["validation"] = error_rate(module, data.validation)
                if epoch == stage.epochs:
                    record["test"] = error_rate(module, data.test)
                if scales := [weight.n_scales for weight in module.weights
                              if isinstance(weight, BinaryWeight)]:
                    record["scales"] = scales
                record |= {"density": module.density, "densities": module.densities,
                           "seconds": time.perf_counter() - start}
                done.stage, done.epoch = number, epoch
                done.records.append(record)
                report(record)
                if checkpoint:
                    write_checkpoint(checkpoint, plan, done, module, optimiser)
            state = None
    return done.records


def error_rate(module: Trainable, part: Part) -> float | None:
    """Share of misclassified inputs, or mean squared error; None without inputs."""
    if not len(part):
        return None
    module.eval()
    with torch.no_grad():
        scores = torch.cat([module(inputs) for inputs
                            in torch.from_numpy(part.inputs).split(_EVALUATION_BATCH)])
    if part.targets.ndim == 1:
        return float((class_scores(scores).numpy().argmax(axis=1) != part.targets).mean())
    return float(((scores.numpy() - part.targets) ** 2).mean())


def _epoch(module: Trainable, data: Data, stage: Stage, optimiser: torch.optim.Optimizer,
           batch: int, epoch: int, generator: torch.Generator, teacher: Teacher | None
           ) -> dict[str, Any]:
    inputs, targets = map(torch.from_numpy, (data.train.inputs, data.train.targets))
    dropout = [0.0, *(stage.dropout * density ** 0.5 for density in module.densities[1:])]
    batches = torch.randperm(len(inputs), generator=generator).split(batch)
    total = 0.0
    module.train()
    torch.manual_seed(generator.initial_seed())    # for layers that draw their own numbers
    for number, chosen in enumerate(batches):
        rate = stage.rate * (1 - ((epoch - 1) + number / len(batches)) / stage.epochs)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        scores = module(inputs[chosen], dropout, generator)
        loss = _loss(scores, targets[chosen])
        if teacher is not None:
            loss = teacher.mix(loss, class_scores(scores), chosen)
        loss.backward()
        optimiser.step()
        total += loss.item() * len(chosen)
    if not np.isfinite(total):
        raise TrainingError(f"loss must stay finite, but in stage {stage.name!r}, epoch {epoch}, "
                            f"it is {total}: choose a lower rate")
    return {"rate": rate, "loss": total / len(inputs)}


def _loss(scores: Tensor, targets: Tensor) -> Tensor:
    if targets.dim() == 1:
        return functional.cross_entropy(class_scores(scores), targets)
    return functional.mse_loss(scores, targets)


def _optimiser(module: Trainable, stage: Stage, state: dict[int, dict[str, Tensor]] | None
               ) -> torch.optim.Optimizer:
    matrices = [weight.matrix for weight in module.weights if isinstance(weight, FreeWeight)]
    shared = [parameter for weight in module.weights if isinstance(weight, SharedWeight)
              for parameter in weight.parameters()]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": stage.decay},
         {"params": [*shared, *module.others], "weight_decay": 0.0}], lr=stage.rate, fused=True)
    if state is not None:
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return optimiser


def _generator(seed: int, stage: int, epoch: int) -> torch.Generator:
    """Random generator of one epoch, independent of all others."""
    state = np.random.SeedSequence([seed, 1, stage, epoch]).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


@contextlib.contextmanager
def _reproducible(threads: int) -> Iterator[None]:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def _check(module: Trainable, data: Data) -> None:
    n_inputs, n_outputs = module.n_inputs, module.n_outputs
    if data.n_inputs != n_inputs:
        raise TrainingError(f"data must have {n_inputs} numbers per input, as the network has, not "
                            f"{data.n_inputs}")
    n_classes = max(n_outputs, 2)
    if data.classifies and data.n_outputs > n_classes:
        raise TrainingError(f"data must have at most {n_classes} classes for the {n_outputs} "
                            f"output{'s' * (n_outputs > 1)} of the network, not {data.n_outputs}")
    if not data.classifies and data.n_outputs != n_outputs:
        raise TrainingError(f"data must have {n_outputs} numbers per target, as the network has, "
                            f"not {data.n_outputs}")


def _plan(module: Trainable, data: Data, stages: Sequence[Stage], seed: int, batch: int,
          threads: int, teacher: Teacher | None) -> str:
    """Inputs that determine the result of a run, with checksums of weights and data."""
    arrays = [*(tensor.numpy() for tensor in module.state_dict().values()),
              data.train.inputs, data.train.targets]
    return json.dumps({
        "seed": seed, "batch": batch, "threads": threads, "torch": torch.__version__,
        "checksums": [zlib.crc32(array.tobytes()) for array in arrays],
        "layers": module.structure, "teacher": teacher and teacher.identity,
        "stages": [{**dataclasses.asdict(stage), "change": repr(stage.change)}
                   for stage in stages]})
