"""Choice of the parameters that run without `--full`."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

__all__ = ["each_once", "icarus_in_short", "verilator_in_short"]

#: The test runs on both simulators; in short, on one of them.
icarus_in_short = pytest.mark.parametrize(
    "simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.full)], indirect=True)
verilator_in_short = pytest.mark.parametrize(
    "simulator", [pytest.param("icarus", marks=pytest.mark.full), "verilator"], indirect=True)


def each_once(first: Iterable[Any], second: Mapping[str, Any]) -> list[Any]:
    """Return parameters for all pairs of values; in short, for each value at least once.

    Values of a mapping have its keys as names.
    """
    values = first if isinstance(first, Mapping) else {str(value): value for value in first}
    step = min(len(values), len(second))
    return [pytest.param(value, other, id=f"{other_name}-{name}",
                         marks=[pytest.mark.full] if (place - number) % step else [])
            for place, (name, value) in enumerate(values.items())
            for number, (other_name, other) in enumerate(second.items())]
