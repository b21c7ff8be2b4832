"""Machines that tests of several files compile: each is emitted and compiled once."""

import dataclasses

from eie_hdl.config import PRESETS

__all__ = ["FOUR_PES", "KEEPS_EMPTY", "ONE_PE"]

#: The queue bridges the time until a stopped broadcast restarts.
FOUR_PES = dataclasses.replace(PRESETS["tiny"], ptr_depth=256, queue_depth=16)
ONE_PE = dataclasses.replace(FOUR_PES, n_pe=1, spmat_depth=1024, act_depth=128)
#: As in the paper, columns that are empty in a PE still occupy its queue.
KEEPS_EMPTY = dataclasses.replace(FOUR_PES, drop_empty_columns=False)
