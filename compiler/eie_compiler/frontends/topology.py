"""Front end for Deep Compression streams of networks that are no chain, such as SqueezeNet.

A JSON file has the layers in order of computation, with their operands; docs/models.md describes
it. The layers with weights are those of the stream, in its order.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.json_file import JsonError, check_fields, parse_json
from ..graph.graph import Graph
from ..graph.operation import GraphError, Operation, Shape
from ..graph.operations.arrangement import Concat
from ..graph.operations.pooling import AveragePool, MaxPool, Mean
from ..network import NetworkError, check_name
from .common import FrontEndError, at
from .folding import ungroup
from .geometry import Geometry
from .graph_builder import GraphBuilder
from .output_names import name_outputs
from .parts import Part
from .stream import LayerShape, read_parts

__all__ = ["read_topology"]

_COMMON = {"name": str, "kind": str, "inputs": list}
_POOL = {"kernel": int, "stride": int}

#: Kind of a layer -> fields that it must have, and fields that it may have.
_KINDS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "conv": ({"shape": list}, {"stride": int, "pad": int, "groups": int, "relu": bool}),
    "fc": ({"shape": list}, {"relu": bool}),
    "maxpool": (_POOL, {"pad": int, "ceil_mode": bool}),
    "avgpool": ({"kernel": (int, str)}, {"stride": int}),
    "concat": ({}, {"axis": str}),
    "softmax": ({}, {}),
}


def read_topology(path: str | Path, *, topology: str | Path) -> Graph:
    """Read a model from a stream and the topology of its network.

    Convolutions of one pixel that alone follow a convolution are layers of its node, and so are
    linear layers that alone follow another.

    Parameters
    ----------
    path : path
        File with the stream.
    topology : path
        JSON file with the layers.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    FrontEndError
        If a file is invalid, or they do not match; the message names the layer.
    """
    with at(topology), _as_front_end_error():
        description = check_fields(
            "topology", parse_json(Path(topology).read_bytes()), {"input": dict, "layers": list},
            {"schema_version": int, "source": str, "weights": str, "shape_order": list,
             "notes": list})
        layers = [_check_layer(number, layer) for number, layer in enumerate(description["layers"])]
        shapes = {layer["name"]: _layer_shape(layer) for layer in layers if "shape" in layer}
        if len(names := {layer["name"] for layer in layers}) < len(layers):
            raise FrontEndError(f"names of {len(layers)} layers must be unique, not {len(names)} "
                                "names")
        parts = read_parts(Path(path).read_bytes(), shapes)
        return _Builder(description["input"], layers, shapes, parts).graph()


@contextlib.contextmanager
def _as_front_end_error() -> Iterator[None]:
    try:
        yield
    except (GraphError, JsonError, NetworkError) as error:
        raise FrontEndError(str(error)) from error


def _check_layer(number: int, layer: Any) -> dict[str, Any]:
    """Check the fields of a layer."""
    where = f"layers[{number}]"
    kind = layer.get("kind") if isinstance(layer, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise FrontEndError(f"{where} must be an object whose kind is {', '.join(_KINDS)}, not "
                            f"{kind!r}")
    required, optional = _KINDS[kind]
    check_fields(where, layer, {**_COMMON, **required}, {"output_shape": list, **optional})
    if not all(isinstance(name, str) for name in layer["inputs"]) or not layer["inputs"]:
        raise FrontEndError(f"{where}.inputs must be one or more names")
    if kind != "concat" and len(layer["inputs"]) != 1:
        raise FrontEndError(f"{where}.inputs must be one name, not {len(layer['inputs'])}")
    return dict(layer)


def _layer_shape(layer: Mapping[str, Any]) -> LayerShape:
    with at(f"layer {layer['name']!r}"):
        shape = LayerShape(tuple(layer["shape"]), layer.get("stride", 1), layer.get("pad", 0),
                           layer.get("groups", 1))
        if len(shape.shape) != (4 if layer["kind"] == "conv" else 2):
            raise FrontEndError("shape must be (outputs, channels, height, width) of a conv, "
                                f"(outputs, inputs) of an fc, not {shape.shape}")
        return shape


class _Builder:
    """Builder of a graph from the layers of a topology, in order."""

    def __init__(self, source: Mapping[str, Any], layers: Sequence[Mapping[str, Any]],
                 layer_shapes: Mapping[str, LayerShape], parts: Mapping[str, Part]) -> None:
        name, shape = source.get("name"), source.get("shape")
        if not isinstance(name, str) or not isinstance(shape, list) or len(shape) not in (1, 3) \
                or not all(type(n) is int and 1 <= n < 1 << 24 for n in shape):
            raise FrontEndError("input must have a name and the shape [channels, height, width] or "
                                "[elements]")
        self._layers = layers
        self._layer_shapes = layer_shapes
        self._parts = parts
        self._notes: list[str] = []
        if "mean" in source:
            self._notes.append(f"the input is that after the mean {source['mean']} is subtracted")
        self._builder = GraphBuilder()
        self._input = self._builder.add_input(_plain(name), tuple(shape))
        #: Node that computes each layer.
        self._nodes: dict[str, str] = {self._input: self._input}
        self._readers: dict[str, list[str]] = {}
        for layer in layers:
            for operand in layer["inputs"]:
                self._readers.setdefault(_plain(operand), []).append(layer["kind"])

    def graph(self) -> Graph:
        """Return the graph."""
        for layer in self._layers:
            with at(f"layer {layer['name']!r}"), _as_front_end_error():
                operands = [_plain(operand) for operand in layer["inputs"]]
                for operand in operands:
                    if operand not in self._nodes:
                        raise FrontEndError(f"inputs must be {self._input!r} or layers before this "
                                            f"one, not {operand!r}")
                self._add(layer, _plain(layer["name"]), operands)
        outputs = [name for name in self._nodes
                   if name != self._input and self._is_read_by_softmax_alone(name)]
        graph = self._builder.graph([self._nodes[name] for name in outputs], self._notes)
        return name_outputs(graph, outputs)

    def _is_read_by_softmax_alone(self, name: str) -> bool:
        return set(self._readers.get(name, ())) <= {"softmax"}

    def _add(self, layer: Mapping[str, Any], name: str, operands: list[str]) -> None:
        if layer["kind"] == "softmax":
            if name in self._readers or not self._is_read_by_softmax_alone(operands[0]):
                raise FrontEndError("softmax must be at the end, and alone after its operand")
            self._notes.append(f"{layer['name']!r}, a softmax, is left out: the order of the "
                               "results does not depend on it")
            return
        if name in self._nodes:
            raise FrontEndError(f"name must be unique, not {name!r}")
        self._nodes[name] = self._compute(layer, name, [self._nodes[each] for each in operands])
        found = list(self._builder.shapes[self._nodes[name]])
        expected = layer.get("output_shape", found)
        if found + [1] * (len(expected) - len(found)) != expected:
            raise FrontEndError(f"output_shape must be {found}, as computed, not {expected}")

    def _compute(self, layer: Mapping[str, Any], name: str, nodes: Sequence[str]) -> str:
        """Add a layer; return its node."""
        kind, shape = layer["kind"], self._builder.shapes[nodes[0]]
        if kind == "conv":
            geometry = self._layer_shapes[layer["name"]].geometry
            assert geometry is not None
            if len(shape) != 3:
                raise FrontEndError("conv must follow images, not vectors")
            return self._add_layer(layer, name, nodes[0], geometry)
        if kind == "fc":
            flat = self._builder.reshape(f"{name}.input", nodes[0], (math.prod(shape),))
            return self._add_layer(layer, name, flat)
        if kind == "concat":
            if layer.get("axis", "channels") != "channels":
                raise FrontEndError(f"axis must be channels, not {layer['axis']!r}")
            return self._builder.add(name, Concat(0), *nodes)
        if kind == "avgpool" and layer["kernel"] == "global":
            keep = not self._is_read_by_softmax_alone(name)
            return self._builder.add(name, Mean((1, 2), keep), *nodes)
        return self._builder.add(name, _pool(layer, shape), *nodes)

    def _add_layer(self, layer: Mapping[str, Any], name: str, operand: str,
                   geometry: Geometry | None = None) -> str:
        part = self._parts[layer["name"]]
        weight, patches = part.weight, None
        if geometry is not None:
            weight = ungroup(weight, geometry.groups)
            patches = geometry.patches(self._builder.shapes[operand])
        return self._builder.add_layer(name, weight, part.bias, operand, patches,
                                       relu=layer.get("relu", False))


def _plain(name: str) -> str:
    """Make a name without slashes, which paths of nodes and files of results have."""
    name = name.replace("/", ".")
    check_name(name)
    return name


def _pool(layer: Mapping[str, Any], shape: Shape) -> Operation:
    """Make a pooling of images of a shape, which may extend beyond them in ceil mode."""
    kernel, stride, pad = layer["kernel"], layer.get("stride", 1), layer.get("pad", 0)
    if len(shape) != 3:
        raise FrontEndError(f"pooling must follow images, not shape {shape}")
    if type(kernel) is not int or kernel < 1 or stride < 1 or not 0 <= pad < kernel:
        raise FrontEndError("pooling must have a kernel and a stride from 1, and a pad below the "
                            f"kernel, not {kernel!r}, {stride} and {pad}")
    padding = [pad, pad]
    for size in shape[1:]:
        left = size + 2 * pad - kernel
        if left < 0:
            raise FrontEndError(f"kernel must fit the image with its padding, of {size + 2 * pad} "
                                f"pixels, not be {kernel}")
        count = (-(-left // stride) if layer.get("ceil_mode", False) else left // stride)
        if count * stride >= size + pad:    # no window begins beyond the image
            count -= 1
        padding.append(pad + max(count * stride - left, 0))
    top, left, bottom, right = padding
    make = MaxPool if layer["kind"] == "maxpool" else AveragePool
    return make((kernel, kernel), (stride, stride), (top, left, bottom, right))
