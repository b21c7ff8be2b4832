"""Training and retraining in PyTorch on the CPU, for `eie train` and `eie compress --retrain`.

Everything here needs the extra ``train``; other modules import it only on use.
"""

from .errors import TorchMissingError, TrainingError

__all__ = ["TorchMissingError", "TrainingError"]

try:
    import torch as torch
except ImportError as error:
    raise TorchMissingError("PyTorch must be installed to train, but was not found: "
                            "pip install 'eie-hdl[train]'") from error
