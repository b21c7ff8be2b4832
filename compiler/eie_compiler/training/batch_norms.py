"""Folding of batch normalisations into the layers before them."""

import contextlib
import copy
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from .errors import TrainingError

__all__ = ["fold_batch_norms"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)

#: Greatest change of an output by rounding, relative to the greatest output.
_TOLERANCE = 1e-3


def fold_batch_norms(module: nn.Module, shape: Sequence[int]) -> list[str]:
    """Fold batch normalisations into the layer before them, in place, for evaluation.

    A normalisation is folded if its input is the result of a Linear, Conv1d or Conv2d layer, and
    both are used once. An identity takes its place.

    Parameters
    ----------
    module : :class:`torch.nn.Module`
        Module that computes outputs from one input (batch, ...). It is left in evaluation mode.
    shape : sequence of :class:`int`
        Shape of an input without the batch.

    Returns
    -------
    list of :class:`str`
        Names of the normalisations that were folded.

    Raises
    ------
    TrainingError
        If outputs would change, as the result of such a layer is also used elsewhere. The module is
        unchanged then.
    """
    module.eval()
    x = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pairs, expected = _find_pairs(module, x)
        trial = copy.deepcopy(module)
        _fold(trial, pairs)
        change = float((trial(x) - expected).abs().max())
        if change > _TOLERANCE * float(expected.abs().max()):
            raise TrainingError("results of a layer before a batch normalisation must be used by "
                                f"it alone, but to fold {', '.join(pairs.values())} changes "
                                f"outputs by {change:.2g}: fold them yourself, or leave them out")
        _fold(module, pairs)
    return list(pairs.values())


def _find_pairs(module: nn.Module, x: Tensor) -> tuple[dict[str, str], Tensor]:
    """Find the names of layers and of the normalisations of their results, and compute outputs."""
    results: dict[str, list[Tensor]] = {}
    inputs: dict[str, list[Tensor]] = {}
    with contextlib.ExitStack() as stack:
        for name, part in module.named_modules():
            if isinstance(part, _LAYERS):
                hook = functools.partial(_keep_result, results.setdefault(name, []))
                stack.callback(part.register_forward_hook(hook).remove)
            elif isinstance(part, _NORMS) and part.track_running_stats:
                before = functools.partial(_keep_input, inputs.setdefault(name, []))
                stack.callback(part.register_forward_pre_hook(before).remove)
        outputs = module(x)
    return dict(_match(results, inputs)), outputs


def _keep_result(kept: list[Tensor], _part: nn.Module, _inputs: Any, result: Tensor) -> None:
    kept.append(result)


def _keep_input(kept: list[Tensor], _part: nn.Module, inputs: tuple[Tensor]) -> None:
    kept.append(inputs[0])


def _match(results: dict[str, list[Tensor]], inputs: dict[str, list[Tensor]]
           ) -> Iterator[tuple[str, str]]:
    for layer, computed in results.items():
        readers = [norm for norm, given in inputs.items()
                   if len(given) == len(computed) == 1 and given[0] is computed[0]]
        if len(readers) == 1:
            yield layer, readers[0]


def _fold(module: nn.Module, pairs: dict[str, str]) -> None:
    for layer_name, norm_name in pairs.items():
        layer: Any = module.get_submodule(layer_name)
        norm: Any = module.get_submodule(norm_name)
        fuse = fuse_linear_bn_weights if isinstance(layer, nn.Linear) else fuse_conv_bn_weights
        layer.weight, layer.bias = fuse(layer.weight, layer.bias, norm.running_mean,
                                        norm.running_var, norm.eps, norm.weight, norm.bias)
        parent, _, child = norm_name.rpartition(".")
        setattr(module.get_submodule(parent), child, nn.Identity())
