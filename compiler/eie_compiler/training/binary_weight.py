"""Trainable binary weights with scales (Rastegari et al., XNOR-Net, 2016)."""

import torch
from torch import Tensor
from torch.nn import functional

from .module import FreeWeight
from .straight_through import sign

__all__ = ["BinaryWeight"]


class BinaryWeight(FreeWeight):
    """Matrix of signs, times a scale that rows of a group share.

    A weight is the sign of a real number times a scale, the mean magnitude of these numbers in the
    rows of the group. The real numbers learn, by the gradient of :func:`~.straight_through.sign`.

    Parameters
    ----------
    matrix : n_rows × n_cols
        Real numbers.
    mask : bool n_rows × n_cols
        Weights that are not pruned; the others stay zero.
    groups : int64 n_rows
        Number of the scale of each row.
    """

    def __init__(self, matrix: Tensor, mask: Tensor, groups: Tensor) -> None:
        super().__init__(matrix, mask)
        self.register_buffer("groups", groups)
        # What follows from the others is not in checkpoints.
        members = functional.one_hot(groups).to(matrix.dtype)
        self.register_buffer("_members", members, persistent=False)
        counts = (torch.ones_like(matrix) * mask).sum(dim=1) @ members
        self.register_buffer("_counts", counts.clamp(min=1), persistent=False)

    @property
    def n_scales(self) -> int:
        """Number of scales."""
        return int(self.groups.max()) + 1

    def forward(self) -> Tensor:
        sums = (self.matrix.abs() * self.mask).sum(dim=1) @ self._members
        # Each sum is of one scale and zeros, and hence exactly that scale.
        scales = self._members @ (sums / self._counts)
        return sign(self.matrix) * self.mask * scales[:, None]
