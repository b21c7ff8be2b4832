"""Training and retraining in PyTorch on the CPU, for `eie train` and `eie compress --retrain`.

Everything here needs the extra ``train``; other modules import it only on use.
"""

from eie_hdl.extras import missing

from .errors import TorchMissingError, TrainingError

__all__ = ["TorchMissingError", "TrainingError"]

try:
    import torch as torch
except ImportError as error:
    raise TorchMissingError(missing("PyTorch", "to train", "train")) from error
