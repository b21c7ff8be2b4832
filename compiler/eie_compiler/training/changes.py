"""What a stage of training begins with: weights are pruned, restored, or made to share values."""

import dataclasses

import torch

from ..compression.prune import prune
from ..compression.weight_sharing import share_weights
from .module import FreeWeight, Module, SharedWeight

__all__ = ["Change", "Prune", "Restore", "Share"]


@dataclasses.dataclass(frozen=True)
class Prune:
    """Hold at zero what is small, as :func:`eie_compiler.compression.prune.prune` says.

    Parameters
    ----------
    densities : one :class:`float` a layer
        Share of its weights that stays.
    balance : :class:`int`, optional
        Processing elements that shall have the same number of weights.
    """

    densities: tuple[float, ...]
    balance: int | None = None

    def __call__(self, module: Module) -> None:
        for number, density in enumerate(self.densities):
            matrix = module.weights[number]().detach()
            kept = prune(matrix.numpy(), density=density, balance=self.balance)
            # In the order of the matrix, as a mask that comes from a checkpoint is.
            mask = torch.from_numpy(kept.toarray(order="C") != 0)
            module.weights[number] = FreeWeight(matrix * mask, mask)


@dataclasses.dataclass(frozen=True)
class Restore:
    """Let all weights that were pruned learn again, from zero (DSD's second dense phase)."""

    def __call__(self, module: Module) -> None:
        for number, weight in enumerate(module.weights):
            matrix = weight().detach()
            module.weights[number] = FreeWeight(matrix, torch.ones_like(matrix, dtype=torch.bool))


@dataclasses.dataclass(frozen=True)
class Share:
    """Make all weights of a layer share a few values, by k-means; what is zero stays it.

    Parameters
    ----------
    v_width : :class:`int`
        Bits of a code: ``2 ** v_width - 1`` values beside zero.
    start : :class:`str`
        As for :func:`eie_compiler.compression.weight_sharing.share_weights`.
    """

    v_width: int
    start: str

    def __call__(self, module: Module) -> None:
        for number, weight in enumerate(module.weights):
            matrix = weight().detach()
            kept = matrix != 0
            codebook, members = share_weights(matrix[kept].numpy().astype("float64"),
                                              (1 << self.v_width) - 1, self.start)
            codes = torch.zeros_like(matrix, dtype=torch.int64)
            codes[kept] = torch.from_numpy(members.astype("int64"))
            module.weights[number] = SharedWeight(
                torch.tensor(codebook, dtype=torch.float32), codes)


Change = Prune | Restore | Share
