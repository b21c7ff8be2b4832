"""Upper bound of the cycles of a program, with ample margin."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts, n_drained
from eie_hdl.packing import unpack

__all__ = ["bound_cycles"]


def bound_cycles(config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]) -> int:
    """Bound the cycles of any program in memory images, by the work of all of them together."""
    program = unpack(Layouts.of(config).descriptor, images["ccu.program"])
    scanned = int((program["start"]["last_word"] + 1).sum()) * ACTS_PER_WORD * config.n_pe
    entries = config.entries_per_word * max(
        len(image) for name, image in images.items() if name.endswith(".spmat"))
    pixels = np.ones(len(program["final"]), np.int64)
    if config.loops:
        pixels = (program["loop"]["last_slot"] + 1) // n_drained(program["end"])
    return 4 * (int(pixels.max()) * (scanned + entries)
                + int(pixels.sum()) * (8 * config.acc_depth + 500))
