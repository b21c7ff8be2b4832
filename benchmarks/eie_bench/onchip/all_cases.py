"""All cases of the benchmark."""

from pathlib import Path

from .cases import (
    MACHINE,
    SMALL,
    Case,
    Engine,
    make_depthwise,
    make_geometries,
    make_lenet,
    make_pooling,
)
from .cells import make_cells, make_small_cells
from .quantised import make_quantised, make_small_quantised

__all__ = ["make_cases"]


def make_cases(lenet: Path | None, mnist: Path | None, *, seed: int, icarus: bool = True
               ) -> list[Case]:
    """Make all cases; `icarus`: the geometries on Icarus, too. Without a file of LeNet-5, it is
    left out.
    """
    engines: list[Engine] = ["verilator", "icarus"] if icarus else ["verilator"]
    return [*([make_lenet(lenet, mnist, seed)] if lenet else []), *make_depthwise(seed),
            *make_pooling(seed), *make_geometries(seed, MACHINE, "verilator"),
            *(case for engine in engines for case in make_geometries(seed, SMALL, engine)),
            *make_cells(seed),
            *(case for engine in engines for case in make_small_cells(seed, engine)),
            *make_quantised(seed),
            *(case for engine in engines for case in make_small_quantised(seed, engine))]
