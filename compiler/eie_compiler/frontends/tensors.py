"""Layers among named tensors: state dicts, safetensors and .npz files.

Every tensor is used, or left out because the caller says so.
"""

import dataclasses
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csc_array, issparse

from ..model import Model
from .common import FrontEndError, FrontEndWarning, at
from .parts import Part, join_parts, require_layers

__all__ = ["SPARSE_FIELDS", "TensorNames", "join_tensors", "layer_names"]

#: Fields of a sparse matrix, in the order of a :class:`scipy.sparse.csc_array`.
SPARSE_FIELDS = ("data", "indices", "indptr", "shape")

#: Endings of the names of a value, and of the mask to multiply it with; {} is weight or bias.
#: Of torch.nn.utils.prune, of torch.ao.pruning, and of modules with a mask in a buffer.
_FORMS = (("{}_orig", "{}_mask"),
          ("parametrizations.{}.original", "parametrizations.{}.0.mask"),
          ("{}", "{}_mask"), ("{}", "{}.mask"), ("{}", None))

#: Forms by whether the weight has a mask `NAME.mask`.
_WEIGHT_FORMS = (*_FORMS[:-1], ("{}", "mask"), _FORMS[-1])

#: Pattern of a tensor that belongs to no layer -> its meaning and the remedy.
_KINDS = {
    r"running_(mean|var)$|num_batches_tracked$":
        "batch normalisation, whose epsilon is not here: export the model to ONNX, or pass the "
        "module to from_torch",
    r"weight_[guv]$|parametrizations\.":
        "reparametrised weights: save them after remove_weight_norm or remove_spectral_norm of "
        "torch.nn.utils, or parametrize.remove_parametrizations",
    r"(^|[._])kernel$":
        "a kernel of Keras or Flax, n_in × n_out: store its transpose as NAME.weight",
    r"_(orig|mask)$": "half of a pruned weight: save it after torch.nn.utils.prune.remove",
    r"_[ih]h_l\d+(_reverse)?$|weight_[ih]h$|bias_[ih]h$":
        "a recurrent layer, which is no chain: export the model to ONNX (torch.onnx.export), which "
        "is read as a graph",
    r"zero_point$|scales?$|_packed_params|qweight$|qzeros$|absmax$":
        "a quantised model: save the floating-point model",
}
_OTHER_KIND = ("of no linear layer or convolution, but possibly of a normalisation, a PReLU or "
               "other operations: export the model to ONNX")

#: Parts of names of layers that do not follow one another, whatever their sizes.
_BRANCHES = re.compile(
    r"(?:^|[._])(downsample|shortcut|skip\w*|resid\w*|lora\w*|adapter\w*|attn|\w*attention|"
    r"[qkv]_?proj|in_proj|query|key|value|gate(?:_proj)?|experts?|router|aux\w*|ema|target|"
    r"teacher|critic|\w*embed\w*|emb)(?:[._\d]|$)", re.IGNORECASE)


class TensorNames(NamedTuple):
    """Names of the tensors of a layer.

    Attributes
    ----------
    weight, bias : :class:`str`, optional
        Names of the values; no weight if the matrix is sparse.
    weight_mask, bias_mask : :class:`str`, optional
        Names of the masks to multiply them with.
    fields : :class:`tuple` of :class:`str`
        Names of the fields of a sparse matrix.
    """

    weight: str | None
    weight_mask: str | None = None
    bias: str | None = None
    bias_mask: str | None = None
    fields: tuple[str, ...] = ()


