"""Errors of training."""

__all__ = ["TorchMissingError", "TrainingError"]


class TrainingError(ValueError):
    """Unsuitable data, options or checkpoint; the message names which."""


class TorchMissingError(ImportError):
    """PyTorch is not installed."""
