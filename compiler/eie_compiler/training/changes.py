"""Changes of the weights at the start of a stage of training: prune, restore, share, binarise."""

import dataclasses

import torch

from ..compression.prune import prune
from ..compression.weight_sharing import share_weights
from .binary_weight import BinaryWeight
from .module import FreeWeight, SharedWeight, Trainable

__all__ = ["Binarise", "Change", "Prune", "Restore", "Share"]


@dataclasses.dataclass(frozen=True)
class Prune:
    """Pruning: small weights are held at zero, as by :func:`eie_compiler.compression.prune.prune`.

    Parameters
    ----------
    densities : one :class:`float` a layer
        Share of the weights of each layer that stays.
    balance : :class:`int`, optional
        Number of PEs that each get the same number of weights.
    """

    densities: tuple[float, ...]
    balance: int | None = None

    def __call__(self, module: Trainable) -> None:
        for number, density in enumerate(self.densities):
            matrix = module.weights[number]().detach()
            kept = prune(matrix.numpy(), density=density, balance=self.balance)
            # Row-major, like a mask read from a checkpoint.
            mask = torch.from_numpy(kept.toarray(order="C") != 0)
            module.weights[number] = FreeWeight(matrix * mask, mask)


@dataclasses.dataclass(frozen=True)
class Restore:
    """Restoration: pruned weights learn again from zero (second dense phase of DSD)."""

    def __call__(self, module: Trainable) -> None:
        for number, weight in enumerate(module.weights):
            matrix = weight().detach()
            module.weights[number] = FreeWeight(matrix, torch.ones_like(matrix, dtype=torch.bool))


@dataclasses.dataclass(frozen=True)
class Share:
    """Weight sharing: a few shared values for the nonzero weights of each layer.

    Parameters
    ----------
    v_width : :class:`int`
        Width of a code in bits: ``2 ** v_width - 1`` values besides zero.
    kmeans_init, quantiser : :class:`str`
        As for :func:`eie_compiler.compression.weight_sharing.share_weights`.
    update_labels : :class:`bool`
        True to let weights change their shared value while they are trained.
    """

    v_width: int
    kmeans_init: str = "exact"
    quantiser: str = "kmeans"
    update_labels: bool = False

    def __call__(self, module: Trainable) -> None:
        for number, weight in enumerate(module.weights):
            matrix = weight().detach()
            kept = matrix != 0
            codebook, members = share_weights(matrix[kept].numpy().astype("float64"),
                                              (1 << self.v_width) - 1, self.kmeans_init,
                                              quantiser=self.quantiser)
            codes = torch.zeros_like(matrix, dtype=torch.int64)
            codes[kept] = torch.from_numpy(members.astype("int64"))
            # Unused codes are no values to choose from.
            used = torch.tensor(codebook[:max(int(codes.max()), 1) + 1], dtype=torch.float32)
            module.weights[number] = SharedWeight(used, codes,
                                                  matrix if self.update_labels else None)


@dataclasses.dataclass(frozen=True)
class Binarise:
    """Binary weights: each weight of a row is plus or minus one scale.

    A layer with more rows than scales shares them: rows are grouped by k-means over the mean
    magnitude of their weights. Otherwise each row has its own. Zeros stay zero.

    Parameters
    ----------
    n_scales : :class:`int`
        Most scales of a layer. A codebook holds ``2 * n_scales`` values.
    """

    n_scales: int

    def __call__(self, module: Trainable) -> None:
        for number, weight in enumerate(module.weights):
            matrix = weight().detach()
            mask = torch.from_numpy(module.kept[number])
            magnitudes = (matrix.abs() * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
            # Codes begin at 1.
            _, codes = share_weights(magnitudes.numpy().astype("float64"), self.n_scales)
            groups = torch.from_numpy(codes.astype("int64") - 1)
            module.weights[number] = BinaryWeight(matrix, mask, groups)


Change = Binarise | Prune | Restore | Share