def join_tensors(tensors: Mapping[str, Any], get_part: Callable[[TensorNames], Part], *,
                 layers: Sequence[str] | None = None,
                 relu: bool | Sequence[bool] | None = None, image: Sequence[int] | None = None,
                 ignore: Sequence[str] = (), assumed_order: str | None = None,
                 notes: Sequence[str] = ()) -> Model:
    """Assemble a model from the layers among named tensors.

    Parameters
    ----------
    tensors : mapping
        Name -> tensor; only those of the layers are read.
    get_part : callable
        Reads the tensors of a layer.
    layers, relu, image
        As for :func:`~.parts.join_parts`.
    ignore : sequence of :class:`str`
        Names of tensors, or of modules with all of their tensors, that are left out.
    assumed_order : :class:`str`, optional
        Source of the order, for a file that does not define order and ReLUs.
    notes : sequence of :class:`str`
        Further notes of the model, each of which is a warning.

    Raises
    ------
    FrontEndError, ModelError, PatchError
        If a tensor is neither used nor ignored, or the layers do not match.
    """
    tensors, ignored = _ignore(tensors, ignore)
    notes = [*notes, *ignored]
    names, rest = _find_layers(tensors)
    if layers is not None:
        require_layers(layers, names)
        if others := [name for name in names if name not in layers]:
            notes.append(f"layers not taken: {', '.join(others)}")
    elif assumed_order is not None:
        _check_chain({name: tuple(getattr(tensors.get(found.weight or ""), "shape", ()))
                      for name, found in names.items()})
    if rest or not names:
        raise FrontEndError("arrays must be named NAME.weight and NAME.bias"
                            + (f", not {_explain(rest)}; or leave them out with ignore=NAMES, if "
                               "they do not change the results" if rest else "; there are none"))
    parts = {}
    for name in names if layers is None else layers:
        with at(f"layer {name!r}"):
            parts[name] = get_part(names[name])
        found = names[name]
        if found.weight_mask and str(found.weight).endswith("weight"):
            notes.append(f"{found.weight} was assumed to be 0 where {found.weight_mask} is 0")
    model = join_parts(parts, layers=layers, relu=relu, image=image)
    if assumed_order is not None:
        notes += _assumptions(model, assumed_order if layers is None else None, relu is None)
        notes += [f"the convolution {name} was assumed to have stride 1, no padding, and no "
                  "transposition, which a state dict does not contain: if it has, export the model "
                  "to ONNX" for name, part in parts.items() if part.geometry is not None]
    for note in notes:
        warnings.warn(note, FrontEndWarning, stacklevel=4)
    return dataclasses.replace(model, notes=tuple(notes))


def layer_names(tensors: Mapping[str, Any]) -> list[str]:
    """Find the names of all layers."""
    return list(_find_layers(tensors)[0])


def mask_values(value: Any, mask: Any) -> Any:
    """Multiply a dense or sparse array with a mask of zeros and ones.

    Raises
    ------
    FrontEndError
        If the mask has another shape or other numbers, or leaves nothing of the array.
    """
    numbers = mask.data if issparse(mask) else np.asarray(mask)
    if mask.shape != value.shape or not np.isin(numbers, (0, 1)).all():
        raise FrontEndError(f"mask must be zeros and ones of shape {value.shape}, not "
                            f"{mask.dtype} of shape {mask.shape}")
    if issparse(value):
        masked: Any = csc_array(value.multiply(mask))
        left, before = masked.count_nonzero(), value.count_nonzero()
    else:
        masked = value * (mask.toarray() if issparse(mask) else numbers)
        left, before = np.count_nonzero(masked), np.count_nonzero(value)
    if before and not left:
        raise FrontEndError("mask must be 1 where a weight is kept, but it keeps only zeros: "
                            "invert it")
    return masked


def _ignore(tensors: Mapping[str, Any], ignore: Sequence[str]
            ) -> tuple[dict[str, Any], list[str]]:
    """Leave out ignored tensors; list them."""
    left, notes = dict(tensors), []
    for name in ignore:
        found = [key for key in tensors if key == name or key.startswith(f"{name}.")]
        if not found:
            raise FrontEndError(f"ignore must be a tensor or a module of the file, such as "
                                f"{', '.join(list(tensors)[:5])}, not {name}")
        for key in found:
            left.pop(key, None)
        notes.append(f"ignored: {', '.join(found)}")
    return left, notes


