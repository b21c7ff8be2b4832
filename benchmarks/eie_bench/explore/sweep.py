"""Sweeps of machine parameters, including those of the paper's figures."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eie_compiler.lowering.row_mapping import MAPPINGS
from eie_hdl.config import ConfigError, EIEConfig

from ..paper.nine_layers import Machine
from . import ExploreError

__all__ = ["GIVEN", "SWEEPS", "Point", "Sweep", "fit", "parse_axes", "plan"]

#: Value of a parameter; a name for ``mapping``.
Value = int | str

#: Memories that a sweep enlarges. Their depth does not affect timing.
_DEPTHS = ("spmat_depth", "ptr_depth", "act_depth", "program_depth")


class Sweep(NamedTuple):
    """Cross product of the values of some parameters.

    Attributes
    ----------
    name : :class:`str`
        Base name of the files.
    axes : :class:`dict` of :class:`str` to :class:`tuple`
        Values by parameter: a field of :class:`~eie_hdl.config.EIEConfig`, or ``mapping``.
    """

    name: str
    axes: dict[str, tuple[Value, ...]]


class Point(NamedTuple):
    """One machine of a sweep and one layer.

    Attributes
    ----------
    base : :class:`str`
        Name of the machine before the changes.
    layer : :class:`str`
        Name of the layer it runs.
    values : :class:`dict`
        Value of each axis.
    machine : :class:`~eie_bench.paper.nine_layers.Machine`, or None
        The changed machine, if it is valid.
    error : :class:`str`
        Otherwise the reason.
    """

    base: str
    layer: str
    values: dict[str, Value]
    machine: Machine | None
    error: str = ""


def _range(name: str) -> Any:
    return EIEConfig.__dataclass_fields__[name].metadata["range"]


def _powers(name: str) -> tuple[int, ...]:
    """Return all powers of two in the range of a parameter."""
    allowed = _range(name)
    return tuple(1 << bits for bits in range(allowed.high.bit_length())
                 if 1 << bits >= allowed.low)


#: Name of the user's own sweep.
GIVEN = "sweep"

#: Sweeps of the paper's figures 8; 11, 12 and 13; and 9. The queue differs from the paper's: from
#: ``queue_depth`` waiting columns on, the broadcast is slowed down, not stopped, and slots reserved
#: for columns in flight are used too
#: (:class:`~eie_hdl.ccu.broadcast_throttle.BroadcastThrottle`).
SWEEPS = {name: Sweep(name, {axis: _powers(axis)}) for name, axis in
          {"queue": "queue_depth", "pes": "n_pe", "words": "entries_per_word"}.items()}


def parse_axes(texts: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """Read axes such as ``n_pe=1,2,4`` or ``mapping=balanced,interleaved``.

    The values are validated later, point by point.

    Raises
    ------
    ExploreError
        If the syntax, the parameter or the type of a value is wrong.
    """
    axes: dict[str, tuple[Value, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise ExploreError(f"--set must be NAME=VALUE,VALUE,..., not {text!r}")
        if name in axes:
            raise ExploreError(f"{name} must be set once only: separate its values by commas")
        axes[name] = tuple(dict.fromkeys(_parse(name, value) for value in values.split(",")))
    return axes


def _parse(name: str, text: str) -> Value:
    fields = {field.name: field for field in dataclasses.fields(EIEConfig)}
    if name == "mapping":
        allowed: dict[str, Value] = {mapping: mapping for mapping in MAPPINGS}
    elif name not in fields:
        raise ExploreError(f"{name} is not a parameter; those are {', '.join(fields)}, mapping")
    elif type(fields[name].default) is bool:
        allowed = {"true": True, "false": False}
    else:
        try:
            return int(text)
        except ValueError as error:
            raise ExploreError(f"{name} must be set to integers, not {text!r}") from error
    if text not in allowed:
        raise ExploreError(f"{name} must be set to {' or '.join(allowed)}, not {text!r}")
    return allowed[text]


def fit(config: EIEConfig, **changes: Any) -> EIEConfig:
    """Change a machine, and set its memories to the maximum depth unless `changes` sets it.

    A sweep over the number of PEs needs this, as one PE must hold the entries of 64.

    Raises
    ------
    ConfigError
        If the values are invalid.
    """
    depths = {name: _range(name).high for name in _DEPTHS}
    return EIEConfig.from_mapping({**config.as_dict(), **depths, **changes})


def plan(sweep: Sweep, machines: Mapping[str, Machine], layers: Sequence[str]) -> list[Point]:
    """Return all points of a sweep, by machine and layer, with the last axis changing fastest."""
    points = []
    for (base, machine), layer in itertools.product(machines.items(), layers):
        for combination in itertools.product(*sweep.axes.values()):
            values = dict(zip(sweep.axes, combination))
            changes: dict[str, Any] = dict(values)
            mapping = changes.pop("mapping", machine.mapping)
            try:
                changed = Machine(fit(machine.config, **changes), mapping)
                points.append(Point(base, layer, values, changed))
            except ConfigError as error:
                points.append(Point(base, layer, values, None, str(error)))
    return points
