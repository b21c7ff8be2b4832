"""Accuracy, size, cycles and memory of a model over densities and widths of codes."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.accuracy import match_labels
from eie_compiler.build import Build
from eie_compiler.compression.compress import check_options, compress
from eie_compiler.compression.fidelity import measure_fidelity
from eie_compiler.compression.prune import check_pruning
from eie_compiler.errors import CompressError
from eie_compiler.files.network_file import encode_network
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model
from eie_hdl.config import EIEConfig
from eie_sim.cycles.model import predict_back_to_back, predict_build
from eie_sim.inference import BACK_TO_BACK, prepare

__all__ = ["Data", "compare"]

#: Inputs of which the cycle model takes the mean.
_N_TIMED = 8


class Data(NamedTuple):
    """Data to measure with.

    Attributes
    ----------
    samples, labels, task
        As for :func:`~eie_compiler.compression.fidelity.measure_fidelity`.
    """

    samples: NDArray[Any]
    labels: NDArray[Any] | None = None
    task: str | None = None


def compare(model: Model, data: Data, config: EIEConfig, *, densities: Sequence[float],
            bits: Sequence[int], widen: bool) -> Iterator[dict[str, Any]]:
    """Measure every combination of density and width; nothing is retrained.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine.
    densities, bits
        Shares of the weights that are kept, and widths of a code, 2 to 8.
    widen : :class:`bool`
        Give the machine codes as wide as the network's, for which alone it can be compiled.

    Yields
    ------
    :class:`dict`
        Plain JSON, as soon as it is measured: ``density``, ``v_width``; ``check``, of
        :func:`~eie_compiler.compression.fidelity.measure_fidelity`; ``bytes`` of the network file;
        ``cycles``, the mean program cycles of some inputs; ``end_to_end``, cycles of an inference
        back to back, transfers included; ``memory``, as in a build report;
        ``error``, the reason why the rest is None.

    Raises
    ------
    CompressError, PatchError, LabelError
        If an option or the data do not suit the model; raised before anything is measured.
    """
    for density in densities:
        check_pruning(density, None)
    for width in bits:
        if not 2 <= width <= 8:
            raise CompressError(f"bits must be integers from 2 to 8, not {width}")
    check_options(model, v_width=bits[0], kmeans_init="exact", act_width=config.act_width,
                  calibration=data.samples)
    if data.labels is not None:
        match_labels(data.labels, data.task, n_samples=len(data.samples),
                     n_outputs=model.layers[-1].n_rows, patches=model.patches)
    return (_measure(model, data, config, density, width, widen)
            for density in densities for width in bits)


def _measure(model: Model, data: Data, config: EIEConfig, density: float, width: int, widen: bool
             ) -> dict[str, Any]:
    row: dict[str, Any] = {"density": density, "v_width": width} | dict.fromkeys(
        ("check", "bytes", "cycles", "end_to_end", "memory", "error"))
    # Whatever a point lacks, the others count.
    try:
        network = compress(model, density=density, v_width=width, act_width=config.act_width,
                           codebook_width=config.codebook_width, calibration=data.samples)
        row["bytes"] = len(encode_network(network))
        row["check"] = measure_fidelity(model, network, config, data.samples, labels=data.labels,
                                        task=data.task)
        build = compile_network(network, dataclasses.replace(config, v_width=width)
                                if widen else config)
        row["memory"] = build.report["memory"]
        row["cycles"], row["end_to_end"] = _count_cycles(build, data.samples)
    except (ValueError, RuntimeError, MemoryError) as error:
        row["error"] = str(error) or type(error).__name__
    return row


def _count_cycles(build: Build, samples: NDArray[Any]) -> tuple[float, float]:
    """Predict mean program cycles, and end-to-end cycles of the same inputs again and again."""
    words = prepare(build, samples[:_N_TIMED])
    timed = words[np.unique(np.linspace(0, len(words) - 1, _N_TIMED).astype(int))]
    batch = timed[np.arange(BACK_TO_BACK) % len(timed)]
    return (float(np.mean([prediction.counters["cycles"]
                           for prediction in predict_build(build, timed)])),
            predict_back_to_back(build, batch).interval / BACK_TO_BACK)
