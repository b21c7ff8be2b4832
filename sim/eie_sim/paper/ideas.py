"""What each idea gains: from the published machine to the tuned one, one step after another."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..cycles.model import predict
from ..cycles.steps import layer_steps
from .bench import count_products, net_cycles
from .layers import Machine, PaperLayer, make_inputs, make_network

__all__ = ["IDEAS", "Step", "measure_ideas", "steps"]


#: What the tuned machine does otherwise, in the order in which it is added: a title, and the
#: parameter that changes, or the mapping.
IDEAS = {
    "z_width": "zero runs of {z_width} bits, no padding",
    "queue_depth": "queue of {queue_depth}",
    "drop_empty_columns": "empty columns dropped",
    "mapping": "rows balanced by weight",
    "acc_depth": "tiles of {acc_depth} rows",
}


class Step(NamedTuple):
    """A machine on the way, and the ratio that it reaches on each layer."""

    title: str
    machine: Machine
    ratios: dict[str, float]


def steps(machine: Machine, tuned: Machine) -> list[tuple[str, Machine]]:
    """The machine as it is, then with one idea after another of those in the tuned one."""
    found, values = [("as published", machine)], tuned.config.as_dict()
    for changed, title in IDEAS.items():
        if changed == "mapping":
            machine = machine._replace(mapping=tuned.mapping)
        else:
            machine = machine._replace(
                config=dataclasses.replace(machine.config, **{changed: values[changed]}))
        found.append((f"+ {title.format(**values)}", machine))
    return found


def measure_ideas(layers: Sequence[PaperLayer], machines: Mapping[str, Machine], *, seed: int,
                  told: Callable[[PaperLayer], None] = lambda layer: None) -> list[Step]:
    """Predict the ratio of every layer on every machine on the way from ``isca2016`` to ``tuned``.

    Parameters
    ----------
    layers, machines, seed
        As for :func:`.bench.measure_all`.
    told
        Called with each layer that is done.
    """
    found = [Step(title, machine, {})
             for title, machine in steps(machines["isca2016"], machines["tuned"])]
    for layer in layers:
        network, words = make_network(layer, seed), make_inputs(layer, seed)
        products = count_products(network, words)
        for _, (config, mapping), ratios in found:
            prediction = predict(config, layer_steps(config, network.layers[0], mapping, words))
            ratios[layer.name] = net_cycles(prediction.counters) * config.n_pe / products
        told(layer)
    return found
