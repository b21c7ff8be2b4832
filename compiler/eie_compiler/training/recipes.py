"""Stages of dense, binary and dense-sparse-dense training and of Deep Compression."""

from collections.abc import Sequence

from ..compression.prune import check_pruning
from ..compression.weight_sharing import check_sharing
from .changes import Binarise, Prune, Restore, Share
from .errors import TrainingError
from .loop import Stage

__all__ = ["MAX_SCALES", "binary_stage", "dense_stages", "dsd_stages", "pruning_stages",
           "sharing_stage"]

#: Most scales of a layer with binary weights: plus and minus each fit a codebook of 8 bits.
MAX_SCALES = 127

#: Factor of the learning rate for centroids, which k-means leaves near their optimum.
_SHARING_RATE = 0.1


def dense_stages(epochs: int, *, rate: float, decay: float, dropout: float) -> list[Stage]:
    """Make the stage of training all weights."""
    return [Stage("dense", epochs, rate, decay=decay, dropout=dropout)]


def dsd_stages(epochs: int, share: float, n_layers: int, *, rate: float, decay: float,
               dropout: float) -> list[Stage]:
    """Make the stages of dense-sparse-dense training (Han et al., ICLR 2017), `epochs` each.

    Parameters
    ----------
    share : :class:`float`, 0 to below 1
        Share of the weights of each layer held at zero in the second phase, 0.25 to 0.5 in the
        paper. With 0 it is the control: dense training of the same length.

    Raises
    ------
    TrainingError
        If the share is out of range.
    """
    if not 0 <= share < 1:
        raise TrainingError(f"dsd must be a share from 0 to below 1, not {share}")
    sparse = Prune((1 - share,) * n_layers) if share else None
    return [Stage("dense", epochs, rate, decay=decay, dropout=dropout),
            Stage("sparse", epochs, rate, decay=decay, dropout=dropout, change=sparse),
            # A tenth of the rate, as in the paper: this phase refines the result of the others.
            Stage("dense again", epochs, rate / 10, decay=decay, dropout=dropout,
                  change=Restore() if share else None)]


def binary_stage(epochs: int, n_scales: int, *, rate: float, dropout: float) -> Stage:
    """Make the stage of training binary weights (Rastegari et al., 2016), without decay.

    Parameters
    ----------
    n_scales : :class:`int`, 1 to 127
        Most scales of a layer, as for :class:`~.changes.Binarise`.

    Raises
    ------
    TrainingError
        If the number of scales is out of range.
    """
    if not 1 <= n_scales <= MAX_SCALES:
        raise TrainingError(f"binary must be a number of scales from 1 to {MAX_SCALES}, not "
                            f"{n_scales}")
    return Stage("binary", epochs, rate, dropout=dropout, change=Binarise(n_scales))


def pruning_stages(steps: int, epochs: int, densities: Sequence[float], *,
                   balance: int | None = None, rate: float, decay: float, dropout: float
                   ) -> list[Stage]:
    """Make the stages of pruning in steps, with retraining after each (Han et al., NIPS 2015).

    Parameters
    ----------
    steps : :class:`int`, 0 or more
        Number of steps; each lowers the density by the same factor. With 0, nothing is pruned.
    epochs : :class:`int`
        Epochs of retraining per step.
    densities : one :class:`float` a layer, above 0 to 1
        Final share of the weights of each layer, as from
        :func:`eie_compiler.compression.compress.densities`.
    balance : :class:`int`, optional
        Number of PEs that each get the same number of weights.

    Raises
    ------
    CompressError
        If a density or the balance is out of range.
    """
    for end in densities:
        check_pruning(end, None, balance)
    return [Stage(f"prune {step}", epochs, rate, decay=decay, dropout=dropout, change=Prune(
        tuple(end ** (step / steps) for end in densities), balance))
        for step in range(1, steps + 1)]


def sharing_stage(epochs: int, *, v_width: int, quantiser: str = "kmeans", kmeans_init: str,
                  update_labels: bool = False, rate: float) -> Stage:
    """Make the stage of weight sharing, with training of the shared values.

    Options other than `epochs` and `rate` are those of :class:`~.changes.Share`.

    Raises
    ------
    CompressError
        If the width is out of range, or the quantiser or the initialisation unknown.
    """
    check_sharing(v_width, kmeans_init, quantiser)
    return Stage("share", epochs, rate * _SHARING_RATE,
                 change=Share(v_width, kmeans_init, quantiser, update_labels))
