"""Machines that tests of several files compile: each is emitted and compiled once."""

import dataclasses

from eie_hdl.config import PRESETS

__all__ = ["DEEPEST_MAC", "FOUR_PES", "KEEPS_EMPTY", "ONE_PE"]

#: The queue bridges the time until a stopped broadcast restarts.
FOUR_PES = dataclasses.replace(PRESETS["tiny"], ptr_depth=256, queue_depth=16)
ONE_PE = dataclasses.replace(FOUR_PES, n_pe=1, spmat_depth=1024, act_depth=128)
#: As in the paper, columns that are empty in a PE still occupy its queue.
KEEPS_EMPTY = dataclasses.replace(FOUR_PES, drop_empty_columns=False)
#: Few accumulators, so that rows repeat while the MAC works on them.
DEEPEST_MAC = dataclasses.replace(PRESETS["tiny"], n_pe=2, acc_depth=4, mac_stages=5)
