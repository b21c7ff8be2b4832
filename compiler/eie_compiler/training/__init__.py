"""Training and retraining in PyTorch, on the CPU: what `eie train` and `--retrain` do.

Everything here needs the extra ``train``; nothing outside imports it before it is asked for.
"""

__all__ = ["TorchMissingError", "TrainingError"]


class TrainingError(ValueError):
    """Data, options or a checkpoint that cannot be trained with; the message names which."""


class TorchMissingError(ImportError):
    """PyTorch is not installed."""


try:
    import torch as torch
except ImportError as error:
    raise TorchMissingError("PyTorch must be installed to train, but was not found: "
                            "pip install 'eie-hdl[train]'") from error
