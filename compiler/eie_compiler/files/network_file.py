"""Network files; docs/network-file.md specifies the format."""

import dataclasses
import io
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.files import write_file

from ..network import CompressedNetwork, Layer, NetworkError, check_chain, check_int, check_shape
from ..patches import PatchError, Patches
from ..preprocessing import Preprocessing, PreprocessingError
from . import huffman
from .huffman import MAX_LENGTH, HuffmanError
from .json_file import JsonError, check_fields, parse_json
from .run_length import MAX_RUN_WIDTH, Entries, RunError, from_entries, to_entries
from .untrusted_npz import ArchiveError, read_arrays

__all__ = ["FILE_VERSION", "StoredLayer", "encode_network", "parse_patches", "read_network",
           "store_layers", "write_network"]

FILE_VERSION = 2

_KIND = "eie-network"

#: Fields of the header and their types in JSON.
_FIELDS = {"kind": str, "version": int, "v_width": int, "input_frac": int,
           "patches": (dict, NoneType), "layers": list}
#: Fields that are present only in files of networks that have them.
_OPTIONAL_FIELDS = {"preprocessing": dict, "nonnegative_inputs": bool, "act_width": int,
                    "codebook_width": int}
_PREPROCESSING_FIELDS = {"offset": str, "scale": str}
_LAYER_FIELDS = {"name": str, "shape": list, "relu": bool, "output_frac": int, "codebook": str,
                 "bias": str, "run_width": int, "entries": int, "codes": dict, "runs": dict}
_STREAM_FIELDS = {"bits": int, "lengths": list}
_PATCHES_FIELDS = {field.name: list for field in dataclasses.fields(Patches)}

_FLOATS = {"float32": "<f4", "float64": "<f8"}


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """Encoded layer.

    Attributes
    ----------
    header : :class:`dict`
        JSON object of the layer in the header of the file.
    codebook, bias, codes, runs : :class:`bytes`
        Sections of the data of the file.
    """

    header: dict[str, Any]
    codebook: bytes
    bias: bytes
    codes: bytes
    runs: bytes

    @property
    def parts(self) -> tuple[bytes, ...]:
        """Sections of the data, in order."""
        return self.codebook, self.bias, self.codes, self.runs


def store_layers(network: CompressedNetwork) -> list[StoredLayer]:
    """Encode the layers of a network."""
    return [_store_layer(layer, network.v_width) for layer in network.layers]


def write_network(path: str | Path, network: CompressedNetwork) -> None:
    """Write a network file."""
    write_file(path, encode_network(network))


def encode_network(network: CompressedNetwork) -> bytes:
    """Return the contents of a network file. The same network always gives the same bytes."""
    layers = store_layers(network)
    header = {"kind": _KIND, "version": FILE_VERSION, "v_width": network.v_width,
              "input_frac": network.input_frac,
              "patches": network.patches and dataclasses.asdict(network.patches),
              "layers": [layer.header for layer in layers]}
    data = b"".join(part for layer in layers for part in layer.parts)
    if network.preprocessing is not None:
        stored = {name: _store_numbers(getattr(network.preprocessing, name))
                  for name in _PREPROCESSING_FIELDS}
        header["preprocessing"] = {name: kind for name, (kind, _) in stored.items()}
        data += b"".join(numbers for _, numbers in stored.values())
    if network.nonnegative_inputs:
        header["nonnegative_inputs"] = True
    for name in ("act_width", "codebook_width"):
        if getattr(network, name) is not None:
            header[name] = getattr(network, name)
    text = json.dumps(header, separators=(",", ":"))
    content = io.BytesIO()
    np.savez_compressed(content, header=np.frombuffer(text.encode(), np.uint8),
                        data=np.frombuffer(data, np.uint8))
    return content.getvalue()


def read_network(path: str | Path) -> CompressedNetwork:
    """Read and check a network file from any source.

    Memory is allocated for bytes in the file, never for sizes that a header declares.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkError
        If the file is corrupt, or a field is missing, unknown or invalid.
    """
    try:
        return _parse(read_arrays(path))
    except ArchiveError as error:
        is_other = Path(path).suffix != ".npz"
        advice = "; `eie compress` makes a network of a model" if is_other else ""
        raise NetworkError(f"{path}: {error}{advice}") from error
    except (JsonError, NetworkError) as error:
        raise NetworkError(f"{path}: {error}") from error


