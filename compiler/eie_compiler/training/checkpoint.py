"""Checkpoints of a training run, which resumes to bit-identical results."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eie_hdl.files import open_output

from ..files.untrusted_npz import ArchiveError, read_arrays
from .binary_weight import BinaryWeight
from .errors import TrainingError
from .module import FreeWeight, SharedWeight, Trainable

__all__ = ["Progress", "read_checkpoint", "write_checkpoint"]


@dataclasses.dataclass
class Progress:
    """Progress of a run: current stage, completed epochs of it, and records of all epochs."""

    stage: int = 0
    epoch: int = 0
    records: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def write_checkpoint(path: Path, plan: str, progress: Progress, module: Trainable,
                     optimiser: torch.optim.Optimizer) -> None:
    """Write a checkpoint, replacing an existing file atomically.

    Random generators have no state to store: each epoch seeds its own.

    Parameters
    ----------
    plan : :class:`str`
        Identification of the run, from the inputs that determine its results.
    """
    arrays = {"plan": np.array(plan),
              "progress": np.array(json.dumps(dataclasses.asdict(progress)))}
    arrays |= {f"module.{name}": tensor.numpy() for name, tensor in module.state_dict().items()}
    arrays |= {f"optimiser.{number}.{name}": tensor.numpy()
               for number, state in optimiser.state_dict()["state"].items()
               for name, tensor in state.items()}
    with open_output(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_checkpoint(path: Path, plan: str, module: Trainable
                    ) -> tuple[Progress, dict[int, dict[str, torch.Tensor]]]:
    """Restore `module` from a checkpoint.

    Returns
    -------
    progress : :class:`Progress`
        Progress of the run.
    state : :class:`dict`
        State of the optimiser, by number of the parameter and by name.

    Raises
    ------
    TrainingError
        If the file is corrupt, or belongs to another run.
    """
    remedy = f"delete {path} to start over"
    try:
        arrays = read_arrays(path)
    except ArchiveError as error:
        raise TrainingError(f"{path}: {error}: {remedy}") from error
    if "plan" not in arrays or arrays["plan"].tolist() != plan:
        raise TrainingError(f"{path}: checkpoint must be of the same model, data and options: give "
                            f"those, or {remedy}")
    try:
        progress = Progress(**json.loads(arrays["progress"].item()))
        for number in range(len(module.weights)):
            prefix = f"module.weights.{number}."
            fields = {name.removeprefix(prefix): torch.tensor(array)
                      for name, array in arrays.items() if name.startswith(prefix)}
            kind = (SharedWeight if "codebook" in fields else
                    BinaryWeight if "groups" in fields else FreeWeight)
            module.weights[number] = kind(**fields)
        module.load_state_dict({name.removeprefix("module."): torch.tensor(array)
                                for name, array in arrays.items() if name.startswith("module.")})
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, array in arrays.items():
            if name.startswith("optimiser."):
                _, parameter, field = name.split(".")
                state.setdefault(int(parameter), {})[field] = torch.tensor(array)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{path}: checkpoint must be complete, but {error}: {remedy}"
                            ) from error
    return progress, state
