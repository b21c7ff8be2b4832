"""Choice of the parameters that run without `--full`."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

__all__ = ["each_once"]


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
