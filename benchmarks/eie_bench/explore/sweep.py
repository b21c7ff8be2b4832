"""What is swept: parameters of machines, and the sweeps behind the figures of the paper."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eie_compiler.lowering.row_mapping import MAPPINGS
from eie_hdl.config import ConfigError, EIEConfig

from ..paper.nine_layers import Machine
from . import ExploreError

__all__ = ["GIVEN", "SWEEPS", "Point", "Sweep", "fit", "parse_axes", "plan"]

#: Value of a parameter; of ``mapping`` a name.
Value = int | str

#: Memories that a sweep enlarges. How deep they are changes no cycle.
_DEPTHS = ("spmat_depth", "ptr_depth", "act_depth", "program_depth")


class Sweep(NamedTuple):
    """Cross product of the values of some parameters.

    Attributes
    ----------
    name : :class:`str`
        What the files are called.
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
        Name of the machine that was changed.
    layer : :class:`str`
        Name of the layer that it runs.
    values : :class:`dict`
        Value of each axis.
    machine : :class:`~eie_bench.paper.nine_layers.Machine`, or None
        The changed machine, if there can be one.
    error : :class:`str`
        Otherwise, why not.
    """

    base: str
    layer: str
    values: dict[str, Value]
    machine: Machine | None
    error: str = ""


def _range(name: str) -> Any:
    return EIEConfig.__dataclass_fields__[name].metadata["range"]


def _powers(name: str) -> tuple[int, ...]:
    """All powers of two that a parameter may have."""
    allowed = _range(name)
    return tuple(1 << bits for bits in range(allowed.high.bit_length())
                 if 1 << bits >= allowed.low)


#: Sweep that is given by the user.
GIVEN = "sweep"

#: Sweeps behind the figures of the paper: 8; 11, 12 and 13; 9. A queue is not quite that of the
#: paper: from ``queue_depth`` waiting columns on, the broadcast is slowed down, not stopped, and
#: the slots for what is in flight are used too
#: (:class:`~eie_hdl.ccu.broadcast_throttle.BroadcastThrottle`).
SWEEPS = {name: Sweep(name, {axis: _powers(axis)}) for name, axis in
          {"queue": "queue_depth", "pes": "n_pe", "words": "entries_per_word"}.items()}


def parse_axes(texts: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """Read axes such as ``n_pe=1,2,4`` or ``mapping=balanced,interleaved``.

    Whether a machine can have the values is seen later, point by point.

    Raises
    ------
    ExploreError
        If it is no axis, or there is no such parameter, or its values are of the wrong type.
    """
    axes: dict[str, tuple[Value, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise ExploreError(f"--set must be NAME=VALUE,VALUE,..., not {text!r}")
        if name in axes:
            raise ExploreError(f"{name} must be set once only: give all its values with commas "
                               f"between")
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
    """Change a machine, and make its memories as deep as any can be.

    A sweep over PEs needs that: what 64 of them share, one must hold. Those that `changes` names
    have the depth that it says.

    Raises
    ------
    ConfigError
        If no machine can have these values.
    """
    depths = {name: _range(name).high for name in _DEPTHS}
    return EIEConfig.from_mapping({**config.as_dict(), **depths, **changes})


def plan(sweep: Sweep, machines: Mapping[str, Machine], layers: Sequence[str]) -> list[Point]:
    """All points of a sweep: of each machine each layer, the last axis changing fastest."""
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