def _store_layer(layer: Layer, v_width: int) -> StoredLayer:
    entries = to_entries(layer.codes)
    codebook_type, codebook = _store_numbers(layer.codebook)
    bias_type, bias = _store_numbers(layer.bias)
    codes_header, codes = _store_symbols(entries.v, v_width)
    runs_header, runs = _store_symbols(entries.z, entries.run_width)
    header = {"name": layer.name, "shape": list(layer.codes.shape), "relu": layer.relu,
              "output_frac": layer.output_frac, "codebook": codebook_type, "bias": bias_type,
              "run_width": entries.run_width, "entries": len(entries.v),
              "codes": codes_header, "runs": runs_header}
    return StoredLayer(header, codebook, bias, codes, runs)


def _store_numbers(values: NDArray[np.float64]) -> tuple[str, bytes]:
    """Choose the narrower type that represents all values exactly; return it and the bytes."""
    with np.errstate(over="ignore", under="ignore"):
        exact = (values.astype("<f4") == values).all()
    kind = "float32" if exact else "float64"
    return kind, values.astype(_FLOATS[kind]).tobytes()


def _store_symbols(symbols: NDArray[Any], width: int) -> tuple[dict[str, Any], bytes]:
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=1 << width))
    content, n_bits = huffman.encode(symbols, lengths)
    return {"bits": n_bits, "lengths": np.trim_zeros(lengths, "b").tolist()}, content


class _DataReader:
    """Reader of the data of a file."""

    def __init__(self, content: bytes) -> None:
        self.content, self.position = content, 0

    def take(self, n_bytes: int, what: str) -> bytes:
        if n_bytes > len(self.content) - self.position:
            raise NetworkError(f"data must contain {n_bytes} bytes for {what} from byte "
                               f"{self.position}, not end at byte {len(self.content)}")
        self.position += n_bytes
        return self.content[self.position - n_bytes:self.position]


def _parse(arrays: Mapping[str, NDArray[Any]]) -> CompressedNetwork:
    if "version" in arrays:    # version 1 had an array for each field
        _check_version(arrays["version"].tolist())
    if set(arrays) != {"header", "data"}:
        raise NetworkError(f"File must contain the arrays header and data, not "
                           f"{reprlib.repr(list(arrays))}: this is not a network file, which `eie "
                           "compress` makes of a model")
    for name, array in arrays.items():
        if array.dtype != np.uint8 or array.ndim != 1:
            raise NetworkError(f"{name} must be a one-dimensional array of uint8, not "
                               f"{array.dtype} of {array.ndim} dimensions")
    header = _parse_header(arrays["header"].tobytes())
    layers = [check_fields(f"layers[{number}]", layer, _LAYER_FIELDS)
              for number, layer in enumerate(header["layers"])]
    for number, layer in enumerate(layers):
        check_shape(f"layers[{number}].shape", layer["shape"])
    # Before memory is allocated for columns: only the first layer has no predecessor to bound them.
    check_chain([(layer["name"], layer["shape"]) for layer in layers])
    data = _DataReader(arrays["data"].tobytes())
    check_int("v_width", header["v_width"], 2, 8)
    parsed = tuple(_parse_layer(f"layers[{number}]", layer, header["v_width"], data)
                   for number, layer in enumerate(layers))
    network = CompressedNetwork(
        layers=parsed, input_frac=header["input_frac"], v_width=header["v_width"],
        patches=_parse_patches(header),
        preprocessing=_parse_preprocessing(header, data),
        nonnegative_inputs=header.get("nonnegative_inputs", False),
        act_width=header.get("act_width"), codebook_width=header.get("codebook_width"))
    if len(data.content) > data.position:
        raise NetworkError(f"data must end at byte {data.position}, after all numbers, not at "
                           f"byte {len(data.content)}")
    return network