def _find_layers(tensors: Mapping[str, Any]) -> tuple[dict[str, TensorNames], list[str]]:
    """Find the names of the tensors of each layer, in order of the weights; and all others."""
    def n_dimensions(name: str | None, default: int) -> int:
        return int(getattr(tensors.get(name or ""), "ndim", default))

    layers: dict[str, TensorNames] = {}
    used: dict[str, None] = {}
    for key in tensors:
        for ending in _ENDINGS:
            name = key.removesuffix(ending)
            if name == key or not name or key in used:
                continue
            if name in layers:
                raise FrontEndError(f"layer {name!r} must be present only once")
            join = ending[0]
            bias, bias_mask = _find(tensors, name, join, "bias", _FORMS)
            if ending == ".data":
                fields = tuple(f"{name}.{field}" for field in SPARSE_FIELDS
                               if f"{name}.{field}" in tensors)
                found = TensorNames(None, None, bias, bias_mask, fields)
            else:
                found = TensorNames(*_find(tensors, name, join, "weight", _WEIGHT_FORMS), bias,
                                    bias_mask)
                # Of one dimension in a PReLU; with a bias of two, in a normalisation.
                if n_dimensions(found.weight, 2) < 2 or n_dimensions(bias, 1) > 1:
                    continue
            if found.weight or found.fields:
                layers[name] = found
                used |= dict.fromkeys((*filter(None, found[:4]), *found.fields))
    return layers, [key for key in tensors if key not in used]


#: Endings that make a layer of a tensor.
_ENDINGS = (".weight_orig", ".parametrizations.weight.original", ".weight", "_weight", ".data")


def _find(tensors: Mapping[str, Any], name: str, join: str, what: str,
          forms: Iterable[tuple[str, str | None]]) -> tuple[str | None, str | None]:
    """Find the names of a value and of its mask; None for what is missing."""
    for value, mask in forms:
        pair = (f"{name}{join}{value.format(what)}", mask and f"{name}{join}{mask.format(what)}")
        if all(key in tensors for key in pair if key):
            return pair
    return None, None


def _explain(names: Sequence[str]) -> str:
    """List tensors by what they mean."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        # The weight of a normalisation belongs to its statistics.
        module = name.rpartition(".")[0]
        family = [other for other in names if other.rpartition(".")[0] == module
                  or other.startswith(f"{module}.parametrizations.")]
        kind = next((text for pattern, text in _KINDS.items()
                     if any(re.search(pattern, other) for other in family)), _OTHER_KIND)
        kinds.setdefault(kind, []).append(name)
    return "; nor ".join(f"{', '.join(group)} ({kind})" for kind, group in kinds.items())


def _check_chain(shapes: Mapping[str, Sequence[int]]) -> None:
    """Check that no name says that its layer lies beside others; name -> shape of the weight."""
    beside = [name for name in shapes if _BRANCHES.search(name)] or _find_copies(shapes)
    if beside:
        raise FrontEndError(
            f"layers must follow one another, but by their names {', '.join(beside)} may lie "
            "beside others, and a state dict does not say how they are connected: export the model "
            "to ONNX, or name the layers of a chain in order of computation with layers=NAMES")


def _find_copies(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Find layers of the same name and shape in modules whose names differ, and not by numbers.

    Such are the networks of an actor and a critic, a moving average, or a second branch.
    """
    modules: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for name, shape in shapes.items():
        parts = name.split(".")
        for place, part in enumerate(parts[:-1]):
            key = (*parts[:place], None, *parts[place + 1:]), tuple(shape)
            modules.setdefault(key, {}).setdefault(re.sub("[0-9]+", "#", part), []).append(name)
            bare = ".".join(parts[place + 1:])
            if shapes.get(bare) == shape:
                return [bare, name]
    return next(([names[0] for names in found.values()] for found in modules.values()
                 if len(found) > 1), [])


def _assumptions(model: Model, order: str | None, relu: bool) -> list[str]:
    """Describe what a state dict does not contain."""
    chain = " -> ".join(layer.name + " (ReLU)" * layer.relu for layer in model.layers)
    notes = []
    if relu:
        notes.append(f"a ReLU after every layer but the last was assumed: {chain}; state what is "
                     "true with relu=BOOLS, one for all layers or one for each")
    if order is not None:
        around = next((f"{first.name} to {last.name}" for n, first in enumerate(model.layers)
                       for last in model.layers[n:] if first.n_cols == last.n_rows), None)
        notes.append(
            f"the order {order} was assumed, each layer on the results of the one before: {chain}; "
            "a state dict does not contain the order, nor functions and connections between layers"
            + (f", such as one around {around} (as many inputs as outputs)" if around else "")
            + ": state the order with layers=NAMES, or export the model to ONNX")
    return notes
