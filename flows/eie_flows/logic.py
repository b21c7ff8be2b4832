"""Estimate of the LUTs of a machine, fitted to synthesised ones."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from eie_hdl.config import LATER_PARAMETERS, EIEConfig

from .devices import DEVICES, Device, count_selected_bits, small_memories

__all__ = ["MEASURED", "estimate_luts", "measured_error"]

#: Cells of synthesised PEs, and of whole machines without their PEs' memories.
MEASURED = Path(__file__).parent / "logic.json"

#: Device of the synthesised machines.
_MEASURED_ON = DEVICES["ecp5-85"]

#: LUT sites of an ECP5 that a carry cell and a LUT RAM of 16 × 4 take.
_CARRY, _LUT_RAM = 2, 6


def estimate_luts(device: Device, config: EIEConfig) -> int:
    """Estimate the LUTs of a whole machine.

    Small memories are included if the device has them in LUTs.
    """
    pe = float(_features(device, config) @ _fit_pes())
    if device.lut_ram:
        pe += _LUT_RAM * _count_lut_rams(config)
    others = float(_fit_others() @ _features_of_others(config))
    return round(device.lut_ratio * (config.n_pe * pe + others))


def measured_error() -> float:
    """Compute the greatest relative error for a synthesised PE that is left out of the fit."""
    features, sites = _measured_pes()
    return max(abs(float(row @ _solve(np.delete(features, number, 0), np.delete(sites, number)))
                   / site - 1) for number, (row, site) in enumerate(zip(features, sites)))


def _features(device: Device, config: EIEConfig) -> NDArray[np.float64]:
    """Features on which the LUTs of a PE depend, besides its LUT RAMs."""
    units = [getattr(config, name) for name in LATER_PARAMETERS]
    return np.array([1, config.act_width + config.codebook_width, config.acc_width,
                     config.entries_per_word * config.entry_width, _count_lut_rams(config),
                     count_selected_bits(device, config), *units], np.float64)


def _count_lut_rams(config: EIEConfig) -> int:
    """LUT RAMs of 16 × 4 of a PE."""
    return sum(-(-rows // 16) * -(-bits // 4) for rows, bits in small_memories(config))


def _count_nodes(config: EIEConfig) -> int:
    """Nodes of the tree."""
    nodes, width = 0, config.n_pe
    while width > 1:
        width = -(-width // 4)
        nodes += width
    return nodes


def _features_of_others(config: EIEConfig) -> list[int]:
    """Features on which the LUTs of a machine depend, besides its PEs."""
    return [1, _count_nodes(config), config.loops]


def _sites(cells: Mapping[str, int]) -> int:
    return cells["lut4"] + _CARRY * cells["carry"]


@functools.cache
def _read() -> dict[str, Any]:
    measured: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return measured


def _measured_pes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features and LUT sites of the synthesised PEs."""
    pes = _read()["pes"]
    return (np.stack([_features(_MEASURED_ON, EIEConfig(**pe["changes"])) for pe in pes]),
            np.array([_sites(pe) for pe in pes], np.float64))


@functools.cache
def _fit_pes() -> NDArray[np.float64]:
    return _solve(*_measured_pes())


@functools.cache
def _fit_others() -> NDArray[np.float64]:
    """LUT sites of a machine without PEs, of a node of the tree, and of loops."""
    machines = _read()["machines"]
    return _solve(np.array([_features_of_others(EIEConfig(**machine["changes"]))
                            for machine in machines], np.float64),
                  np.array([_sites(machine) for machine in machines], np.float64))


def _solve(features: NDArray[np.float64], sites: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimise relative errors by LUTs for each feature, which are not negative."""
    found: NDArray[np.float64] = nnls(features / sites[:, np.newaxis], np.ones(len(sites)))[0]
    return found