def _check_version(version: object) -> None:
    if version != FILE_VERSION:
        raise NetworkError(f"version must be {FILE_VERSION}, not {reprlib.repr(version)}: compress "
                           f"the network again, or use the release that wrote it")


def _parse_header(content: bytes) -> dict[str, Any]:
    try:
        header = parse_json(content)
    except JsonError as error:
        raise NetworkError(f"header {error}") from error
    if type(header) is not dict or header.get("kind") != _KIND:
        raise NetworkError(f"kind must be {_KIND!r} in the header: this is not a network file")
    if "version" in header:
        _check_version(header["version"])
    return check_fields("header", header, _FIELDS, _OPTIONAL_FIELDS)


def _parse_layer(where: str, header: dict[str, Any], v_width: int, data: _DataReader) -> Layer:
    n_rows, n_cols = header["shape"]
    codebook = _parse_numbers(f"{where}.codebook", header["codebook"], 1 << v_width, data)
    bias = _parse_numbers(f"{where}.bias", header["bias"], n_rows, data)
    check_int(f"{where}.run_width", header["run_width"], 1, MAX_RUN_WIDTH)
    v = _parse_symbols(f"{where}.codes", header["codes"], header["entries"], v_width, data)
    z = _parse_symbols(f"{where}.runs", header["runs"], header["entries"], header["run_width"],
                       data)
    try:
        codes = from_entries(Entries(v.astype(np.uint8), z, header["run_width"]),
                             (n_rows, n_cols))
    except RunError as error:
        raise NetworkError(f"{where}.{error}") from error
    return Layer(header["name"], codes, codebook, bias, header["relu"], header["output_frac"])


def _parse_numbers(where: str, kind: str, count: int, data: _DataReader) -> NDArray[np.float64]:
    if kind not in _FLOATS:
        raise NetworkError(f"{where} must be {' or '.join(map(repr, _FLOATS))}, "
                           f"not {reprlib.repr(kind)}")
    size = np.dtype(_FLOATS[kind]).itemsize
    return np.frombuffer(data.take(count * size, where), _FLOATS[kind]).astype(np.float64)


def _parse_symbols(where: str, stream: Any, entries: int, width: int, data: _DataReader
                   ) -> NDArray[np.uint16]:
    stream = check_fields(where, stream, _STREAM_FIELDS)
    lengths = stream["lengths"]
    if len(lengths) > 1 << width or not all(type(n) is int and 0 <= n <= MAX_LENGTH
                                            for n in lengths):
        raise NetworkError(f"{where}.lengths must be at most {1 << width} integers from 0 to "
                           f"{MAX_LENGTH}, not {len(lengths)}: {reprlib.repr(lengths)}")
    check_int(f"{where}.bits", stream["bits"], 0, 8 * len(data.content))
    content = data.take(-(-stream["bits"] // 8), where)
    try:
        return huffman.decode(content, stream["bits"], entries, np.array(lengths, np.uint8))
    except HuffmanError as error:
        raise NetworkError(f"{where}: {error}") from error


def parse_patches(fields: Any) -> Patches | None:
    """Make patches of their fields in JSON; None of null.

    Raises
    ------
    JsonError, PatchError
        If a field is missing, unknown or invalid.
    """
    return None if fields is None else Patches(**{
        name: tuple(numbers)
        for name, numbers in check_fields("patches", fields, _PATCHES_FIELDS).items()})


def _parse_patches(header: dict[str, Any]) -> Patches | None:
    try:
        return parse_patches(header["patches"])
    except PatchError as error:
        raise NetworkError(f"patches: {error}") from error


def _parse_preprocessing(header: dict[str, Any], data: _DataReader) -> Preprocessing | None:
    if "preprocessing" not in header:
        return None
    kinds = check_fields("preprocessing", header["preprocessing"], _PREPROCESSING_FIELDS)
    count = header["layers"][0]["shape"][1]
    try:
        return Preprocessing(*(_parse_numbers(f"preprocessing.{name}", kinds[name], count, data)
                               for name in _PREPROCESSING_FIELDS))
    except PreprocessingError as error:
        raise NetworkError(f"preprocessing: {error}") from error
