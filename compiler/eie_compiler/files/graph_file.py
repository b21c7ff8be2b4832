"""Network files of graphs; docs/network-file.md specifies the format."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eie_hdl.files import write_file

from ..graph.graph import Computation, Graph, Node, Recurrence, Scan, Subgraph
from ..graph.operation import GraphError, Operation
from ..graph.operations import OPERATIONS
from ..graph.operations.fields import MAX_AXES, MAX_NUMBERS
from ..network import MAX_FRAC, MAX_SIDE, CompressedNetwork, NetworkError, check_int, check_name
from ..patches import PatchError
from ..preprocessing import Preprocessing, PreprocessingError
from .json_file import JsonError, check_fields
from .network_file import (
    GRAPH_VERSION,
    check_end,
    encode_file,
    parse_chain,
    read_file,
)
from .stored_network import (
    NETWORK_FIELDS,
    OPTIONAL_FIELDS,
    DataReader,
    parse_network,
    parse_numbers,
    store_network,
    store_numbers,
)

__all__ = ["encode_graph", "read_any", "read_graph", "write_graph"]

_GRAPH_FIELDS = {"inputs": list, "nodes": list, "outputs": list, "notes": list}
_INPUT_FIELDS = {"name": str, "shape": list, "frac": int}
_OPTIONAL_INPUT_FIELDS = {"preprocessing": dict}
_PREPROCESSING_FIELDS = {"offset": dict, "scale": dict}
_NODE_FIELDS = {"name": str, "inputs": list, "frac": int}
#: Fields of which a node has one.
_COMPUTATIONS = {"layers": dict, "scan": dict, "operation": dict, "subgraph": dict,
                 "recurrence": dict}
_SCAN_FIELDS = {"body": dict, "states": list, "reverse": bool}
_RECURRENCE_FIELDS = {"scan": dict, "steps": int}
_ARRAY_FIELDS = {"shape": list, "type": str}


def write_graph(path: str | Path, graph: Graph) -> None:
    """Write a network file of a graph; raise as :func:`encode_graph`."""
    write_file(path, encode_graph(graph))


def encode_graph(graph: Graph) -> bytes:
    """Return the contents of a network file. The same graph always gives the same bytes.

    Raises
    ------
    NetworkError
        If the graph is not compressed, or a name is invalid in a file.
    """
    parts: list[bytes] = []
    header = _store_graph(graph, parts)
    return encode_file(GRAPH_VERSION, header, b"".join(parts))


def read_graph(path: str | Path) -> Graph:
    """Read and check a network file of a graph, from any source.

    Memory is allocated for bytes in the file, never for sizes that a header declares.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkError
        If the file is corrupt, a field is missing, unknown or invalid, or it is of no graph.
    """
    header, data = read_file(path)
    if header.get("version") != GRAPH_VERSION:
        raise NetworkError(f"{path}: network must be a graph, version {GRAPH_VERSION} of the file, "
                           "not a chain of layers")
    return _parse_file(path, header, data)


def read_any(path: str | Path) -> CompressedNetwork | Graph:
    """Read a network file of a chain of layers or of a graph; raise as the readers of each."""
    header, data = read_file(path)
    read = _parse_file if header.get("version") == GRAPH_VERSION else parse_chain
    return read(path, header, data)


def _store_graph(graph: Graph, parts: list[bytes]) -> dict[str, Any]:
    """Encode a graph as a JSON object; add its data to `parts`."""
    if graph.fracs is None:
        raise NetworkError("a graph must have formats to be written: compress it")
    for name in graph.shapes:
        check_name(name)
    return {"inputs": [{"name": name, "shape": list(shape), "frac": graph.fracs[name],
                        **_store_preprocessing(graph.preprocessing.get(name), parts)}
                       for name, shape in graph.inputs.items()],
            "nodes": [{"name": node.name, "inputs": list(node.inputs),
                       "frac": graph.fracs[node.name],
                       **_store_computation(node.computation, parts)} for node in graph.nodes],
            "outputs": list(graph.outputs), "notes": list(graph.notes)}


def _store_preprocessing(preprocessing: Preprocessing | None, parts: list[bytes]
                         ) -> dict[str, Any]:
    return {} if preprocessing is None else {"preprocessing": {
        name: _store_field(getattr(preprocessing, name), parts) for name in _PREPROCESSING_FIELDS}}


def _store_computation(computation: Computation, parts: list[bytes]) -> dict[str, Any]:
    if isinstance(computation, Scan):
        return {"scan": _store_scan(computation, parts)}
    if isinstance(computation, Recurrence):
        return {"recurrence": {"scan": _store_scan(computation.scan, parts),
                               "steps": computation.steps}}
    if isinstance(computation, Subgraph):
        return {"subgraph": _store_graph(computation.body, parts)}
    if isinstance(computation, Operation):
        fields = {field.name: _store_field(getattr(computation, field.name), parts)
                  for field in dataclasses.fields(computation)}    # type: ignore[arg-type]
        return {"operation": {"kind": type(computation).__name__, **fields}}
    assert isinstance(computation, CompressedNetwork)
    header, data = store_network(computation)
    parts.append(data)
    return {"layers": header}


def _store_scan(scan: Scan, parts: list[bytes]) -> dict[str, Any]:
    return {"body": _store_graph(scan.body, parts),
            "states": [list(pair) for pair in scan.states], "reverse": scan.reverse}


def _store_field(value: Any, parts: list[bytes]) -> Any:
    """Encode a field of an operation: arrays are in the data, infinite numbers are text."""
    if isinstance(value, np.ndarray):
        kind, data = store_numbers(value.ravel())
        parts.append(data)
        return {"shape": list(value.shape), "type": kind}
    if isinstance(value, tuple):
        return [_store_field(one, parts) for one in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _parse_file(path: str | Path, header: Mapping[str, Any], data: bytes) -> Graph:
    try:
        content = dict(header)
        check_int("version", content.pop("version"), GRAPH_VERSION, GRAPH_VERSION)
        del content["kind"]
        reader = _Reader(data)
        graph = reader.parse_graph("", content)
        check_end(reader.data)
    except (GraphError, JsonError, NetworkError, PatchError) as error:
        raise NetworkError(f"{path}: {error}") from error
    return graph


class _Reader:
    """Reader of the graphs of a file.

    Parameters
    ----------
    data : :class:`bytes`
        Data of the file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = DataReader(data)
        self._sides = 0

    def parse_graph(self, prefix: str, header: Any) -> Graph:
        """Make a graph of its JSON object; `prefix` is its path."""
        where = f"graph {prefix.removesuffix('/')!r}" if prefix else "header"
        check_fields(where, header, _GRAPH_FIELDS)
        inputs, fracs, preprocessing = {}, {}, {}
        for number, one in enumerate(header["inputs"]):
            check_fields(f"{where}.inputs[{number}]", one, _INPUT_FIELDS, _OPTIONAL_INPUT_FIELDS)
            name = one["name"]
            check_name(name)
            if name in inputs:
                raise NetworkError(f"{where}.inputs[{number}].name must be unique, not {name!r}")
            inputs[name] = _parse_shape(f"{where}.inputs[{number}].shape", one["shape"])
            fracs[name] = one["frac"]
            if "preprocessing" in one:
                preprocessing[name] = self._parse_preprocessing(
                    f"{where}.inputs[{number}].preprocessing", one["preprocessing"])
        nodes = []
        for number, one in enumerate(header["nodes"]):
            check_fields(f"{where}.nodes[{number}]", one, _NODE_FIELDS, _COMPUTATIONS)
            check_name(one["name"])
            nodes.append(self._parse_node(prefix, one))
            fracs[one["name"]] = one["frac"]
        for name, frac in fracs.items():
            check_int(f"{where}: frac of {name!r}", frac, -MAX_FRAC, MAX_FRAC)
        outputs, notes = (_parse_names(f"{where}.{name}", header[name])
                          for name in ("outputs", "notes"))
        try:
            graph = Graph(inputs, tuple(nodes), outputs, fracs, notes, preprocessing)
        except GraphError as error:
            raise GraphError(f"{where}: {error}" if prefix else str(error)) from error
        for name, shape in graph.shapes.items():
            if math.prod(shape) > MAX_NUMBERS or len(shape) > MAX_AXES:
                raise NetworkError(f"{where}: {name!r} must have at most {MAX_AXES} dimensions and "
                                   f"{MAX_NUMBERS} elements, not shape {shape}")
        return graph

    def _parse_preprocessing(self, where: str, header: dict[str, Any]) -> Preprocessing:
        check_fields(where, header, _PREPROCESSING_FIELDS)
        try:
            return Preprocessing(*(self._parse_field(f"{where}.{name}", header[name])
                                   for name in _PREPROCESSING_FIELDS))
        except PreprocessingError as error:
            raise NetworkError(f"{where}: {error}") from error

    def _parse_node(self, prefix: str, header: dict[str, Any]) -> Node:
        path = prefix + header["name"]
        try:
            operands = _parse_names("inputs", header["inputs"])
            kinds = [kind for kind in _COMPUTATIONS if kind in header]
            if len(kinds) != 1:
                raise NetworkError(f"must have one of the fields {', '.join(_COMPUTATIONS)}, not "
                                   f"{', '.join(kinds) or 'none'}")
            content = header[kinds[0]]
            if kinds == ["scan"]:
                computation: Computation = self._parse_scan(path, content)
            elif kinds == ["recurrence"]:
                check_fields("recurrence", content, _RECURRENCE_FIELDS)
                computation = Recurrence(self._parse_scan(path, content["scan"]), content["steps"])
            elif kinds == ["subgraph"]:
                computation = Subgraph(self.parse_graph(f"{path}/", content))
            else:
                computation = self._parse_layers(content) if kinds == ["layers"] \
                    else self._parse_operation(content)
        except (GraphError, JsonError, NetworkError, PatchError) as error:
            inner = str(error).startswith(("node ", "graph "))    # of a body, with its path
            raise NetworkError(str(error) if inner else f"node {path!r}: {error}") from error
        return Node(header["name"], computation, operands)

    def _parse_scan(self, path: str, header: dict[str, Any]) -> Scan:
        check_fields("scan", header, _SCAN_FIELDS)
        body = self.parse_graph(f"{path}/", header["body"])
        states = [_parse_names(f"scan.states[{number}]", pair)
                  for number, pair in enumerate(header["states"])]
        if not all(len(pair) == 2 for pair in states):
            raise NetworkError("scan.states must be pairs of names")
        return Scan(body, tuple((state, source) for state, source in states), header["reverse"])

    def _parse_layers(self, header: dict[str, Any]) -> CompressedNetwork:
        check_fields("layers", header, NETWORK_FIELDS, OPTIONAL_FIELDS)
        network = parse_network(header, self.data)
        self._sides += sum(layer.n_rows + layer.n_cols for layer in network.layers)
        if self._sides > MAX_SIDE:
            raise NetworkError(f"layers of all nodes must have at most {MAX_SIDE} rows and columns "
                               f"together, not {self._sides}")
        return network

    def _parse_operation(self, header: dict[str, Any]) -> Operation:
        kind = header.get("kind")
        if type(kind) is not str or kind not in OPERATIONS:
            raise NetworkError(f"operation.kind must be one of {', '.join(OPERATIONS)}, not "
                               f"{kind!r}")
        operation = OPERATIONS[kind]
        types = typing.get_type_hints(operation)
        names = [field.name for field in dataclasses.fields(operation)]    # type: ignore[arg-type]
        check_fields("operation", header, {"kind": str, **dict.fromkeys(names, _FIELD)})
        fields = {name: self._parse_field(f"operation.{name}", header[name]) for name in names}
        for name, value in fields.items():
            if (types[name] is bool) != (type(value) is bool):
                kind = "true or false" if types[name] is bool else "a number"
                raise NetworkError(f"operation.{name} must be {kind}, not {value!r}")
        return operation(**fields)

    def _parse_field(self, where: str, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(self._parse_field(where, one) for one in value)
        if isinstance(value, dict):
            check_fields(where, value, _ARRAY_FIELDS)
            shape = _parse_shape(f"{where}.shape", value["shape"])
            return parse_numbers(where, value["type"], math.prod(shape), self.data).reshape(shape)
        if isinstance(value, str):
            if value not in ("inf", "-inf"):
                raise NetworkError(f"{where} must be a number, not {value!r}")
            return float(value)
        return value


#: Types of a field of an operation in JSON.
_FIELD = (int, float, bool, str, list, dict)


def _parse_shape(where: str, shape: list[Any]) -> tuple[int, ...]:
    if len(shape) > MAX_AXES or not all(type(n) is int and 1 <= n <= MAX_NUMBERS for n in shape) \
            or math.prod(shape) > MAX_NUMBERS:
        raise NetworkError(f"{where} must be at most {MAX_AXES} integers of 1 or more, whose "
                           f"product is at most {MAX_NUMBERS}, not {shape!r:.80}")
    return tuple(shape)


def _parse_names(where: str, names: Any) -> tuple[str, ...]:
    if type(names) is not list or not all(type(name) is str for name in names):
        raise NetworkError(f"{where} must be a list of text, not {names!r:.80}")
    return tuple(names)
