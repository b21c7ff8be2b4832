"""Build reports: sizes, entry balance, formats and bounds, as plain JSON."""

import dataclasses
from typing import Any

import numpy as np

from eie_hdl.config import EIEConfig

from ..network import Layer
from ..vectors import NOT_SENT
from .csc import Encoded
from .fixed_point import LayerFormat, measure_precision
from .lowered_network import Lowered
from .program import LayerPlan
from .row_mapping import n_slots

__all__ = ["describe_program"]


def describe_program(config: EIEConfig, lowered: Lowered, plans: list[LayerPlan],
                     encoded: list[Encoded]) -> dict[str, Any]:
    """Make the report of a build, but for its memories; docs/build-folder.md defines each number.

    Parameters
    ----------
    lowered : :class:`~.lowered_network.Lowered`
        Network of the program.
    plans, encoded
        Program and entries of its layers.
    """
    layers = [
        {"name": layer.name, "node": node, "shape": [layer.n_rows, layer.n_cols],
         "dead_rows": {name: rows.tolist() for name, rows in dead._asdict().items()},
         **_describe_work(config, layer, plan, entries),
         "formats": _describe_formats(layer, chosen, inputs.frac),
         "overflow": {"lowest": chosen.lowest, "highest": chosen.highest,
                      "acc_width": config.acc_width, "spare_bits": chosen.spare_bits},
         "precision": dataclasses.asdict(measure_precision(config, chosen, *inputs)),
         "codebook": plan.codebook, "source": plan.source, "destination": plan.destination,
         "bias": plan.bias, "sent": plan.sends is not None}
        # The formats were chosen for the whole network, whose precision they determine.
        for layer, node, dead, plan, chosen, entries, inputs in zip(
            lowered.layers, lowered.nodes or [""] * len(plans), lowered.dead, plans,
            lowered.formats, encoded, lowered.whole)]
    return {
        "mapping": lowered.mapping,
        "dead_inputs": int(np.count_nonzero(lowered.columns[0] == NOT_SENT)), "layers": layers,
        "total": {name: sum(layer[name] for layer in layers)
                  for name in ("nonzeros", "entries", "paddings", "macs_dense_input")}}


def _describe_work(config: EIEConfig, layer: Layer, plan: LayerPlan,
                   encoded: Encoded) -> dict[str, Any]:
    per_tile = encoded.counts.sum(axis=2)
    per_pe = per_tile.sum(axis=1)
    busiest = int(per_tile.max(axis=0).sum())    # tiles are computed one after another
    return {
        "nonzeros": layer.n_nonzeros,
        "density": layer.n_nonzeros / (layer.n_rows * layer.n_cols),
        "tiles": plan.n_tiles(config), "slots": n_slots(plan.rows, config.n_pe),
        "columns": plan.columns,
        "local": plan.convolution is not None and plan.convolution.local,
        "pixels": plan.convolution.strip if plan.convolution is not None else 1,
        "entries": len(encoded.v), "paddings": encoded.n_paddings,
        "entries_per_pe": {"mean": float(per_pe.mean()), "max": int(per_pe.max()),
                           "min": int(per_pe.min())},
        "entry_balance": len(encoded.v) / (config.n_pe * busiest) if busiest else 1.0,
        "macs_dense_input": layer.n_nonzeros}


def _describe_formats(layer: Layer, chosen: LayerFormat, input_frac: int) -> dict[str, Any]:
    return {
        "input_frac": input_frac, "weight_frac": chosen.weight_frac,
        "acc_frac": input_frac + chosen.weight_frac,
        "bias_frac": input_frac + chosen.weight_frac - chosen.bias_shift,
        "bias_shift": chosen.bias_shift, "shift": chosen.shift,
        "output_frac": layer.output_frac, "relu": layer.relu,
        "codebook": chosen.codebook.tolist()}
