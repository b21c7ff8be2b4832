"""Stages of training: dense, dense-sparse-dense, and Deep Compression's."""

from collections.abc import Sequence

from ..compression.prune import check_pruning
from ..compression.weight_sharing import check_sharing
from .changes import Prune, Restore, Share
from .errors import TrainingError
from .loop import Stage

__all__ = ["dense_stages", "dsd_stages", "pruning_stages", "sharing_stage"]

#: The centroids begin near their best places.
_SHARING_RATE = 0.1


def dense_stages(epochs: int, *, rate: float, decay: float, dropout: float) -> list[Stage]:
    """Training of all weights."""
    return [Stage("dense", epochs, rate, decay=decay, dropout=dropout)]


def dsd_stages(epochs: int, share: float, n_layers: int, *, rate: float, decay: float,
               dropout: float) -> list[Stage]:
    """Dense-sparse-dense training (Han et al., ICLR 2017), `epochs` for each of its three phases.

    Parameters
    ----------
    share : :class:`float`, 0 to below 1
        Of the weights of each layer that are held at zero in the second phase; the paper's are
        0.25 to 0.5. With 0 nothing is, which is the control: dense training just as long.

    Raises
    ------
    TrainingError
        If it is out of range.
    """
    if not 0 <= share < 1:
        raise TrainingError(f"dsd must be a share from 0 to below 1, not {share}")
    sparse = Prune((1 - share,) * n_layers) if share else None
    return [Stage("dense", epochs, rate, decay=decay, dropout=dropout),
            Stage("sparse", epochs, rate, decay=decay, dropout=dropout, change=sparse),
            # At a tenth of the rate, as in the paper: it is to refine what the others have found.
            Stage("dense again", epochs, rate / 10, decay=decay, dropout=dropout,
                  change=Restore() if share else None)]


def pruning_stages(steps: int, epochs: int, densities: Sequence[float], *,
                   balance: int | None = None, rate: float, decay: float, dropout: float
                   ) -> list[Stage]:
    """Pruning in steps, with retraining after each (Han et al., NIPS 2015).

    Parameters
    ----------
    steps : :class:`int`, 0 or more
        The density goes down to its end by the same factor in each. Without any, nothing is pruned.
    epochs : :class:`int`
        Of retraining, in each step.
    densities : one :class:`float` a layer, above 0 to 1
        Share of its weights that is left at the end:
        :func:`eie_compiler.compression.compress.densities`.
    balance : :class:`int`, optional
        Processing elements that shall have the same number of weights.

    Raises
    ------
    CompressError
        If one of these is out of range.
    """
    for end in densities:
        check_pruning(end, None, balance)
    return [Stage(f"prune {step}", epochs, rate, decay=decay, dropout=dropout, change=Prune(
        tuple(end ** (step / steps) for end in densities), balance))
        for step in range(1, steps + 1)]


def sharing_stage(epochs: int, *, v_width: int, start: str, rate: float) -> Stage:
    """Sharing, with training of the centroids.

    Raises
    ------
    CompressError
        If there are no codes so wide, or no such start.
    """
    check_sharing(v_width, start)
    return Stage("share", epochs, rate * _SHARING_RATE, change=Share(v_width, start))
