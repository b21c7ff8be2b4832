"""Compression with retraining: prune in steps, train the shared weights, choose formats."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..compression.compress import check_options, compress, densities
from ..model import Model
from ..network import CompressedNetwork
from .batch_norms import fold_batch_norms
from .data import Data
from .errors import TrainingError
from .loop import train
from .module import Module
from .recipes import pruning_stages, sharing_stage
from .teacher import Teacher
from .torch_module import TorchModule

__all__ = ["N_SAMPLES", "Retrained", "compress_module", "compress_with_retraining"]

#: Training inputs for which the formats are chosen, unless others are given.
N_SAMPLES = 10_000


class Retrained(NamedTuple):
    """Result of :func:`compress_with_retraining`.

    Attributes
    ----------
    network : :class:`~..network.CompressedNetwork`
        Compressed network.
    records : list of :class:`dict`
        One record per epoch, as from :func:`~.loop.train`.
    samples : array
        Inputs for which the formats were chosen.
    """

    network: CompressedNetwork
    records: list[dict[str, Any]]
    samples: NDArray[np.floating[Any]]


def compress_with_retraining(
        model: Model, data: Data, *, density: float | Sequence[float] | None = None,
        quality: float | Sequence[float] | None = None, balance: int | None = None,
        v_width: int = 4, quantiser: str = "kmeans", kmeans_init: str = "exact",
        update_labels: bool = False, act_width: int = 16, codebook_width: int = 16,
        calibration: NDArray[np.floating[Any]] | None = None,
        nonnegative_inputs: bool = False, pins: Mapping[str, int] | None = None,
        steps: int = 4, epochs: int = 20, rate: float = 1e-3, decay: float = 1e-2,
        dropout: float = 0.0, batch: int = 128, seed: int = 0, threads: int = 1,
        teacher: Teacher | None = None, checkpoint: Path | None = None, resume: bool = False,
        on_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None
        ) -> Retrained:
    """Compress a model of fully connected layers with retraining, as in Deep Compression.

    All options are checked before training begins. Zeros stay zero; without `density`, `quality`
    and `balance`, only the shared weights are trained.

    Parameters
    ----------
    model : :class:`~..model.Model`
        Model to compress.
    data : :class:`~.data.Data`
        Data to train with, as from :func:`~.data.read_data`.
    density, quality, balance, v_width, quantiser, kmeans_init, act_width, codebook_width
        As for :func:`~..compression.compress.compress`, as are `nonnegative_inputs` and `pins`.
    update_labels : :class:`bool`
        True to let weights change their shared value while they are trained.
    calibration : array, optional
        Inputs for which the formats are chosen; by default, training inputs, at most 10,000.
    steps : :class:`int`
        Steps of pruning, with retraining after each.
    epochs : :class:`int`
        Epochs of training in each step of pruning, and of the shared weights.
    rate, decay, dropout : :class:`float`
        As for :class:`~.loop.Stage`.
    batch, seed, threads, teacher, checkpoint, resume, on_epoch, progress
        As for :func:`~.loop.train`.

    Raises
    ------
    CompressError, PatchError, ConfigError
        If an option of the compression is invalid.
    TrainingError
        As for :func:`~.loop.train`, or if the model is a convolution.
    """
    shares = densities(model, density=density, quality=quality)
    samples = data.train.inputs[:N_SAMPLES] if calibration is None else calibration
    check_options(model, v_width=v_width, quantiser=quantiser, kmeans_init=kmeans_init,
                  act_width=act_width, codebook_width=codebook_width, calibration=samples,
                  nonnegative_inputs=nonnegative_inputs, pins=pins)
    if density is None and quality is None and balance is None:
        steps = 0
    stages = [*pruning_stages(steps, epochs, shares, balance=balance, rate=rate, decay=decay,
                              dropout=dropout),
              sharing_stage(epochs, v_width=v_width, quantiser=quantiser, kmeans_init=kmeans_init,
                            update_labels=update_labels, rate=rate)]
    module = Module.from_model(model)
    records = train(module, data, stages, seed=seed, batch=batch, threads=threads,
                    teacher=teacher, checkpoint=checkpoint, resume=resume, on_epoch=on_epoch,
                    progress=progress)
    # The module is pruned and shared already: compression keeps its weights exactly.
    network = compress(module.to_model(), v_width=v_width, kmeans_init=kmeans_init,
                       act_width=act_width, codebook_width=codebook_width, calibration=samples,
                       nonnegative_inputs=nonnegative_inputs, pins=pins)
    return Retrained(network, records, samples)


def compress_module(
        module: nn.Module, shape: Sequence[int], data: Data, *,
        density: float | Mapping[str, float] = 1.0, v_width: int = 4, quantiser: str = "kmeans",
        kmeans_init: str = "exact", update_labels: bool = False,
        steps: int = 4, epochs: int = 5, rate: float = 1e-3, sharing_rate: float | None = None,
        decay: float = 1e-2, batch: int = 128, seed: int = 0, threads: int = 1,
        teacher: Teacher | None = None, checkpoint: Path | None = None, resume: bool = False,
        on_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None
        ) -> list[dict[str, Any]]:
    """Prune and share the weights of any PyTorch module in place, with retraining.

    The weights are those of :class:`~.torch_module.TorchModule`: of Linear, Conv1d, Conv2d, LSTM,
    GRU and RNN layers. Afterwards each matrix has at most ``2 ** v_width - 1`` distinct values
    besides zero, which :func:`~..compression.compress.compress` keeps exactly. The gradient of a
    shared value is the sum of those of its weights, as in Deep Compression. Before that, batch
    normalisations are folded by :func:`~.batch_norms.fold_batch_norms`: folded later, they would
    scale the shared values of each row.

    Parameters
    ----------
    module : :class:`torch.nn.Module`
        Trained module.
    shape : sequence of :class:`int`
        Shape of an input without the batch, such as (channels, height, width).
    data : :class:`~.data.Data`
        Data to train with, as from :func:`~.data.read_data`; inputs are reshaped to `shape`.
    density : :class:`float` or mapping of :class:`str` to :class:`float`, above 0 to 1
        Share of the weights of each matrix that stays, by name of the layer; of an LSTM, GRU or
        RNN the name is followed by that of its direction: ``lstm.l0``, ``lstm.l0_reverse``.
        Matrices that are not named keep all weights.
    v_width, quantiser, kmeans_init, update_labels
        As for :func:`compress_with_retraining`.
    sharing_rate : :class:`float`, optional
        Learning rate of the shared values, by default a tenth of `rate`. Small networks need a
        higher one, as k-means moves their few weights far.
    steps, epochs, rate, decay, batch, seed, threads, teacher, checkpoint, resume
        As for :func:`compress_with_retraining`, as are `on_epoch` and `progress`.

    Returns
    -------
    list of :class:`dict`
        One record per epoch, as from :func:`~.loop.train`.

    Raises
    ------
    CompressError
        If an option of the compression is invalid.
    TrainingError
        As for :func:`~.loop.train` and :func:`~.batch_norms.fold_batch_norms`; if the module has
        no such layers, or none of a given name.
    """
    names = TorchModule(module, shape).names
    data.check_shape(shape)
    if isinstance(density, Mapping):
        if unknown := sorted(set(density) - set(names)):
            raise TrainingError(f"density must be for {', '.join(names)}, not for "
                                f"{', '.join(unknown)}")
        shares = [density.get(name, 1.0) for name in names]
    else:
        shares = [density] * len(names)
    sharing = sharing_stage(epochs, v_width=v_width, quantiser=quantiser, kmeans_init=kmeans_init,
                            update_labels=update_labels, rate=rate)
    if sharing_rate is not None:
        sharing = dataclasses.replace(sharing, rate=sharing_rate)
    stages = [*pruning_stages(steps if min(shares) < 1 else 0, epochs, shares, rate=rate,
                              decay=decay, dropout=0), sharing]
    # The module is changed only if all options are valid.
    fold_batch_norms(module, shape)
    wrapped = TorchModule(module, shape)
    records = train(wrapped, data, stages, seed=seed, batch=batch, threads=threads,
                    teacher=teacher, checkpoint=checkpoint, resume=resume, on_epoch=on_epoch,
                    progress=progress)
    wrapped.release()
    return records
