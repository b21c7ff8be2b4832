"""Gain of each step: from the published machine to the tuned one, step by step."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from eie_hdl.config import FILLING_LIMIT
from eie_sim.cycles.model import predict
from eie_sim.cycles.steps import layer_steps
from eie_sim.inference import net_cycles

from .measure import count_products
from .nine_layers import Machine, PaperLayer, make_inputs, make_network

__all__ = ["STEPS", "Step", "measure_steps", "steps"]


#: Differences of the tuned machine, in the order in which they are added: a title, and the
#: parameter that changes, or the mapping; or `filling_limit` of the cycle model, which both
#: machines have.
STEPS = {
    "filling_limit": "messages in flight counted",
    "z_width": "zero runs of {z_width} bits, no padding",
    "queue_depth": "queue of {queue_depth}",
    "drop_empty_columns": "empty columns dropped",
    "mapping": "rows balanced by entries",
}


class Step(NamedTuple):
    """An intermediate machine and its ratio on each layer."""

    title: str
    machine: Machine
    filling_limit: int
    ratios: dict[str, float]


def steps(machine: Machine, tuned: Machine) -> list[tuple[str, Machine, int]]:
    """Return the machine as published, stopping when a queue is full, then with each step added."""
    filling_limit, values = machine.config.n_in_flight, tuned.config.as_dict()
    found = [("as published", machine, filling_limit)]
    for changed, title in STEPS.items():
        if changed == "filling_limit":
            filling_limit = FILLING_LIMIT
        elif changed == "mapping":
            machine = machine._replace(mapping=tuned.mapping)
        else:
            machine = machine._replace(
                config=dataclasses.replace(machine.config, **{changed: values[changed]}))
        found.append((f"+ {title.format(**values)}", machine, filling_limit))
    return found


def measure_steps(layers: Sequence[PaperLayer], machines: Mapping[str, Machine], *, seed: int,
                  progress: Callable[[PaperLayer], None] = lambda layer: None) -> list[Step]:
    """Predict the ratio of each layer on each machine from ``isca2016`` to ``tuned``.

    Parameters
    ----------
    layers, machines, seed
        As for :func:`.measure.measure_all`.
    progress
        Called with each layer once it is done.
    """
    found = [Step(*step, {}) for step in steps(machines["isca2016"], machines["tuned"])]
    for layer in layers:
        network, words = make_network(layer, seed), make_inputs(layer, seed)
        products = count_products(network, words)
        for _, (config, mapping), filling_limit, ratios in found:
            program = layer_steps(config, network.layers[0], mapping, words)
            prediction = predict(config, program, filling_limit=filling_limit)
            ratios[layer.name] = net_cycles(prediction.counters) * config.n_pe / products
        progress(layer)
    return found
