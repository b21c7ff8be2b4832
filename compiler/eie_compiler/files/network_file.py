"""Network files; docs/network-file.md specifies the format."""

import io
import json
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from eie_hdl.files import write_file

from ..network import CompressedNetwork, NetworkError
from .json_file import JsonError, check_fields, parse_json
from .stored_network import (
    NETWORK_FIELDS,
    OPTIONAL_FIELDS,
    DataReader,
    parse_network,
    store_network,
)
from .untrusted_npz import ArchiveError, read_arrays

__all__ = ["FILE_VERSION", "GRAPH_VERSION", "check_end", "encode_file", "encode_network",
           "parse_chain", "read_file", "read_network", "write_network"]

#: Versions of files of a chain of layers, and of a graph.
FILE_VERSION, GRAPH_VERSION = 2, 3

_KIND = "eie-network"


def write_network(path: str | Path, network: CompressedNetwork) -> None:
    """Write a network file."""
    write_file(path, encode_network(network))


def encode_network(network: CompressedNetwork) -> bytes:
    """Return the contents of a network file. The same network always gives the same bytes."""
    return encode_file(FILE_VERSION, *store_network(network))


def encode_file(version: int, header: dict[str, Any], data: bytes) -> bytes:
    """Return the contents of a file of a version, with the other fields of its header."""
    text = json.dumps({"kind": _KIND, "version": version, **header}, separators=(",", ":"),
                      allow_nan=False)
    content = io.BytesIO()
    np.savez_compressed(content, header=np.frombuffer(text.encode(), np.uint8),
                        data=np.frombuffer(data, np.uint8))
    return content.getvalue()


def read_network(path: str | Path) -> CompressedNetwork:
    """Read and check a network file of a chain of layers, from any source.

    Memory is allocated for bytes in the file, never for sizes that a header declares.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkError
        If the file is corrupt, a field is missing, unknown or invalid, or it is of a graph.
    """
    header, data = read_file(path)
    if header.get("version") == GRAPH_VERSION:
        raise NetworkError(f"{path}: network must be a chain of layers, version {FILE_VERSION} of "
                           "the file, not a graph")
    return parse_chain(path, header, data)


def parse_chain(path: str | Path, header: dict[str, Any], data: bytes) -> CompressedNetwork:
    """Make a network of the contents of its file; raise as :func:`read_network` does."""
    try:
        if "version" in header:
            _check_version(header["version"])
        check_fields("header", header, {"kind": str, "version": int, **NETWORK_FIELDS},
                     OPTIONAL_FIELDS)
        reader = DataReader(data)
        network = parse_network(header, reader)
        check_end(reader)
    except (JsonError, NetworkError) as error:
        raise NetworkError(f"{path}: {error}") from error
    return network


def check_end(data: DataReader) -> None:
    """Check that all data have been read."""
    if len(data.content) > data.position:
        raise NetworkError(f"data must end at byte {data.position}, after all numbers, not at "
                           f"byte {len(data.content)}")


def read_file(path: str | Path) -> tuple[dict[str, Any], bytes]:
    """Read a network file of any version; return its header, of which only `kind` is checked, and
    its data.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkError
        If it is not a network file.
    """
    try:
        arrays = read_arrays(path)
    except ArchiveError as error:
        is_other = Path(path).suffix != ".npz"
        advice = "; `eie compress` makes a network of a model" if is_other else ""
        raise NetworkError(f"{path}: {error}{advice}") from error
    try:
        if "version" in arrays:    # version 1 had an array for each field
            _check_version(arrays["version"].tolist())
        if set(arrays) != {"header", "data"}:
            raise NetworkError(f"File must contain the arrays header and data, not "
                               f"{reprlib.repr(list(arrays))}: this is not a network file, which "
                               "`eie compress` makes of a model")
        for name, array in arrays.items():
            if array.dtype != np.uint8 or array.ndim != 1:
                raise NetworkError(f"{name} must be a one-dimensional array of uint8, not "
                                   f"{array.dtype} of {array.ndim} dimensions")
        return _parse_header(arrays["header"].tobytes()), arrays["data"].tobytes()
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from error


def _check_version(version: object) -> None:
    if version != FILE_VERSION:
        raise NetworkError(f"version must be {FILE_VERSION} or {GRAPH_VERSION}, not "
                           f"{reprlib.repr(version)}: compress the network again, or use the "
                           "release that wrote it")


def _parse_header(content: bytes) -> dict[str, Any]:
    try:
        header = parse_json(content)
    except JsonError as error:
        raise NetworkError(f"header {error}") from error
    if type(header) is not dict or header.get("kind") != _KIND:
        raise NetworkError(f"kind must be {_KIND!r} in the header: this is not a network file")
    return header
